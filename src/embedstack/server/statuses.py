"""A route or a page becomes the statuses that it can fail with, each with its reasons, and the type of that reply."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from embedstack.databases.database import UnknownCollection
from embedstack.dialects.dialect import Page, Wire
from embedstack.dialects.places import Serving
from embedstack.dialects.wire import BodyTooLong, BodyTooSlow, EmptyList, Misfit, PackedBody, TooManyItems
from embedstack.errors import (
    BadRequest,
    DeadlineExceeded,
    EmbedstackError,
    Forbidden,
    LoadFailed,
    Mismatch,
    NotReady,
    Overloaded,
    RuntimeFailed,
    TooLong,
    Unauthorized,
    UnknownModel,
    Unsupported,
    Upstream,
)

Why = tuple[type[EmbedstackError], str]

OF_BODIES: Sequence[Why] = (
    (BadRequest, "a header or a value is wrong"),
    (Misfit, "the body is no JSON or does not fit"),
    (EmptyList, "there is nothing in the list"),
    (TooManyItems, "there are more items than one request may hold"),
    (TooLong, "a text is too long"),
    (BodyTooLong, "the body is too long"),
    (BodyTooSlow, "the body stopped coming"),
    (PackedBody, "the body is compressed"),
    (UnknownModel, "no such model is served"),
    (Unsupported, "the model cannot do this"),
    (Forbidden, "a link may not be followed"),
    (Overloaded, "too much is waiting"),
    (Mismatch, "the vectors of the collection are another model's"),
    (UnknownCollection, "the collection is not in its database"),
    (LoadFailed, "the model can never be loaded"),
    (Upstream, "the database of the collection cannot be asked"),
    (DeadlineExceeded, "the caller's own time ran out"),
)
OF_ALL: Sequence[Why] = (
    (NotReady, "still loading, or stopping"),
    (RuntimeFailed, "the device or the model failed"),
)
OF_KEYS: Sequence[Why] = ((Unauthorized, "a key is needed, and none came or a wrong one"),)
OF_NAMES: Sequence[Why] = ((UnknownModel, "no such model is served"),)


def failures(serving: Serving) -> Mapping[int, Sequence[str]]:
    """Statuses of errors and, in words, what leads to each."""
    what = serving.what
    fail = (None if isinstance(what, Page) else what.fail) or serving.dialect.fail
    return by_status(fail, _errors(serving))


def by_status(fail: Callable[[EmbedstackError], Wire], errors: Iterable[Why]) -> Mapping[int, Sequence[str]]:
    """What leads to each status, in words.

    Args:
        fail: how an error is answered.
    """
    reasons: dict[int, list[str]] = {}
    for kind, why in errors:
        reasons.setdefault(fail(kind("")).status, []).append(why)
    return {status: reasons[status] for status in sorted(reasons)}


def failure_type(serving: Serving) -> object:
    """Of the JSON of all these."""
    own = None if isinstance(serving.what, Page) else serving.what.failure
    return own or serving.dialect.failure


def _errors(serving: Serving) -> Iterator[Why]:
    what = serving.what
    if not isinstance(what, Page):
        yield from (*OF_BODIES, *OF_KEYS, *OF_ALL)
        return
    yield from OF_ALL
    if what.needs_key:
        yield from OF_KEYS
    if "{id}" in what.path:
        yield from OF_NAMES
