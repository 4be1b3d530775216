"""What dialects share: JSON in and out, items from inputs, the errors that only a wire knows, identity as headers."""

import base64
import math
import re
from collections.abc import Sequence
from typing import Annotated, TypeAlias, TypeVar
from urllib.parse import quote

import msgspec
import orjson

from embedstack.dialects import cl100k
from embedstack.dialects.dialect import Claim, Limits
from embedstack.errors import BadRequest, EmbedstackError, NotReady, Overloaded, TooLong, UnknownModel, Unsupported
from embedstack.modelspec import Input, ModelSpec, Task
from embedstack.types import Answer, Decoded, Floats, Text, Tokenized, Tokens, Usage

Inputs: TypeAlias = str | list[str | int | list[int]]
"""One text, one list of token ids, or a list of either."""

MAX_NAME_CHARS = 256
Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARS)]
"""A model, a role or a user: compared with what is there, and quoted where it is not, so it must be short."""

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
"""A width, or a number of tokens or results: at least one, and of 32 bits."""

QUOTED_CHARS = 200  # of what a caller sent, in a message

LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)
IDS_REFUSED = (
    "arrays of token ids are refused: clients send the ids of another vocabulary, and the vectors would mean nothing; "
    "send text (LangChain: check_embedding_ctx_length=False), "
    "or set EMBEDSTACK_TOKEN_IDS=model if the ids are the model's own"
)

Shape = TypeVar("Shape")


class Misfit(BadRequest):
    """The body is no JSON, or not of the shape that the route takes."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param  # the field of the body that is wrong


class EmptyList(Misfit):
    """A list of inputs without an input."""


class TooManyItems(Misfit):
    """More items than one request may hold."""


class OtherShape(Misfit):
    """The body is for another route of the dialect at the same path, which takes it or says what is wrong."""


class BodyTooLong(TooLong):
    """The body is over the limit; it was not read to its end."""


class BodyTooSlow(BadRequest):
    """The body stopped coming before its end."""

    status = 408
    code = "body_timeout"


class PackedBody(BadRequest):
    """The body is compressed: a small one could become very large."""

    status = 415
    code = "packed_body"


class NoRoute(BadRequest):
    """No such path here."""

    status = 404
    code = "no_route"


class WrongMethod(BadRequest):
    """The path is here, the method is not."""

    status = 405
    code = "wrong_method"


# ------------------------------------------------------------------------------------------------ in


def decode(decoder: msgspec.json.Decoder[Shape], raw: bytes) -> Shape:
    """The body as its struct.

    Raises:
        Misfit: not JSON, not UTF-8, or of another shape.
    """
    try:
        if not raw.isascii():
            raw.decode()  # the decoder looks only at what it keeps, and a field in another encoding would be overlooked
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise Misfit(f"the body does not fit: {shortened(str(error))}", _field(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Misfit(_why_no_json(raw, error)) from error


def _field(message: str) -> str | None:
    """The name of the field that msgspec complains of: `… at `$.input[3]`` or `… field `x``."""
    found = re.search(r"at `\$\.(\w+)|field `(\w+)`", message)
    return next((shortened(name) for name in found.groups() if name), None) if found else None


def _why_no_json(raw: bytes, error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"the body is not UTF-8 (byte {error.object[error.start]:#04x}); send UTF-8"
    if isinstance(error, RecursionError):
        return "the body is nested too deeply; send the object that the route takes"
    lone = LONE_SURROGATE.search(raw)
    if lone:
        return f"the body holds a lone surrogate at byte {lone.start()}; send valid Unicode"
    return f"the body is not JSON ({shortened(str(error))}); send a JSON object"


def shortened(text: str) -> str:
    """What a caller sent, as a message may quote it: whole if it is short, else its start and its end."""
    half = QUOTED_CHARS // 2
    return text if len(text) <= QUOTED_CHARS else f"{text[:half]}…{text[-half:]}"


def items_of(
    inputs: Inputs, role: str | None, limits: Limits, name: str, *, unsaid: str = "document"
) -> tuple[Text | Tokens, ...]:
    """One item for each input.

    Args:
        role: of the texts, None where the body does not say.
        name: the field of the body that held them.
        unsaid: the role where the body does not say.
    Raises:
        EmptyList, TooManyItems, Unsupported: see the message.
    """
    if isinstance(inputs, str):
        return (Text(inputs, role or unsaid),)
    kinds = {type(one) for one in inputs}
    if kinds == {int}:
        return _read([[one for one in inputs if isinstance(one, int)]], role, limits, name, unsaid)
    check_count(len(inputs), limits, name)
    if int in kinds:
        raise Misfit(f"{name} mixes token ids with other inputs; send texts, or lists of token ids", name)
    return _read([one for one in inputs if not isinstance(one, int)], role, limits, name, unsaid)


def _read(
    inputs: Sequence[str | list[int]], role: str | None, limits: Limits, name: str, unsaid: str
) -> tuple[Text | Tokens, ...]:
    arrays = [one for one in inputs if isinstance(one, list)]
    read = iter(_tokens(arrays, role, limits, name, unsaid) if arrays else ())
    return tuple(Text(one, role or unsaid) if isinstance(one, str) else next(read) for one in inputs)


def _tokens(
    arrays: Sequence[list[int]], role: str | None, limits: Limits, name: str, unsaid: str
) -> Sequence[Text | Tokens]:
    match limits.token_ids:
        case "model" if role not in (None, "none"):
            raise Unsupported(
                f"{name} holds token ids, and no prompt for {role!r} goes in front of them; send texts, or leave it out"
            )
        case "model":
            return [Tokens(tuple(ids)) for ids in arrays]
        case "cl100k":
            return [Text(text, role or unsaid) for text in cl100k.texts_of(arrays)]
        case "refuse":
            raise Unsupported(IDS_REFUSED)


def check_count(count: int, limits: Limits, name: str) -> None:
    """Refuse none and too many."""
    if not count:
        raise EmptyList(f"{name} is an empty list; send at least one item", name)
    if count > limits.max_items:
        raise TooManyItems(f"{name} holds {count} items, the limit is {limits.max_items}; send several requests", name)


def model_for(
    task: Task | None, named: str | None, models: Sequence[ModelSpec], what: Input = "text", *, param: str = "model"
) -> str:
    """The model that the body names, else the only one of the task and the input.

    One that takes nothing else comes before one that takes more: beside a model for texts, one for images that reads
    texts, too, gets the images alone.

    Args:
        task: None where any model will do.
        what: the kind of the items.
        param: the field of the body that would name it.
    Raises:
        UnknownModel: none is served for the task. Unsupported: none for this kind of item.
        Misfit: several are, and the body must name one.
    """
    if named:
        return named
    able = [spec for spec in models if task in (None, spec.task)]
    alone = [spec.name for spec in able if spec.inputs == (what,)]
    fitting = alone or [spec.name for spec in able if what in spec.inputs]
    if not fitting and what != "text":
        raise Unsupported(f"no model for {what}s is served here; start the server with one: --models")
    if not fitting:
        wanted = f"no model for the task {task!r}" if task else "no model"
        raise UnknownModel(f"{wanted} is served here; start the server with one: --models")
    if len(fitting) > 1:
        raise Misfit(f"several models are served; name one of: {', '.join(fitting)}", param)
    return fitting[0]


# ------------------------------------------------------------------------------------------------ out


def dump(value: object) -> bytes:
    """JSON bytes; numpy arrays are written straight."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def as_floats(row: Floats) -> orjson.Fragment:
    """A vector as a JSON array of its shortest float32 digits.

    One row at a time, because orjson holds the interpreter's lock: between rows others get it.
    """
    return orjson.Fragment(dump(row))


