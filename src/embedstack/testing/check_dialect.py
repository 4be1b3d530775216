"""A dialect becomes a list of broken promises: what every dialect must do, run through the fake encoder."""

import asyncio
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import orjson

from embedstack.dialects.dialect import AnyRoute, Dialect, Limits, Memory, Page, Status, Wire
from embedstack.dialects.wire import BodyTooLong, EmptyList, Misfit, NoRoute, TooManyItems, WrongMethod
from embedstack.errors import (
    BadRequest,
    DeadlineExceeded,
    EmbedstackError,
    NotReady,
    Overloaded,
    RuntimeFailed,
    TooLong,
    UnknownModel,
    Unsupported,
)
from embedstack.testing.check_round_trip import failure_faults, round_trip_faults
from embedstack.testing.fake import HashEncoder, hash_spec, overlap_spec
from embedstack.types import Encode, Encoded, ModelSpec, Score, Scored

LIMITS = Limits(max_items=4, truncate="right", token_ids=False)
NOT_BODIES = (b"", b"[]", b"not json", b"{", b'{"\xff": 1}', b'{"a": "\\ud800"}', b'{"a":' + b"[" * 100_000)
ERRORS: tuple[EmbedstackError, ...] = (
    BadRequest("wrong"),
    Misfit("of another shape", "input"),
    EmptyList("nothing"),
    TooManyItems("too many"),
    TooLong("too long"),
    BodyTooLong("a body too long"),
    UnknownModel("unknown"),
    Unsupported("cannot"),
    NoRoute("nowhere"),
    WrongMethod("not so"),
    Overloaded("busy", retry_after_s=2.5),
    NotReady("loading"),
    DeadlineExceeded("late"),
    RuntimeFailed("broken"),
)
STATUSES = {400, 404, 405, 409, 413, 422, 424, 429, 500, 502, 503, 504}


def check_dialect(dialect: Dialect, limits: Limits = LIMITS) -> list[str]:
    """Sentences about what the dialect does not keep; empty if it is sound."""
    return [f"{dialect.name}: {fault}" for fault in _faults(dialect, limits)]


def _faults(dialect: Dialect, limits: Limits) -> Iterator[str]:
    if not dialect.prefix.startswith("/") or dialect.prefix.endswith("/"):
        yield f"prefix {dialect.prefix!r} must start with a slash and not end with one"
    for error in ERRORS:
        yield from _fail_faults(dialect, error)
    yield from failure_faults(dialect, ERRORS)
    for route in dialect.routes:
        yield from (f"{route.path}: {fault}" for fault in _route_faults(dialect, route, limits))
        yield from (f"{route.path}: {fault}" for fault in round_trip_faults(route, limits))
    for page in dialect.pages:
        yield from (f"{page.path}: {fault}" for fault in _page_faults(page))


def _fail_faults(dialect: Dialect, error: EmbedstackError) -> Iterator[str]:
    name = type(error).__name__
    wire = dialect.fail(error)
    if wire.status not in STATUSES:
        yield f"{name} becomes status {wire.status}, which is no error"
    if error.message.encode() not in wire.body:
        yield f"{name} loses its message"
    if isinstance(error, Overloaded | NotReady) and not wire.headers.get("retry-after", "").isdigit():
        yield f"{name} has no whole retry-after"
    yield from _shape_faults(name, wire, dialect.failure)


def _shape_faults(name: str, wire: Wire, shape: object) -> Iterator[str]:
    try:
        msgspec.json.decode(wire.body, type=shape)
    except msgspec.ValidationError as error:
        yield f"{name} is not of the declared shape: {error}"


def _route_faults(dialect: Dialect, route: AnyRoute, limits: Limits) -> Iterator[str]:
    models = (hash_spec(), overlap_spec())
    for raw in NOT_BODIES:
        yield from _must_refuse(route, raw, limits, models)
    sent = msgspec.json.encode(route.example)
    body = route.read(sent)
    if body != route.example:
        yield "the example does not come back from its own JSON"
    request = route.ask(body, limits, models)
    if isinstance(request, Score) != (route.task == "rerank"):
        yield f"the task is {route.task!r} and the request is {type(request).__name__}"
    answer = asyncio.run(_answered(request))
    wire = route.write(body, answer)
    if wire.status != 200:
        yield f"a good answer has status {wire.status}"
    yield from _shape_faults("the reply", wire, route.reply)
    yield from _number_faults(wire, answer)
    yield from _example_faults(answer)
    yield from _count_faults(route, limits, models)


