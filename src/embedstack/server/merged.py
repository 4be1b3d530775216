"""Several dialects at one path: which of them a body is for, and what the others' clients would miss in its reply."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import msgspec
import orjson

from embedstack.dialects.dialect import AnyRoute, Page, Status, Wire
from embedstack.dialects.wire import Misfit, dump
from embedstack.errors import EmbedstackError
from embedstack.server.table import Serving
from embedstack.types import Answer, ModelSpec


def chosen(servings: Sequence[Serving], raw: bytes, models: Sequence[ModelSpec]) -> tuple[Serving, msgspec.Struct]:
    """The first route that takes the body and whose task has a model, else the first that takes it; and the body.

    Where the first refuses it, another must know all its fields: one that overlooks some would take what is meant for
    a third. Only behind a first that overlooks unknown fields itself may others do so too.

    Raises:
        Misfit: none takes it. The reason is of the first whose fields it has, else of the first.
    """
    if len(servings) == 1:
        return servings[0], _route(servings[0]).read(raw)
    fitting: list[tuple[Serving, msgspec.Struct]] = []
    overlooking: list[tuple[Serving, msgspec.Struct]] = []
    misfits: list[Misfit] = []
    for serving in servings:
        route = _route(serving)
        try:
            body = route.read(raw)
        except Misfit as error:
            misfits.append(error)
            continue
        if misfits and not _knows_all(route, raw):
            overlooking.append((serving, body))
        elif _has_model(route, models):
            return serving, body
        else:
            fitting.append((serving, body))
    if not _route(servings[0]).body.__struct_config__.forbid_unknown_fields:
        able = [one for one in overlooking if _has_model(_route(one[0]), models)]
        fitting = [*able, *fitting, *overlooking]
    if fitting:
        return fitting[0]
    raise next((one for one in misfits if one.__cause__ is None), misfits[0])  # those of our own rules have no cause


def _knows_all(route: AnyRoute, raw: bytes) -> bool:
    """Whether the body has no field that the route would overlook."""
    return _names(route.body).issuperset(msgspec.json.decode(raw, type=dict[str, msgspec.Raw]))


def _route(serving: Serving) -> AnyRoute:
    assert not isinstance(serving.what, Page)
    return serving.what


def _has_model(route: AnyRoute, models: Sequence[ModelSpec]) -> bool:
    return route.task is None or any(spec.task == route.task for spec in models)


def widened(wire: Wire, winner: Serving, servings: Sequence[Serving], answer: Answer | None) -> Wire:
    """The reply with the top-level keys that clients of the other routes of its shape read beside its own."""
    extra: dict[str, object] = {}
    for other in alike(winner, servings):
        route = _route(other)
        if route.adds is not None:
            extra |= route.adds(answer)
    own = _names(winner.what.reply)
    missing = {name: value for name, value in extra.items() if name not in own}
    if not missing or not wire.body.startswith(b"{"):
        return wire
    return Wire(wire.status, wire.body[:-1] + b"," + dump(missing)[1:], wire.headers, wire.media_type)


def alike(winner: Serving, servings: Sequence[Serving]) -> Iterable[Serving]:
    """The others of its shape."""
    shape = winner.what.shape
    return (one for one in servings if shape and one is not winner and one.what.shape == shape)


def _names(reply: object) -> frozenset[str]:
    return _keys(reply) if isinstance(reply, type) and issubclass(reply, msgspec.Struct) else frozenset()


@cache
def _keys(struct: type[msgspec.Struct]) -> frozenset[str]:
    """The top-level keys of a struct; msgspec takes 15 us to tell them."""
    return frozenset(field.encode_name for field in msgspec.structs.fields(struct))


def shown(servings: Sequence[Serving], status: Status, argument: str) -> Wire:
    """The first one's page, with the top-level keys that other pages of its shape have beside its own.

    Raises:
        EmbedstackError: the page is alone, and has only an error to show.
    """
    others = list(alike(servings[0], servings))
    if not others:
        return _page(servings[0]).show(status, argument)
    wires = [_shown(one, status, argument) for one in (servings[0], *others)]
    body: Mapping[str, object] = {}
    for wire in reversed(wires):
        body = {**body, **orjson.loads(wire.body or b"{}")}
    return Wire(wires[0].status, dump(body), wires[0].headers)


def _shown(serving: Serving, status: Status, argument: str) -> Wire:
    """One of several: an error in its own words stands beside what the others show."""
    try:
        return _page(serving).show(status, argument)
    except EmbedstackError as error:
        return serving.dialect.fail(error)


def _page(serving: Serving) -> Page:
    assert isinstance(serving.what, Page)
    return serving.what
