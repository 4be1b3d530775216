"""What RunPod says of a job becomes what is known of it: it goes on, its output as a reply, or our error; pure.

Source: https://docs.runpod.io/serverless/endpoints/job-states and .../operation-reference; errors as the worker SDK
sends them, https://github.com/runpod/runpod-python, runpod/serverless/modules/rp_job.py at 1.12.0.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from embedstack.dialects.dialect import Wire
from embedstack.dialects.failure import CODES, MAX_SAID_CHARS, without_trace
from embedstack.dialects.runpod_identity import headers_in
from embedstack.dialects.wire import dump, shortened
from embedstack.errors import EmbedstackError, Overloaded, TooLong, UnknownModel, Upstream

WAITING = ("IN_QUEUE", "IN_PROGRESS", "RUNNING")  # the last is what the page on states calls the one before
FAILED: Mapping[str, str] = {
    "FAILED": "the job failed",
    "CANCELLED": "the job was cancelled there, and not by this client; ask again if nobody meant it",
    "TIMED_OUT": "the job ran out of the time that it may run there; allow more, or send less",
}
KINDS: Mapping[str, type[EmbedstackError]] = {
    **CODES,
    **{kind.code: kind for kind in (UnknownModel, Overloaded)},
}
"""Codes that our own worker puts beside an error."""
SMALL_BYTES = 16_384  # an output of more is no error
MIN_TTL_MS, MIN_RUN_MS, MOST_MS = 10_000, 5_000, 7 * 24 * 3600 * 1000  # what a policy may say
TTL_GRACE_MS = 10_000  # so that it is our own deadline that ends a job, and the platform's only where we are gone
ID = re.compile(r"[\w.-]{1,256}")
LOST_WORKER = "job timed out after"  # the platform's words where the worker was lost as often as it tries
NO_OUTPUT = "the job is done and has no output: it was too large to be kept, or its worker sent none; ask for less"
OTHER_KIND = (
    "this endpoint takes no jobs, it balances load: give the url https://ID.api.runpod.ai and the dialect of its server"
)
NONE = msgspec.Raw(b"")
NO_ERROR = (b"", b"null", b"false", b"0", b'""', b"{}", b"[]")  # what workers write under `error` beside a result


class _Status(msgspec.Struct):
    id: str | int | None = None
    status: str = ""
    output: msgspec.Raw = NONE
    error: msgspec.Raw = NONE
    code: msgspec.Raw = NONE


class _Trouble(msgspec.Struct):
    """What stands where an error is an object: the SDK's, ours, or that of Infinity's worker."""

    error_message: str | None = None
    error_type: str | None = None
    error: msgspec.Raw = NONE
    message: str | None = None
    code: str | float | None = None
    object: str | None = None


@dataclass(frozen=True, slots=True)
class JobStatus:
    """One answer about a job."""

    id: str
    state: str
    output: bytes
    error: bytes
    code: bytes
    wire: Wire

    @property
    def is_waiting(self) -> bool:
        """Whether it may still end."""
        return self.state in WAITING


_STATUS = msgspec.json.Decoder(_Status)
_TROUBLE = msgspec.json.Decoder(_Trouble)
_TEXT = msgspec.json.Decoder(str)
_WORD = msgspec.json.Decoder(str | int | None)
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


# ------------------------------------------------------------------------------------------------ what is said


def wrapped(route: str, body: bytes) -> bytes:
    """A body of another dialect as the input of a job, as workers after Infinity's and vLLM's take it."""
    return b'{"input":{"openai_route":' + dump(route) + b',"openai_input":' + body + b"}}"


def with_policy(body: bytes, left_s: float, *, is_bulk: bool) -> bytes:
    """The same with how long the platform may keep and run the job, so that none outlives its caller by much."""
    left_ms = round(left_s * 1000)
    policy: dict[str, object] = {
        "executionTimeout": min(MOST_MS, max(MIN_RUN_MS, left_ms)),
        "ttl": min(MOST_MS, max(MIN_TTL_MS, left_ms + TTL_GRACE_MS)),
        **({"lowPriority": True} if is_bulk else {}),
    }
    return body.rstrip().removesuffix(b"}") + b',"policy":' + dump(policy) + b"}"


# ------------------------------------------------------------------------------------------------ what is heard


def status_of(wire: Wire) -> JobStatus:
    """What a reply of status 200 says of a job.

    Raises:
        Upstream: it says nothing of one.
    """
    try:
        status = _STATUS.decode(wire.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Upstream(
            f"the reply is no job's status ({shortened(str(error))}); check url and dialect", retry=True
        ) from error
    job_id = "" if status.id is None else str(status.id)
    if status.status not in (*WAITING, *FAILED, "COMPLETED"):
        raise Upstream(
            f"the reply is no job's status ({shortened(status.status)!r}); check url and dialect", retry=True
        )
    if status.status in WAITING and not ID.fullmatch(job_id):
        raise Upstream(f"the reply has no job's id ({shortened(job_id)!r}); check url and dialect", retry=True)
    return JobStatus(job_id, status.status, bytes(status.output), bytes(status.error), bytes(status.code), wire)


def outcome(status: JobStatus, masked: Callable[[bytes], bytes], *, is_wrapped: bool) -> Wire | EmbedstackError:
    """What became of a job that has ended.

    Args:
        masked: takes the secrets out of an error; numbers may by chance look like one.
        is_wrapped: see `wrapped`; its output is then the reply of the dialect, the only one of a list.
    """
    if status.state != "COMPLETED":
        return _failed(status, masked)
    if status.output in (b"", b"null"):
        return Upstream(NO_OUTPUT)
    error = _error_in(status.output, masked)
    if error is not None:
        return error
    if not is_wrapped:
        return status.wire
    reply = _only(status.output)
    return Wire(200, reply, {**status.wire.headers, **headers_in(reply)})


def _failed(status: JobStatus, masked: Callable[[bytes], bytes]) -> EmbedstackError:
    sentence, code = _said(masked(status.error))
    told = next((one for one in (code, _code(status.code), _code_in(status.output)) if one), "")
    what = FAILED[status.state]
    message = f"{what}: {sentence}" if sentence else what
    if status.state == "FAILED" and told in KINDS:
        return KINDS[told](message)
    return Upstream(message, retry=status.state == "FAILED" and sentence.startswith(LOST_WORKER))


def _said(raw: bytes) -> tuple[str, str]:
    """The sentence and the code of an error: a text, an object, or the JSON of one in a text."""
    if raw in NO_ERROR:
        return "", ""
    with suppress(msgspec.DecodeError):  # what is no text is an object, or shown as it is
        raw = _TEXT.decode(raw).encode(errors="replace")
    return _trouble(raw) or (_shown(raw), "")


def _trouble(raw: bytes) -> tuple[str, str] | None:
    """Of an object that is one."""
    try:
        found = _TROUBLE.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    code = "" if found.code is None else str(found.code)
    if found.error_message is not None:
        kind = re.sub(r"^<class '(?:.*\.)?([\w]+)'>$", r"\1", found.error_type or "")
        return _cut(f"{kind}: {found.error_message}" if kind else found.error_message), code
    if found.message is not None:
        return _cut(found.message), code
    inner, inner_code = _said(bytes(found.error))
    return (inner, code or inner_code) if inner else None


def _error_in(output: bytes, masked: Callable[[bytes], bytes]) -> EmbedstackError | None:
    """Some workers give an error as if it were the output."""
    found = _object(output)
    is_one = found is not None and (found.object == "error" or bytes(found.error) not in NO_ERROR)
    told = _trouble(masked(_only(output))) if is_one else None
    if told is None:
        return None
    sentence, code = told
    return KINDS.get(code, Upstream)(f"the job's output is an error: {sentence}")


def _object(output: bytes) -> _Trouble | None:
    if len(output) > SMALL_BYTES:
        return None
    try:
        return _TROUBLE.decode(_only(output))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _only(output: bytes) -> bytes:
    """The one object of a list, as workers for OpenAI's routes give it; else the whole."""
    if not output.startswith(b"["):
        return output
    try:
        rows = _ROWS.decode(output)
    except (msgspec.DecodeError, RecursionError):
        return output
    return bytes(rows[0]) if len(rows) == 1 and bytes(rows[0]).startswith(b"{") else output