def _must_refuse(route: AnyRoute, raw: bytes, limits: Limits, models: Sequence[ModelSpec]) -> Iterator[str]:
    try:
        route.ask(route.read(raw), limits, models)
    except BadRequest:
        return
    except Exception as error:
        yield f"the body {raw[:12]!r} raises {type(error).__name__}, not BadRequest"
        return
    yield f"the body {raw[:12]!r} is accepted"


async def _answered(request: Encode | Score) -> Encoded | Scored:
    encoder = HashEncoder()
    return await (encoder.encode(request) if isinstance(request, Encode) else encoder.score(request))


def _number_faults(wire: Wire, answer: Encoded | Scored) -> Iterator[str]:
    """The reply's floats must be the answer's, to the last bit of float32, each in its place."""
    reply = orjson.loads(wire.body)
    if isinstance(answer, Encoded):
        yield from _vector_faults(reply, answer)
    else:
        yield from _score_faults(reply, answer)


def _vector_faults(reply: object, answer: Encoded) -> Iterator[str]:
    assert answer.dense is not None
    if not np.array_equal(np.array(list(_floats(reply)), np.float32), answer.dense.ravel()):
        yield "numbers of the answer are lost, changed or moved in the reply"
    numbers = [index for index, _ in _indexed(reply)]
    if numbers not in ([], list(range(len(answer.dense)))):
        yield f"the vectors are numbered {numbers}, not in input order"


def _score_faults(reply: object, answer: Scored) -> Iterator[str]:
    """Beside `index: i` stands the score of text i, or its sigmoid where the dialect's original has that."""
    rows = _indexed(reply)
    numbers = [index for index, _ in rows]
    if sorted(numbers) != list(range(len(answer.scores))):
        yield f"the scores are numbered {numbers}; each text needs its own"
        return
    found = np.array([score for _, score in rows], np.float32)
    expected = answer.scores[numbers]
    if not np.array_equal(found, expected) and not np.allclose(found, 1 / (1 + np.exp(-expected)), rtol=1e-6, atol=0):
        yield "a score does not stand beside the number of its text"
    if (np.diff(found) > 0).any():
        yield "the scores are not ordered, best first"


def _example_faults(answer: Encoded | Scored) -> Iterator[str]:
    """An example must be able to show a wrong order."""
    if answer.usage.items < 2:
        yield "the example has one item; give it two, so that a wrong order shows"
    if isinstance(answer, Scored) and answer.order[0] == 0:
        yield "the example's best text is its first; put it elsewhere, so that a rank is no index"


def _indexed(value: object) -> list[tuple[int, float]]:
    """Every object with an `index`, with the first float in it."""
    if isinstance(value, list):
        return [pair for one in value for pair in _indexed(one)]
    if not isinstance(value, dict):
        return []
    if isinstance(value.get("index"), int):
        return [(value["index"], next(_floats(value), np.nan))]
    return [pair for one in value.values() for pair in _indexed(one)]


def _floats(value: object) -> Iterator[float]:
    match value:
        case float():
            yield value
        case list():
            for one in value:
                yield from _floats(one)
        case dict():
            for one in value.values():
                yield from _floats(one)
        case _:
            return


def _count_faults(route: AnyRoute, limits: Limits, models: Sequence[ModelSpec]) -> Iterator[str]:
    """The one field that lists items must be refused when it is empty and when it is over the limit."""
    example = msgspec.to_builtins(route.example)
    for name, value in example.items():
        if isinstance(value, list):
            for count in (0, limits.max_items + 1):
                yield from _must_refuse(route, orjson.dumps({**example, name: ["a"] * count}), limits, models)


def _page_faults(page: Page) -> Iterator[str]:
    wire = page.show(_status(), "hash")
    if wire.status != 200:
        yield f"a healthy server shows status {wire.status}"
    yield from _shape_faults("the page", wire, page.reply)


def _status() -> Status:
    models = HashEncoder().models()
    memory = Memory(resident=300_000_000, mapped=100_000_000)
    find = {spec.name: spec for spec in models}.get
    return Status(state="ready", reason="", models=models, find=find, started=1.7e9, uptime_s=1.0, memory=memory)
