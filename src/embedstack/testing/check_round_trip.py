"""A route becomes a list of broken promises between its two halves: what a client says, a server reads, and back."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from embedstack.dialects.dialect import AnyRoute, Dialect, Field, Limits, Wire
from embedstack.dialects.reply import body_bytes, claimed
from embedstack.dialects.wire import NoRoute, WrongMethod, identity
from embedstack.errors import (
    BadRequest,
    DeadlineExceeded,
    EmbedstackError,
    Forbidden,
    LoadFailed,
    NotReady,
    Overloaded,
    Unauthorized,
    UnknownModel,
    Unsupported,
    Upstream,
)
from embedstack.testing.fake import HashEncoder, hash_spec, labels_spec, overlap_spec
from embedstack.types import (
    Classified,
    Classify,
    Encode,
    Encoded,
    Floats,
    Image,
    Pair,
    Score,
    Scored,
    Text,
    Tokens,
    answered,
)

Request = Encode | Score | Classify
Given = Encoded | Scored | Classified
MODELS = (hash_spec(inputs=("text", "image")), overlap_spec(), labels_spec())
TEXTS = ("rain falls", "a cat is a small animal", "what is a cat?")
ENCODE = Encode(model="hash", items=tuple(Text(text) for text in TEXTS))
SCORE = Score(model="overlap", items=tuple(Pair("what is a cat?", text) for text in TEXTS))
CLASSIFY = Classify(model="labels", items=tuple(Text(text) for text in TEXTS))
SEE = Encode(model="hash", items=tuple(Image(b"\x89PNG\r\n\x1a\n" + text.encode()) for text in TEXTS))
ENCODES: Mapping[Field, tuple[Encode, ...]] = {
    "role": tuple(replace(ENCODE, items=tuple(Text(text, role) for text in TEXTS)) for role in ("query", "none")),
    "tokens": (replace(ENCODE, items=(Tokens((5, 6)),)),),
    "outputs": (replace(ENCODE, outputs=frozenset({"sparse"})),),
    "dim": (replace(ENCODE, dim=8),),
    "normalize": (replace(ENCODE, normalize=False), replace(ENCODE, normalize=True)),
    "max_tokens": (replace(ENCODE, max_tokens=2),),
    "truncate": (replace(ENCODE, truncate="left"), replace(ENCODE, truncate="refuse")),
    "whole": (replace(ENCODE, whole=True),),
    "late_chunking": (replace(ENCODE, late_chunking=True),),
}
SCORES: Mapping[Field, tuple[Score, ...]] = {
    "max_tokens": (replace(SCORE, max_tokens=2),),
    "truncate": (replace(SCORE, truncate="left"), replace(SCORE, truncate="refuse")),
    "raw_scores": (replace(SCORE, raw_scores=True),),
    "document_tokens": (replace(SCORE, document_tokens=2),),
    "whole": (replace(SCORE, whole=True),),
}
CLASSIFIES: Mapping[Field, tuple[Classify, ...]] = {
    "max_tokens": (replace(CLASSIFY, max_tokens=2),),
    "truncate": (replace(CLASSIFY, truncate="left"), replace(CLASSIFY, truncate="refuse")),
    "raw_scores": (replace(CLASSIFY, raw_scores=True),),
    "whole": (replace(CLASSIFY, whole=True),),
}
SEEN: Mapping[Field, tuple[Encode, ...]] = {
    "dim": (replace(SEE, dim=8),),
    "normalize": (replace(SEE, normalize=False), replace(SEE, normalize=True)),
    "whole": (replace(SEE, whole=True),),
}
NOT_REPLIES = (b"", b"{}", b"[]", b"null", b"<html>", b"{", b'{"\xff": 1}', b'{"a":' + b"[" * 100_000)
TOLD_APART = (Overloaded, NotReady, DeadlineExceeded)  # what a caller does next depends on it
OUR_OWN = (Unauthorized, Forbidden, UnknownModel, NoRoute, WrongMethod)  # not in every server's words


def round_trip_faults(route: AnyRoute, limits: Limits) -> Iterator[str]:
    """Sentences about requests and replies that do not survive both halves; for a route that has both."""
    plain, others = _tried(route)
    yield from _kept_faults(route, plain, limits)
    for field, requests in others.items():
        for request in requests:
            if field in route.carries:
                yield from (f"{field}: {fault}" for fault in _kept_faults(route, request, limits))
            else:
                yield from _must_refuse(route, field, request)
    for raw in NOT_REPLIES:
        yield from _must_not_hear(route, Wire(200, raw), plain, f"the reply {raw[:12]!r}")
    reply = _reply(route, plain, limits)[0]
    yield from _must_not_hear(route, reply, _longer(plain), "a reply with an item too few")


def _tried(route: AnyRoute) -> tuple[Request, Mapping[Field, Sequence[Request]]]:
    """A request of the route's kind, and such requests with each field that one may have."""
    match route.task, route.input:
        case "embed", "image":
            return SEE, SEEN
        case "embed", _:
            return ENCODE, ENCODES
        case "rerank", _:
            return SCORE, SCORES
        case "classify", _:
            return CLASSIFY, CLASSIFIES
        case task, _:
            raise AssertionError(f"a route of the task {task!r} has no client half")


