"""A dialect becomes a list of broken promises: what every dialect must do, run through the fake encoder."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_args

import msgspec
import orjson

from embedstack.dialects.dialect import (
    AnyRoute,
    CallerTotals,
    Dialect,
    Limits,
    Memory,
    Page,
    State,
    Status,
    Wire,
)
from embedstack.dialects.wire import BodyTooLong, EmptyList, Misfit, NoRoute, TooManyItems, WrongMethod
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
)
from embedstack.modelspec import ModelSpec, Task
from embedstack.testing.check_reply import reply_faults
from embedstack.testing.check_round_trip import failure_faults, round_trip_faults
from embedstack.testing.fake import HashEncoder, hash_spec, labels_spec, overlap_spec
from embedstack.types import (
    Answer,
    Classify,
    Decode,
    Encode,
    Image,
    Link,
    Pair,
    Request,
    Score,
    Text,
    Tokenize,
    answered,
)
from embedstack.watching import Load

LIMITS = Limits(max_items=4, truncate="right")
PNG = b"\x89PNG\r\n\x1a\n"  # how such a file begins
EMBEDDER = hash_spec(outputs=("dense", "sparse", "multi"), inputs=("text", "image"))
MODELS = (EMBEDDER, overlap_spec(), labels_spec())
KINDS: Mapping[Task | None, tuple[type, ...]] = {
    "embed": (Encode,),
    "rerank": (Score, Classify),  # a reranker is a classifier with one label
    "classify": (Classify,),
    None: (Tokenize, Decode, type(None)),
}
NOT_BODIES = (b"", b"[]", b"not json", b"{", b'{"\xff": 1}', b'{"a": "\\ud800"}', b'{"a":' + b"[" * 100_000)
ERRORS: tuple[EmbedstackError, ...] = (
    BadRequest("wrong"),
    Misfit("of another shape", "input"),
    EmptyList("nothing"),
    TooManyItems("too many"),
    TooLong("too long"),
    BodyTooLong("a body too long"),
    Unauthorized("no key"),
    Forbidden("not allowed"),
    UnknownModel("unknown"),
    Unsupported("cannot"),
    NoRoute("nowhere"),
    WrongMethod("not so"),
    Mismatch("of another space"),
    Overloaded("busy", retry_after_s=2.5),
    NotReady("loading"),
    DeadlineExceeded("late"),
    LoadFailed("too large"),
    RuntimeFailed("broken"),
)
STATUSES = {400, 401, 403, 404, 405, 409, 413, 422, 424, 429, 500, 502, 503, 504}


def check_dialect(dialect: Dialect, limits: Limits = LIMITS) -> list[str]:
    """Sentences about what the dialect does not keep; empty if it is sound."""
    return [f"{dialect.name}: {fault}" for fault in _faults(dialect, limits)]


def _faults(dialect: Dialect, limits: Limits) -> Iterator[str]:
    if not dialect.prefix.startswith("/") or dialect.prefix.endswith("/"):
        yield f"prefix {dialect.prefix!r} must start with a slash and not end with one"
    for error in ERRORS:
        yield from _fail_faults(dialect.fail, dialect.failure, error)
    yield from failure_faults(dialect, ERRORS)
    for route in dialect.routes:
        yield from (f"{route.path}: {fault}" for fault in _route_faults(route, limits))
        if route.say is not None and route.hear is not None:
            yield from (f"{route.path}: {fault}" for fault in round_trip_faults(route, limits))
    for page in dialect.pages:
        yield from (f"{page.path}: {fault}" for fault in _page_faults(dialect, page))


def _fail_faults(fail: Callable[[EmbedstackError], Wire], shape: object, error: EmbedstackError) -> Iterator[str]:
    name = type(error).__name__
    wire = fail(error)
    if wire.status not in STATUSES:
        yield f"{name} becomes status {wire.status}, which is no error"
    if error.message.encode() not in wire.body:
        yield f"{name} loses its message"
    if isinstance(error, Overloaded | NotReady) and not wire.headers.get("retry-after", "").isdigit():
        yield f"{name} has no whole retry-after"
    yield from _shape_faults(name, wire, shape)


def _shape_faults(name: str, wire: Wire, shape: object) -> Iterator[str]:
    if shape is None:
        if wire.body:
            yield f"{name} is declared to be empty and is not"
        return
    try:
        msgspec.json.decode(wire.body, type=shape)
    except msgspec.DecodeError as error:
        yield f"{name} is not of the declared shape: {error}"


# ------------------------------------------------------------------------------------------------ routes


def _route_faults(route: AnyRoute, limits: Limits) -> Iterator[str]:
    models = MODELS if route.task else (EMBEDDER,)  # where any model will do, several would have to be named
    yield from _declared_faults(route)
    for raw in NOT_BODIES:
        yield from _must_refuse(route, raw, limits, models)
    body = route.read(msgspec.json.encode(route.example))
    if body != route.example:
        yield "the example does not come back from its own JSON"
    try:
        request = route.ask(body, limits, models)
    except Unsupported as error:
        yield f"the example is refused: {error.message}"
        return
    if isinstance(request, tuple):
        yield from _several_faults(route, body, request, models)
        return
    faults = list(_request_faults(route, request))
    yield from faults
    if not faults:
        yield from _answer_faults(route, body, request, limits, models)


def _answer_faults(
    route: AnyRoute, body: msgspec.Struct, request: Request | None, limits: Limits, models: Sequence[ModelSpec]
) -> Iterator[str]:
    answer = None if request is None else asyncio.run(answered(HashEncoder(models), request))
    wire = route.reply_to(body, answer, models)
    if wire.status != 200:
        yield f"a good answer has status {wire.status}"
    yield from _shape_faults("the reply", wire, route.reply)
    if answer is not None:
        yield from reply_faults(route, body, answer, wire)
    yield from _adds_faults(route, answer, wire)
    yield from _example_faults(route, request, answer)
    yield from _count_faults(route, request, limits, models)


def _several_faults(
    route: AnyRoute, body: msgspec.Struct, requests: tuple[Request, ...], models: Sequence[ModelSpec]
) -> Iterator[str]:
    """Of an example that becomes several requests; what the numbers in its reply are, its own tests say."""
    if not isinstance(requests[0], KINDS[route.task]):
        yield f"the task is {route.task!r} and the first request is {type(requests[0]).__name__}"
    encoder = HashEncoder(models)
    wire = route.reply_to(body, tuple(asyncio.run(answered(encoder, one)) for one in requests), models)
    if wire.status != 200:
        yield f"a good answer has status {wire.status}"
    yield from _shape_faults("the reply", wire, route.reply)


def _declared_faults(route: AnyRoute) -> Iterator[str]:
    if (route.say is None) != (route.hear is None):
        yield "a client needs both say and hear, or neither"
    if route.adds is not None and not route.shape:
        yield "it adds keys to replies of its shape and names no shape"
    if (route.fail is None) != (route.failure is None):
        yield "an envelope of its own needs both fail and failure"
    if route.fail is not None:
        for error in ERRORS:
            yield from _fail_faults(route.fail, route.failure, error)


def _must_refuse(route: AnyRoute, raw: bytes, limits: Limits, models: Sequence[ModelSpec]) -> Iterator[str]:
    try:
        route.ask(route.read(raw), limits, models)
    except BadRequest:
        return
    except Exception as error:
        yield f"the body {raw[:12]!r} raises {type(error).__name__}, not BadRequest"
        return
    yield f"the body {raw[:12]!r} is accepted"


def _request_faults(route: AnyRoute, request: Request | None) -> Iterator[str]:
    if not isinstance(request, KINDS[route.task]):
        yield f"the task is {route.task!r} and the request is {type(request).__name__}"
    items = () if request is None else request.items
    if any(isinstance(item, Link) for item in items):
        yield "the example holds a link; give the picture as a data URL, so that it can be tried"
    pictures = [item for item in items if isinstance(item, Image)]
    if (route.input == "image") != bool(pictures):
        yield f"the route takes {route.input}s, and its example holds {len(pictures)} pictures"
    if any(not picture.data.startswith(PNG) for picture in pictures):
        yield "the example's picture is no PNG; give a real one"


def _adds_faults(route: AnyRoute, answer: Answer | None, wire: Wire) -> Iterator[str]:
    """What it would add to another's reply must stand in its own."""
    if route.adds is None:
        return
    own = orjson.loads(wire.body)
    for name, value in orjson.loads(orjson.dumps(route.adds(answer), option=orjson.OPT_SERIALIZE_NUMPY)).items():
        if not isinstance(own, dict) or name not in own or own[name] != value:
            yield f"it adds {name!r} to other replies, which its own reply has not, or with another value"


