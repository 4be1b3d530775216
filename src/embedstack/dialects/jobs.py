"""A job of RunPod as its status tells of it: an output becomes a reply, an error a failed job, a reply an output again.

Source: https://docs.runpod.io/serverless/endpoints/operation-reference, `/runsync`; times are in milliseconds.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import orjson

from embedstack.dialects.dialect import Wire
from embedstack.dialects.failure import without_trace
from embedstack.dialects.reply import Shape, understood
from embedstack.dialects.wire import dump, retry_after
from embedstack.errors import EmbedstackError, Upstream
from embedstack.types import Answer, Classified, Encoded, Scored

Json = dict[str, object]


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
    """What a dialect needs of the status of a job that is done; the client reads the others."""

    output: msgspec.Raw


class HeardWrong(msgspec.Struct):
    """What workers write where they have no result, in an output of a job that is COMPLETED nevertheless."""

    message: str


_JOB = msgspec.json.Decoder(HeardJob)
_WRONG = msgspec.json.Decoder(HeardWrong)


# ------------------------------------------------------------------------------------------------ out


def completed(output: object, answers: Answer | tuple[Answer, ...] | None = None, *, in_turn: bool = False) -> Wire:
    """The status of a job that is done.

    Args:
        output: plain data, or JSON bytes.
        answers: what it was made of.
        in_turn: whether they were computed one after another and not at once.
    """
    several = answers if isinstance(answers, tuple) else () if answers is None else (answers,)
    says: Json = {
        "id": f"sync-{uuid.uuid4()}",
        "status": "COMPLETED",
        "delayTime": _milliseconds([one.usage.wait_s for one in several], in_turn=in_turn),
        "executionTime": _milliseconds([one.usage.run_s for one in several], in_turn=in_turn),
        "output": orjson.Fragment(output) if isinstance(output, bytes) else output,
    }
    return Wire(200, dump(says))


def _milliseconds(seconds: Sequence[float], *, in_turn: bool) -> int:
    return round((sum(seconds) if in_turn else max(seconds, default=0.0)) * 1000)


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
    """The JSON of the output of a job that is done.

    Raises:
        Upstream: it has none.
    """
    return bytes(understood(_JOB, wire).output)


def heard_output(decoder: msgspec.json.Decoder[Shape], wire: Wire) -> Shape:
    """A job's output as its struct.

    Raises:
        Upstream: as `output_of`; or it is of another shape, in the worker's words if it has some, which may be long:
            who knows what secrets may be among them takes these out, and cuts then.
    """
    output = output_of(wire)
    try:
        return understood(decoder, Wire(wire.status, output))
    except Upstream as error:
        said = _said(output)
        if not said:
            raise
        raise Upstream(f"the worker there says: {said}") from error


def _said(output: bytes) -> str:
    try:
        return without_trace(_WRONG.decode(output).message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
