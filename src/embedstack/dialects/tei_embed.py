"""`/embed`, `/embed_sparse` and `/embed_all` of Text Embeddings Inference: vectors as bare arrays.

Source: https://github.com/huggingface/text-embeddings-inference, router/src/http at 0d124dc. A text without
`prompt_name` gets no prompt there. `/embed_all` gives the last hidden states of all tokens that the model reads, those
of a prompt and special ones too, neither pooled nor of length 1. ColBERT vectors, which some models have, are something
else. The original has none of SPLADE models; here these have states, too.
"""

from collections.abc import Sequence

import msgspec

from embedstack.dialects.arrays import SparseValue, sparse_rows
from embedstack.dialects.dialect import AnyRoute, Field, Heard, Limits, Route, Wire
from embedstack.dialects.reply import must_carry, one_role, texts_of, understood, vectors, whole_number
from embedstack.dialects.tei_terms import (
    SPLADE,
    Prompted,
    WrongKind,
    characters,
    items_from,
    model_giving,
    model_of,
    side,
    spent,
    truncation,
)
from embedstack.dialects.wire import Count, as_floats, decode, dump, encoder_of
from embedstack.modelspec import ModelSpec
from embedstack.types import STATES, Encode, Encoded

CARRIES: frozenset[Field] = frozenset({"role", "dim", "normalize", "truncate"})
TWO = ["what is a cat?", "why does rain fall?"]


class EmbedBody(Prompted, kw_only=True, omit_defaults=True):
    """What is asked for."""

    normalize: bool = True
    dimensions: Count | None = None


class EmbedSparseBody(Prompted, kw_only=True, omit_defaults=True):
    """What is asked for."""


class EmbedAllBody(Prompted, kw_only=True, omit_defaults=True):
    """What is asked for."""


_EMBED = msgspec.json.Decoder(EmbedBody)
_SPARSE = msgspec.json.Decoder(EmbedSparseBody)
_ALL = msgspec.json.Decoder(EmbedAllBody)
_VECTORS: msgspec.json.Decoder[list[list[float]]] = msgspec.json.Decoder(list[list[float]])


def embed_route() -> AnyRoute:
    """`/embed`."""
    return Route(
        path="/embed",
        task="embed",
        summary="Vectors of texts, as Text Embeddings Inference gives them.",
        body=EmbedBody,
        reply=list[list[float]],
        example=EmbedBody(inputs=[*TWO], prompt_name="query"),
        read=lambda raw: decode(_EMBED, raw),
        ask=_ask_embed,
        write=_write_embed,
        carries=CARRIES,
        say=_say,
        hear=_hear,
        unsaid_role="none",
    )


def any_route(path: str) -> AnyRoute:
    """What the original has at `/` for an embedding model: dense vectors, or sparse ones where it has no others."""
    return Route(
        path=path,
        task="embed",
        summary="Vectors of texts, as the only embedding model gives them.",
        body=EmbedBody,
        reply=list[list[float | SparseValue]],
        example=EmbedBody(inputs=[*TWO]),
        read=lambda raw: decode(_EMBED, raw),
        ask=_ask_any,
        write=_write_any,
    )


def sparse_route() -> AnyRoute:
    """`/embed_sparse`."""
    return Route(
        path="/embed_sparse",
        task="embed",
        summary="Lexical weights of texts, as Text Embeddings Inference gives them.",
        body=EmbedSparseBody,
        reply=list[list[SparseValue]],
        example=EmbedSparseBody(inputs=[*TWO]),
        read=lambda raw: decode(_SPARSE, raw),
        ask=_ask_sparse,
        write=_write_sparse,
    )


def all_route() -> AnyRoute:
    """`/embed_all`."""
    return Route(
        path="/embed_all",
        task="embed",
        summary="Last hidden states of all tokens of texts, as Text Embeddings Inference gives them.",
        body=EmbedAllBody,
        reply=list[list[list[float]]],
        example=EmbedAllBody(inputs=[*TWO]),
        read=lambda raw: decode(_ALL, raw),
        ask=_ask_all,
        write=_write_all,
    )


# ------------------------------------------------------------------------------------------------ vectors


def _ask_embed(body: EmbedBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    return Encode(
        model=model_of("embed", body.model, limits, models),
        items=items_from(body, limits),
        dim=body.dimensions,
        normalize=body.normalize,
        truncate=truncation(body, limits),
    )


def _write_embed(body: EmbedBody, answer: Encoded) -> Wire:
    assert answer.dense is not None
    return Wire(200, dump([as_floats(row) for row in answer.dense]), spent(answer.usage, characters(body.inputs)))


def _say(request: Encode) -> EmbedBody:
    must_carry(request, CARRIES, "tei")
    role = one_role(request)
    return EmbedBody(
        inputs=[*texts_of(request)],
        truncate=request.truncate != "refuse",
        truncation_direction=side(request.truncate),
        prompt_name=None if role == "none" else role,
        normalize=request.normalize is not False,
        dimensions=request.dim,
        model=request.model or None,
    )


def _hear(wire: Wire, request: Encode) -> Heard:
    rows = understood(_VECTORS, wire)
    return Heard(vectors(rows, len(request.items)), whole_number(wire.headers.get("x-compute-tokens")))


# ------------------------------------------------------------------------------------------------ lexical weights


def _ask_sparse(body: EmbedSparseBody | EmbedBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    return Encode(
        model=model_giving("sparse", SPLADE, body.model, limits, models),
        items=items_from(body, limits),
        outputs=frozenset({"sparse"}),
        truncate=truncation(body, limits),
    )


def _write_sparse(body: EmbedSparseBody | EmbedBody, answer: Encoded) -> Wire:
    return Wire(200, dump(sparse_rows(answer)), spent(answer.usage, characters(body.inputs)))


def _ask_any(body: EmbedBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    name = model_of("embed", body.model, limits, models)
    spec = limits.spec_of(name, models)
    is_sparse = spec is not None and "dense" not in spec.outputs
    return _ask_sparse(body, limits, models) if is_sparse else _ask_embed(body, limits, models)


def _write_any(body: EmbedBody, answer: Encoded) -> Wire:
    return _write_sparse(body, answer) if answer.dense is None else _write_embed(body, answer)


# ------------------------------------------------------------------------------------------------ states of tokens


def _ask_all(body: EmbedAllBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    items = items_from(body, limits)
    name = model_of("embed", body.model, limits, models)
    spec = limits.spec_of(name, models)
    if spec is not None and (other := encoder_of(spec)):
        raise WrongKind(
            f"`embed_all` is not available: {name!r} is run by the {other}, which shows no states of tokens; "
            "use /embed, or serve a model of a family that needs no other runtime"
        )
    return Encode(model=name, items=items, outputs=STATES, truncate=truncation(body, limits))


def _write_all(body: EmbedAllBody, answer: Encoded) -> Wire:
    assert answer.states is not None
    rows = [[as_floats(state) for state in states] for states in answer.states]
    return Wire(200, dump(rows), spent(answer.usage, characters(body.inputs)))
