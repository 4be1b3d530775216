"""Jina's embeddings body becomes a request, and vectors become its reply in the types that were asked for."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from embedstack.dialects.dialect import Field, Limits, Wire
from embedstack.dialects.openai_shape import TokenUsage, token_usage
from embedstack.dialects.pictures import picture
from embedstack.dialects.reply import must_carry, one_role, texts_of
from embedstack.dialects.roles import Published, role_for, word_for
from embedstack.dialects.typed import typed
from embedstack.dialects.wire import Count, Misfit, Name, as_floats, check_count, decode, dump, model_for
from embedstack.errors import Unsupported
from embedstack.modelspec import Input, ModelSpec, Output, Truncate
from embedstack.types import DENSE, Encode, Encoded, Image, Link, Text

SIDES = {"query": "query", "passage": "document"}
KINDS = ("retrieval", "code", "nl2code", "qa", "code2code", "code2nl", "code2completion")  # the first is what we say
TASKS: Published = {
    **{f"{kind}.{side}": (role,) for kind in KINDS for side, role in SIDES.items()},
    "text-matching": ("text-matching",),
    "classification": ("classification",),
    "clustering": ("clustering", "separation"),
    "separation": ("separation", "clustering"),
}
"""The tasks of all models in openapi.json; v3 calls `separation` what v5 calls `clustering`."""
CARRIES: frozenset[Field] = frozenset({"role", "dim", "normalize", "late_chunking"})
MULTI: frozenset[Output] = frozenset({"multi"})
NO_PDF = "no model for PDF is served here; send its pages as texts or images"
NO_TOKENS = "the tokens of multi-vectors are not shown here; leave return_tokenized_input out"
OWN_WIDTH = "multi-vectors have the model's own width; leave dimensions out, or return_multivector"
FLOATS_ONLY = "multi-vectors are given as floats; leave embedding_type out, or return_multivector"

VectorName = Literal["float", "base64", "binary", "ubinary", "float16"]  # the last is not of the original


class Doc(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One thing to embed; `url` and `bytes` are older words for an image."""

    text: str | None = None
    image: str | None = None
    url: str | None = None
    bytes: str | None = None
    pdf: str | None = None


class EmbeddingsBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What is asked for."""

    input: str | Doc | list[str | Doc]
    model: Name | None = None
    task: Name | None = None
    input_type: Name | None = None  # a task's word at multi-vector models: query or document
    dimensions: Count | None = None
    embedding_type: VectorName | Annotated[list[VectorName], msgspec.Meta(min_length=1, max_length=5)] | None = None
    encoding_format: VectorName | None = None  # OpenAI's word for embedding_type
    encoding_type: VectorName | None = None  # LlamaIndex' word for it
    late_chunking: bool | None = None
    truncate: bool | None = None
    normalized: bool | None = None  # to length 1, unless it is false
    return_multivector: bool | None = None
    return_tokenized_input: bool | None = None


class ByType(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One vector in several types."""

    floats: list[float] | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="float")
    base64: str | msgspec.UnsetType = msgspec.UNSET
    binary: list[int] | msgspec.UnsetType = msgspec.UNSET
    ubinary: list[int] | msgspec.UnsetType = msgspec.UNSET
    float16: list[float] | msgspec.UnsetType = msgspec.UNSET


