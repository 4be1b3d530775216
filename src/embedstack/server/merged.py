"""Several dialects' pages at one path become one: the first one's, with what the others' clients would miss in it."""

from collections.abc import Mapping, Sequence

import orjson

from embedstack.dialects.choosing import alike
from embedstack.dialects.dialect import Page, Status, Wire
from embedstack.dialects.places import Serving
from embedstack.dialects.wire import dump
from embedstack.errors import EmbedstackError


def shown(servings: Sequence[Serving], status: Status, argument: str) -> Wire:
    """The first one's page, with the top-level keys that other pages of its shape have beside its own.

    Raises:
        EmbedstackError: the page is alone, and has only an error to show.
    """
    others = list(alike(servings[0], servings))
    if not others:
        return _page(servings[0]).show(status, argument)
    first = _shown(servings[0], status, argument)
    wires = [
        wire for wire in (_shown(one, status, argument) for one in others) if not isinstance(wire, EmbedstackError)
    ]
    own = servings[0].dialect.fail(first) if isinstance(first, EmbedstackError) else first
    body: Mapping[str, object] = {}
    for wire in (*reversed(wires), own):
        body = {**body, **orjson.loads(wire.body or b"{}")}
    return Wire(own.status, dump(body), own.headers)


def _shown(serving: Serving, status: Status, argument: str) -> Wire | EmbedstackError:
    """One of several; who has only an error to show adds nothing to the others."""
    try:
        return _page(serving).show(status, argument)
    except EmbedstackError as error:
        return error


def _page(serving: Serving) -> Page:
    assert isinstance(serving.what, Page)
    return serving.what
