"""A reply of another status than 200 becomes one of our errors."""

import re
from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from embedstack.dialects.dialect import Wire
from embedstack.dialects.wire import shortened
from embedstack.errors import (
    BadRequest,
    DeadlineExceeded,
    EmbedstackError,
    LoadFailed,
    Mismatch,
    NotReady,
    Overloaded,
    TooLong,
    Unsupported,
    Upstream,
)

CODES: Mapping[str, type[EmbedstackError]] = {
    **{kind.code: kind for kind in (BadRequest, TooLong, Unsupported, Mismatch, NotReady, LoadFailed)},
    DeadlineExceeded.code: DeadlineExceeded,
}
"""Our own codes, for dialects that carry them."""

STATUSES: Mapping[int, type[EmbedstackError]] = {400: BadRequest, 413: TooLong, 422: BadRequest, 503: NotReady}
PASSING = (408, 502, 504)  # statuses of gateways, which say nothing about the request
HINTS = {
    **dict.fromkeys((301, 302, 303, 307, 308), "; give the url that it leads to"),
    **dict.fromkeys((401, 403), "; check the key"),
    404: "; check url and model",
}
MAX_SAID_CHARS = 1000  # of what a server says, in a message


TRACE = re.compile(r"\b[Tt]raceback(:| \(most recent call last\))")


class _Said(msgspec.Struct):
    message: str | None = None
    code: str | int | None = None


class _Wrong(msgspec.Struct):
    """What FastAPI says of one field."""

    msg: str | None = None


class _Envelope(msgspec.Struct):
    """All envelopes at once: OpenAI's, TEI's two, FastAPI's, the model worker's, KripTik's."""

    error: _Said | str | None = None
    error_type: str | None = None
    message: str | None = None
    code: str | int | None = None
    details: list[_Said] | None = None
    detail: list[_Wrong] | str | None = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)


def failure(wire: Wire, codes: Mapping[str, type[EmbedstackError]]) -> EmbedstackError:
    """The error that a reply stands for: by its code, else by its status, else the server's own fault.

    Args:
        codes: the dialect's words, which are stronger than the status.
    """
    said = _said(wire.body)
    status = f"{wire.status} {_phrase(wire.status)}".strip()
    words = without_trace(said.message or "")[:MAX_SAID_CHARS]
    sentence = f": {words}" if words else ""
    message = f"{status}{sentence}"
    if wire.status == 429:
        return Overloaded(message, retry_after_s(wire) or 1.0)
    kind = codes.get(str(said.code)) or STATUSES.get(wire.status)
    if kind is NotReady:
        return NotReady(message, retry_after_s(wire))
    return kind(message) if kind else Upstream(message + HINTS.get(wire.status, ""), retry=wire.status in PASSING)


def without_trace(text: str) -> str:
    """What stands before a traceback of Python, in whose lines a caller's texts may be quoted."""
    return TRACE.split(text, maxsplit=1)[0].rstrip()


def retry_after_s(wire: Wire) -> float:
    """When the server says to try again, 0 where it does not say so in seconds."""
    text = wire.headers.get("retry-after", "")
    return float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else 0.0


def _said(body: bytes) -> _Said:
    """The server's sentence and its word for the kind of error; of what is no envelope, how it begins."""
    plain = _Said(shortened(" ".join(without_trace(body[:MAX_SAID_CHARS].decode(errors="replace")).split())))
    try:
        envelope = _ENVELOPE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return plain
    match envelope.error:
        case _Said():
            return envelope.error
        case str() if envelope.message:  # the model worker: a phrase, a sentence, and more exact ones
            details = "; ".join(one.message for one in envelope.details or () if one.message)
            return _Said(details or envelope.message, envelope.error)
        case str():
            return _Said(envelope.error, envelope.error_type or envelope.code)
        case None if envelope.detail is not None:
            return _Said(_of_detail(envelope.detail) or plain.message, envelope.code or "detail")
        case None:
            return _Said(envelope.message, envelope.code or "message") if envelope.message else plain


def _of_detail(detail: list[_Wrong] | str) -> str:
    return detail if isinstance(detail, str) else "; ".join(one.msg for one in detail if one.msg)


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