def _example_faults(route: AnyRoute, request: Request | None, answer: Answer | None) -> Iterator[str]:
    """An example must be able to show a wrong order."""
    if request is None or answer is None or not list(_item_lists(route, request)):
        return
    if len(request.items) < 2:
        yield "the example has one item; give it two, so that a wrong order shows"
    elif isinstance(request, Score) and max(answer.scores) == answer.scores[0]:  # type: ignore[union-attr]
        yield "the example's best text is its first; put it elsewhere, so that a rank is no index"


def _count_faults(
    route: AnyRoute, request: Request | None, limits: Limits, models: Sequence[ModelSpec]
) -> Iterator[str]:
    """A field that lists items must be refused when it is over the limit, and when it is empty, unless it may be."""
    for path in _item_lists(route, request):
        for count in (0, limits.max_items + 1):
            example = _plain(route.example)
            place = example
            for name in path[:-1]:
                place = place[name]
            place[path[-1]] = place[path[-1]][:1] * count
            raw = orjson.dumps(example)
            is_taken = route.takes_none and not count
            yield from _none_faults(route, raw, limits) if is_taken else _must_refuse(route, raw, limits, models)


def _none_faults(route: AnyRoute, raw: bytes, limits: Limits) -> Iterator[str]:
    """No items need no model, but they have a reply."""
    body = route.read(raw)
    if route.ask(body, limits, ()) is not None:
        yield "an empty list of items is given to a model"
        return
    wire = route.write(body, None)
    if wire.status != 200:
        yield f"the reply to an empty list has status {wire.status}"
    yield from _shape_faults("the reply to an empty list", wire, route.reply)