class JinaRow(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One item's vector, or its vectors."""

    object: Literal["embedding", "embeddings"]
    index: int
    embedding: list[float] | str | ByType | msgspec.UnsetType = msgspec.UNSET
    embeddings: list[list[float]] | msgspec.UnsetType = msgspec.UNSET  # only if return_multivector


class JinaEmbeddings(msgspec.Struct, forbid_unknown_fields=True):
    """The vectors, in the order of the inputs."""

    object: Literal["list"]
    data: list[JinaRow]
    model: str
    usage: TokenUsage


_BODY = msgspec.json.Decoder(EmbeddingsBody)


def read(raw: bytes) -> EmbeddingsBody:
    """Bytes to a body."""
    return decode(_BODY, raw)


def ask(body: EmbeddingsBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    """Vectors of the items, one or several each."""
    _check(body)
    inputs = body.input if isinstance(body.input, list) else [body.input]
    check_count(len(inputs), limits, "input")
    parts = [_part(one, place) for place, one in enumerate(inputs)]
    kind: Input = "text" if all(isinstance(part, str) for part in parts) else "image"
    model = model_for("embed", body.model, models, kind)
    role = _role(body, limits.spec_of(model, models))
    return Encode(
        model=model,
        items=tuple(Text(part, role) if isinstance(part, str) else part for part in parts),
        outputs=MULTI if body.return_multivector else DENSE,
        dim=body.dimensions,
        normalize=body.normalized is not False,
        late_chunking=bool(body.late_chunking),
        truncate=truncation(body.truncate, limits),
    )


def _role(body: EmbeddingsBody, spec: ModelSpec | None) -> str:
    """Of the texts; no model of the original has both fields."""
    said = {"task": body.task, "input_type": body.input_type}
    roles = {role_for(word, field, TASKS, spec) for field, word in said.items() if word is not None}
    if len(roles) > 1:
        raise Misfit(f"task {body.task!r} and input_type {body.input_type!r} differ; send one of them", "input_type")
    return next(iter(roles), "document")


def truncation(allowed: bool | None, limits: Limits) -> Truncate:
    """Which end is cut, or refuse; the server's setting where the body does not say."""
    if allowed is None:
        return limits.truncate
    if not allowed:
        return "refuse"
    return "left" if limits.truncate == "left" else "right"


def _check(body: EmbeddingsBody) -> None:
    """Refuse what cannot be given, before anything is computed."""
    if body.return_tokenized_input:
        raise Unsupported(NO_TOKENS)
    if body.return_multivector and _types(body) != ["float"]:
        raise Unsupported(FLOATS_ONLY)
    if body.return_multivector and body.dimensions is not None:
        raise Unsupported(OWN_WIDTH)


def _part(one: str | Doc, place: int) -> str | Image | Link:
    if isinstance(one, str):
        return one
    if one.pdf is not None:
        raise Unsupported(NO_PDF)
    pictures = [value for value in (one.image, one.url, one.bytes) if value is not None]
    if len(pictures) + (one.text is not None) != 1:
        raise Misfit(f"input[{place}] is neither a text nor an image; send one of: text, image", "input")
    return picture(pictures[0], "input", place) if one.text is None else one.text


def _types(body: EmbeddingsBody) -> list[VectorName]:
    kinds = body.embedding_type or body.encoding_format or body.encoding_type or "float"
    return [kinds] if isinstance(kinds, str) else kinds


def write(body: EmbeddingsBody, answer: Encoded) -> Wire:
    """A row for each item: one vector in one type or several, or several vectors."""
    rows = _several(answer) if body.return_multivector else _single(body, answer)
    data = [{"object": _object(row), "index": index, **row} for index, row in enumerate(rows)]
    usage = token_usage(answer.usage)
    return Wire(200, dump({"object": "list", "data": data, "model": answer.spec.name, "usage": usage}))


def _object(row: dict[str, object]) -> str:
    return next(iter(row))  # it is called as its key


def _single(body: EmbeddingsBody, answer: Encoded) -> list[dict[str, object]]:
    assert answer.dense is not None
    kinds = _types(body)
    columns = {kind: typed(answer.dense, kind) for kind in kinds}
    if not isinstance(body.embedding_type, list):
        return [{"embedding": value} for value in columns[kinds[0]]]
    return [{"embedding": {kind: column[i] for kind, column in columns.items()}} for i in range(len(answer.dense))]


def _several(answer: Encoded) -> list[dict[str, object]]:
    assert answer.multi is not None
    return [{"embeddings": [as_floats(row) for row in rows]} for rows in answer.multi]


def say(request: Encode) -> EmbeddingsBody:
    """What a client says."""
    must_carry(request, CARRIES, "jina")
    return EmbeddingsBody(
        input=[*texts_of(request)],
        model=request.model or None,
        task=word_for(one_role(request), TASKS),
        dimensions=request.dim,
        embedding_type="base64",  # a quarter of the bytes
        late_chunking=request.late_chunking or None,
        truncate=True,
        normalized=request.normalize,
    )