def _longer(request: Request) -> Request:
    return replace(request, items=(*request.items, request.items[0]))  # type: ignore[arg-type]


def _kept_faults(route: AnyRoute, request: Request, limits: Limits) -> Iterator[str]:
    """What is asked over the wire must give what the door gives when it is asked directly."""
    reply, answer = _reply(route, request, limits)
    expected = _rows(_answer(request))
    assert route.hear is not None
    try:
        found = route.hear(reply, request)
    except Upstream as error:
        yield f"the reply cannot be heard: {error.message}"
        return
    if found.rows.shape != expected.shape or not np.allclose(found.rows, expected, rtol=1e-6, atol=0):
        yield "what a client hears is not what was asked for"
    claim = found.claim or claimed({**reply.headers, **identity(answer)})
    if (claim.model, claim.space, claim.fingerprint) != (answer.spec.name, answer.spec.space, answer.fingerprint):
        yield "the identity that is heard is not the answer's"


def _reply(route: AnyRoute, request: Request, limits: Limits) -> tuple[Wire, Given]:
    assert route.say is not None
    body = route.read(body_bytes(route.say(request)))
    answer = _answer(route.ask(body, limits, MODELS))
    return route.write(body, answer), answer


def _answer(request: Request) -> Given:
    answer = asyncio.run(answered(HashEncoder(MODELS), request))
    assert isinstance(answer, Given)
    return answer


def _rows(answer: Given) -> Floats:
    if isinstance(answer, Scored | Classified):
        return answer.scores
    assert answer.dense is not None
    return answer.dense


def _must_refuse(route: AnyRoute, field: Field, request: Request) -> Iterator[str]:
    assert route.say is not None
    try:
        route.say(request)
    except Unsupported as error:
        if field not in error.message:
            yield f"{field} is refused without its name: {error.message}"
    else:
        yield f"{field} is not carried, and is said without a word"


def _must_not_hear(route: AnyRoute, wire: Wire, request: Request, what: str) -> Iterator[str]:
    assert route.hear is not None
    try:
        route.hear(wire, request)
    except Upstream:
        return
    except Exception as error:
        yield f"{what} raises {type(error).__name__}, not Upstream"
        return
    yield f"{what} is heard as an answer"


def failure_faults(dialect: Dialect, errors: Sequence[EmbedstackError]) -> Iterator[str]:
    """An error must be heard as its class or a wider one, with its message and its advice to retry."""
    for error in errors:
        wire, name = dialect.fail(error), type(error).__name__
        heard = dialect.hear_failure(wire)
        is_exact = type(heard) is type(error)
        if isinstance(error, TOLD_APART) and not is_exact:
            yield f"{name} is heard as {type(heard).__name__}"
        elif not isinstance(error, type(heard)) and not isinstance(heard, Upstream):
            yield f"{name} is heard as {type(heard).__name__}, which it is not"
        elif isinstance(error, BadRequest) and isinstance(heard, Upstream) and not isinstance(error, OUR_OWN):
            yield f"{name} is the caller's fault and is heard as the server's"
        may_retry = error.retry or isinstance(error, LoadFailed)  # where there is no word for it, a gateway's 502
        if error.message not in heard.message or heard.retry not in (error.retry, may_retry):
            yield f"{name} loses its message or its advice to retry when it is heard"
        if isinstance(error, Overloaded) and getattr(heard, "retry_after_s", 0.0) < error.retry_after_s:
            yield f"{name} is heard to pass sooner than it does"
