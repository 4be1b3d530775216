"""Jobs for vectors of texts become Encodes, and what comes of them outputs; and the inverse.

A list of `texts` is the input of three workers, whose clients read different keys: the output has all of them, with
the numbers once. Vectors have length 1 unless `normalize` is false; so had all originals but one.
"""

import base64
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np

from embedstack.dialects.dialect import AnyRoute, Field, Heard, Limits, Route, Wire
from embedstack.dialects.infinity import EmbeddingsBody, ask_embeddings
from embedstack.dialects.jobs import Json, completed, heard_output
from embedstack.dialects.kriptikworker_text import heads, outputs_of, text_model
from embedstack.dialects.openai_shape import embeddings
from embedstack.dialects.reply import Packed, must_be_unit, must_carry, one_role, texts_of, vectors
from embedstack.dialects.runpod_identity import HeardMadeBy, claim_of, made, must_have_heeded, tokens_of
from embedstack.dialects.runpod_input import PATH, JobRefused, Kind, reader
from embedstack.dialects.runpod_outputs import InfinityReply, VectorsReply
from embedstack.dialects.runpod_shapes import InfinityJob, TextsInput, TextsJob, Written
from embedstack.dialects.wire import as_base64, as_floats, check_count, milliseconds
from embedstack.errors import Unsupported
from embedstack.modelspec import ModelSpec
from embedstack.types import Encode, Encoded, Floats, Text

CARRIES: frozenset[Field] = frozenset({"role", "dim", "normalize", "max_tokens", "truncate"})
PACKED: dict[str, Packed] = {"float16": "<f2"}
TWO = ["a cat is a small animal", "rain falls"]


class HeardVectors(HeardMadeBy, kw_only=True):
    """What a client needs of an output; other workers give `embeddings` alone."""

    embeddings: list[list[float] | str]
    encoding_format: str | None = None


_HEARD = msgspec.json.Decoder(HeardVectors)


def vector_routes() -> Mapping[Kind, AnyRoute]:
    """Jobs with texts under two names."""
    return {
        "texts": Route(
            path=PATH,
            task="embed",
            summary="A job with texts: their vectors, under the names of all workers that take such jobs.",
            body=TextsJob,
            reply=VectorsReply,
            example=TextsJob(TextsInput(texts=[*TWO])),
            read=reader("texts", TextsJob),
            ask=ask_texts,
            write=write_texts,
            carries=CARRIES,
            say=say_texts,
            hear=hear_vectors,
            overlooks_role=True,
        ),
        "infinity": Route(
            path=PATH,
            task="embed",
            summary="A job with an input: its vectors, as Infinity's worker gives them.",
            body=InfinityJob,
            reply=InfinityReply,
            example=InfinityJob(EmbeddingsBody(input=[*TWO])),
            read=reader("infinity", InfinityJob),
            ask=ask_infinity,
            write=write_infinity,
        ),
    }


# ------------------------------------------------------------------------------------------------ the server's half


def ask_texts(body: TextsJob, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    """The vectors that the options choose."""
    given = body.input
    texts = texts_or_refusal(given.texts or given.text)
    check_count(len(texts), limits, "input.texts")
    return Encode(
        model=text_model(given.model, limits, models),
        items=tuple(Text(text, given.role or "document") for text in texts),
        outputs=outputs_of(given.options),
        dim=given.dim,
        normalize=_is_unit(body),
        max_tokens=given.max_tokens or given.options.max_length,
        truncate=given.truncate or limits.truncate,
    )


def texts_or_refusal(texts: str | list[str] | None) -> list[str]:
    """As a list.

    Raises:
        JobRefused: there are none, in the words of two originals.
    """
    if not texts:
        raise JobRefused("No texts provided", "texts", embeddings=[])
    return [texts] if isinstance(texts, str) else texts


def write_texts(body: TextsJob, answer: Encoded) -> Wire:
    """Under all names."""
    more = {"texts_processed": answer.usage.items, **heads(answer)}
    return written(answer, body.input.encoding_format, is_unit=_is_unit(body), more=more)


def _is_unit(body: TextsJob) -> bool:
    return body.input.normalize is not False


def written(answer: Encoded, form: Written | None, *, is_unit: bool = True, more: Json | None = None) -> Wire:
    """An output with `embeddings`, how many and how wide they are, and who made them.

    Raises:
        Unsupported: a number does not fit the form.
    """
    rows = [] if answer.dense is None else rows_as(answer, form)
    width = answer.spec.dim if answer.dense is None else answer.dense.shape[1]
    output: Json = {
        "embeddings": rows,
        "metadata": {"count": len(rows), "dimension": width, "duration": milliseconds(answer.usage)},
        **(more or {}),
        **form_of(form),
        **made(answer),
    }
    if answer.dense is not None or answer.multi is not None:
        output |= {"dimensions": width, "normalized": is_unit}
    return completed(output, answer)


def rows_as(answer: Encoded, form: Written | None) -> list[object]:
    """The vectors, as the job wants them written.

    Raises:
        Unsupported: a number does not fit the form.
    """
    assert answer.dense is not None
    return [WRITERS[form or "float"](row) for row in answer.dense]


def form_of(form: Written | None) -> Json:
    """What says how vectors are written, where they are no numbers."""
    return {} if form in (None, "float") else {"encoding_format": form}


def _as_float16(row: Floats) -> str:
    with np.errstate(over="ignore"):  # what becomes infinite is refused
        halves = row.astype("<f2")
    if not np.isfinite(halves).all():
        raise Unsupported("a number of a vector is over 65504, the most that float16 holds; ask for base64")
    return base64.b64encode(halves.tobytes()).decode("ascii")


WRITERS: Mapping[Written, Callable[[Floats], object]] = {
    "float": as_floats,
    "base64": as_base64,
    "float16": _as_float16,
}


def ask_infinity(body: InfinityJob, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    """As Infinity itself asks."""
    return ask_embeddings(body.input, limits, models)


def write_infinity(body: InfinityJob, answer: Encoded) -> Wire:
    """As OpenAI has it; KripTik's own provider reads this, too."""
    return completed({**made(answer), **embeddings(answer, body.input.encoding_format)}, answer)


# ------------------------------------------------------------------------------------------------ the client's half


def say_texts(request: Encode) -> TextsJob:
    """What a client says."""
    must_carry(request, CARRIES, "runpod")
    role = one_role(request)
    given = TextsInput(
        texts=texts_of(request),
        model=request.model or None,
        role=None if role == "document" else role,
        encoding_format="base64",  # a quarter of the bytes; other workers send numbers
        dim=request.dim,
        max_tokens=request.max_tokens,
        truncate=request.truncate,
        normalize=request.normalize,
    )
    return TextsJob(given)


def hear_vectors(wire: Wire, request: Encode) -> Heard:
    """The vectors of a job, in the order of the request, as our worker or another one gives them."""
    heard = heard_output(_HEARD, wire)
    claim = claim_of(heard)
    must_have_heeded(request, claim)
    packed = PACKED.get(heard.encoding_format or "", "<f4")
    rows = vectors(heard.embeddings, len(request.items), packed)
    if claim is None:
        must_be_unit(rows, request)
    return Heard(rows, tokens_of(heard, claim), claim)