def as_base64(row: Floats) -> str:
    """A vector as base64 of little-endian float32."""
    return base64.b64encode(row.astype("<f4", copy=False).tobytes()).decode("ascii")


def identity(answer: Answer) -> dict[str, str]:
    """Which model made the answer, and what was cut away, as headers."""
    spec, usage = answer.spec, answer.usage
    fingerprint = "" if isinstance(answer, Tokenized | Decoded) else answer.fingerprint
    return {
        **claim_headers(Claim(spec.name, spec.space, fingerprint, usage.truncated, usage.dropped)),
        "server-timing": _timing(usage),
        **({"x-embedstack-encoder": encoder} if (encoder := encoder_of(spec)) else {}),
    }


def claim_headers(claim: Claim) -> dict[str, str]:
    """A claim as `reply.claimed` reads it."""
    return {
        "x-embedstack-model": quote(claim.model, safe="/:@+ "),
        "x-embedstack-space": claim.space,
        **({"x-embedstack-fingerprint": claim.fingerprint} if claim.fingerprint else {}),
        "x-embedstack-truncated": str(claim.truncated),
        "x-embedstack-dropped-tokens": str(claim.dropped),
    }


def identities(answers: Sequence[Answer]) -> dict[str, str]:
    """Of several answers in one reply: each header has all of their values, in order, with commas between."""
    told = [identity(answer) for answer in answers]
    names = dict.fromkeys(name for one in told for name in one)
    return {name: ", ".join(one.get(name, "") for one in told) for name in names}


def _timing(usage: Usage) -> str:
    """Milliseconds by stage, as browsers' developer tools show them (https://www.w3.org/TR/server-timing/)."""
    stages = {"tokenize": usage.tokenize_s, "queue": usage.wait_s, "inference": usage.run_s}
    return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in stages.items())


def milliseconds(usage: Usage) -> int:
    """Of waiting and of the device, for replies that say how long it took."""
    return round((usage.wait_s + usage.run_s) * 1000)


def encoder_of(spec: ModelSpec) -> str:
    """Whose code made the answer, where it was not ours; empty where it was."""
    return "reference (sentence-transformers)" if spec.architecture.family.startswith("reference:") else ""


def retry_after(error: EmbedstackError) -> dict[str, str]:
    """The header that says when to try again, for errors that pass."""
    match error:
        case Overloaded() | NotReady():
            return {"retry-after": str(max(1, math.ceil(error.retry_after_s)))}
        case _:
            return {}