def _item_lists(route: AnyRoute, request: Request | None) -> Iterator[tuple[str, ...]]:
    """Where in the example its items stand as a list: one that is as long as the request, or all but a first item."""
    if request is None:
        return
    count = len(request.items)
    texts = {text for item in request.items for text in _texts(item)}
    for path, values in _lists_in(_plain(route.example), ()):
        is_items = all(not isinstance(one, str) or one in texts or route.input == "image" for one in values)
        if is_items and len(values) in (count, count - 1):
            yield path


def _plain(example: msgspec.Struct) -> Any:
    """As JSON has it, also where a part of it is kept as JSON."""
    return orjson.loads(msgspec.json.encode(example))


def _texts(item: object) -> tuple[str, ...]:
    match item:
        case Text(text):
            return (text,)
        case Pair(query, document):
            return (query, document)
        case _:
            return ()


def _lists_in(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[object]]]:
    if isinstance(value, list) and value:
        yield path, value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _lists_in(one, (*path, name))


# ------------------------------------------------------------------------------------------------ pages


def _page_faults(dialect: Dialect, page: Page) -> Iterator[str]:
    for state in get_args(State):
        name = f"the page of a server that is {state}"
        try:
            wire = page.show(_status(state), "hash")
        except EmbedstackError as error:
            wire = dialect.fail(error)
        except Exception as error:
            yield f"{name} raises {type(error).__name__}: {error}"
            continue
        if wire.status not in ({200} if state == "ready" else {200, 204, *STATUSES}):
            yield f"{name} has status {wire.status}"
        shapes = (page.reply,) if wire.status == 200 else (page.reply, dialect.failure)
        yield from min((list(_shape_faults(name, wire, shape)) for shape in shapes), key=len)


def _status(state: State) -> Status:
    return Status(
        state=state,
        reason="" if state == "ready" else f"the server is {state}",
        models=MODELS,
        find={spec.name: spec for spec in MODELS}.get,
        started=1.7e9,
        uptime_s=1.0,
        memory=Memory(resident=300_000_000, mapped=100_000_000),
        limits=LIMITS,
        load=Load(waiting_items=1, precisions={spec.name: "float32" for spec in MODELS}),
        callers={"a": CallerTotals(requests=2, items=3, tokens=4)},
        version="1.0.0",
    )
