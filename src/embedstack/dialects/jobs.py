"""A job of RunPod as its status tells of it: an output becomes a reply, an error a failed job, a reply an output again.

Source: https://docs.runpod.io/serverless/endpoints/operation-reference, `/runsync`; times are in milliseconds.
"""

import uuid
from collections.abc import Mapping
from typing import Literal

import msgspec
import orjson

from embedstack.dialects.dialect import Wire
from embedstack.dialects.reply import Shape, understood
from embedstack.dialects.wire import dump, retry_after, shortened
from embedstack.errors import EmbedstackError, Upstream
from embedstack.types import Answer, Classified, Encoded, Scored

Json = dict[str, object]
MAX_SAID_CHARS = 1000  # of what a worker says, in a message


class JobDone(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A job that is done; what it gives stands in `output`."""

    id: str
    status: Literal["COMPLETED"]
    delay_time: int
    execution_time: int


class JobFailure(msgspec.Struct, forbid_unknown_fields=True):
    """A job that failed."""

    status: Literal["FAILED"]
    error: str
    code: str


class HeardJob(msgspec.Struct):
    """What a client needs of a job's status."""

    status: str = ""
    output: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


class HeardWrong(msgspec.Struct):
    """What workers write where they have no result, in an output of a job that is COMPLETED nevertheless."""

    error: str | None = None
    message: str | None = None


_JOB = msgspec.json.Decoder(HeardJob)
_WRONG = msgspec.json.Decoder(HeardWrong)


# ------------------------------------------------------------------------------------------------ out


def completed(output: object, answers: Answer | tuple[Answer, ...] | None = None) -> Wire:
    """The status of a job that is done.

    Args:
        output: plain data, or JSON bytes.
        answers: what it was made of; they were computed at once.
    """
    several = answers if isinstance(answers, tuple) else () if answers is None else (answers,)
    says: Json = {
        "id": f"sync-{uuid.uuid4()}",
        "status": "COMPLETED",
        "delayTime": round(max((one.usage.wait_s for one in several), default=0.0) * 1000),
        "executionTime": round(max((one.usage.run_s for one in several), default=0.0) * 1000),
        "output": orjson.Fragment(output) if isinstance(output, bytes) else output,
    }
    return Wire(200, dump(says))


def failed(error: EmbedstackError, beside: Mapping[str, object] | None = None) -> Wire:
    """The status of a job that failed, with the HTTP status that says whose fault it is.

    Args:
        beside: what else a worker gives with the error.
    """
    body: Json = {"status": "FAILED", "error": error.message, "code": error.code, **(beside or {})}
    return Wire(error.status, dump(body), retry_after(error))


def made_by(answer: Encoded | Scored | Classified) -> Json:
    """Who made an output: a job's reply has no headers that reach its client."""
    return {"model": answer.spec.name, "space": answer.spec.space, "fingerprint": answer.fingerprint}


def joined(output: bytes, more: Json) -> bytes:
    """A JSON object with more keys; where it has one of them, its own value stays."""
    own = msgspec.json.decode(output, type=dict[str, msgspec.Raw])
    missing = {name: value for name, value in more.items() if name not in own}
    if not missing:
        return output
    return output[:-1] + (b"," if own else b"") + dump(missing)[1:]


# ------------------------------------------------------------------------------------------------ in


def output_of(wire: Wire) -> bytes:
    """The JSON of a job's output.

    Raises:
        Upstream: the job is not done, failed, or gave nothing.
    """
    job = understood(_JOB, wire)
    if job.status == "COMPLETED" and job.output:
        return bytes(job.output)
    if job.status == "COMPLETED":
        raise Upstream("the job is done and gave no output; the worker there sent none, or more than may be sent")
    said = f": {_text(bytes(job.error))}" if job.error else ""
    status = shortened(job.status) or "without a status"
    raise Upstream(f"the job is {status}{said}; only one that is COMPLETED has an output")


def heard_output(decoder: msgspec.json.Decoder[Shape], wire: Wire) -> Shape:
    """A job's output as its struct.

    Raises:
        Upstream: as `output_of`; or it is of another shape, in the worker's words if it has some.
    """
    output = output_of(wire)
    try:
        return understood(decoder, Wire(wire.status, output))
    except Upstream as error:
        said = _said(output)
        if not said:
            raise
        raise Upstream(f"the worker there says: {said[:MAX_SAID_CHARS]}") from error


def _said(output: bytes) -> str:
    try:
        wrong = _WRONG.decode(output)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return wrong.error or wrong.message or ""


def _text(raw: bytes) -> str:
    """An error is a sentence, or JSON that holds one."""
    return shortened(raw.decode(errors="replace").strip('"'))