def _code_in(output: bytes) -> str:
    found = _object(output)
    return "" if found is None or found.code is None else str(found.code)


def _code(raw: bytes) -> str:
    try:
        return str(_WORD.decode(raw) or "") if raw else ""
    except msgspec.DecodeError:
        return ""


def _shown(raw: bytes) -> str:
    """What is said in no words that are known, without the trace that may be among it."""
    try:
        fields = _FIELDS.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        fields = {}
    kept = {name: value for name, value in fields.items() if "trace" not in name.lower()}
    raw = raw if len(kept) == len(fields) else msgspec.json.encode(kept)
    return _cut(raw.decode(errors="replace"))


def _cut(text: str) -> str:
    """One line, without a traceback, in which texts may stand."""
    return " ".join(without_trace(text).split())[:MAX_SAID_CHARS]


# ------------------------------------------------------------------------------------------------ other statuses


def refused(wire: Wire, told: EmbedstackError) -> EmbedstackError:
    """The error of a reply of another status than 200, about a job or about its sending.

    Args:
        told: what the dialect makes of it.
    """
    text = told.message.lower()
    if wire.status == 400 and "exceeded max body size" in text:
        return TooLong(f"{told.message}; send fewer or shorter items")
    if "not allowed for qb api" in text:
        return Upstream(f"{told.message}; {OTHER_KIND}")
    if wire.status in (401, 403):
        return told
    if wire.status == 404 and not isinstance(told, UnknownModel):
        return Upstream(f"{told.message}; is the id of the endpoint in the url right?")
    if wire.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not _is_a_job(wire):
        return Upstream(told.message, retry=True)  # the platform's or a gateway's: nothing is known of the job
    return told


def _is_a_job(wire: Wire) -> bool:
    """Whether it is a job that failed, told with the status of its error as a worker without a platform does."""
    try:
        return _STATUS.decode(wire.body).status in FAILED
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def is_passing(wire: Wire) -> bool:
    """Whether a status says nothing of the job, and may be another at once: slow, too many, a server's trouble."""
    passing = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
    return wire.status in passing or wire.status >= HTTPStatus.INTERNAL_SERVER_ERROR
