"""`/similarity` of Text Embeddings Inference: one text and others become their cosines.

Source: https://github.com/huggingface/text-embeddings-inference, router/src/http/server.rs, `similarity`, at 0d124dc.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from embedstack.dialects.dialect import AnyRoute, Limits, Route, Wire
from embedstack.dialects.tei_terms import Prompted, Side, items_from, model_of, spent, truncation
from embedstack.dialects.wire import Name, TooManyItems, check_count, decode, dump
from embedstack.modelspec import ModelSpec
from embedstack.types import Encode, Encoded, Floats


class SimilarityInput(msgspec.Struct):
    """One text and those that it is compared with."""

    source_sentence: str
    sentences: list[str]


class SimilarityParameters(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How the texts are read."""

    truncate: bool | None = None
    truncation_direction: Side | None = None
    prompt_name: Name | None = None


class SimilarityBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is asked for."""

    inputs: SimilarityInput
    parameters: SimilarityParameters | None = None
    model: Name | None = None


_SIMILARITY = msgspec.json.Decoder(SimilarityBody)


def similarity_route(path: str = "/similarity") -> AnyRoute:
    """`/similarity`."""
    sentences = ["rain falls", "a cat is a small animal"]
    return Route(
        path=path,
        task="embed",
        summary="Cosine similarities of one text with others, as Text Embeddings Inference gives them.",
        body=SimilarityBody,
        reply=list[float],
        example=SimilarityBody(inputs=SimilarityInput("what is a cat?", sentences)),
        read=lambda raw: decode(_SIMILARITY, raw),
        ask=_ask_similarity,
        write=_write_similarity,
    )


def _ask_similarity(body: SimilarityBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    read = _as_prompted(body)
    check_count(len(body.inputs.sentences), limits, "inputs.sentences")
    count = len(body.inputs.sentences) + 1
    if count > limits.max_items:
        raise TooManyItems(
            f"inputs holds {count} texts, its source among them; the limit is {limits.max_items}", "inputs"
        )
    return Encode(
        model=model_of("embed", body.model, limits, models),
        items=items_from(read, limits),
        normalize=False,
        truncate=truncation(read, limits),
    )


def _as_prompted(body: SimilarityBody) -> Prompted:
    """The source first."""
    how = body.parameters or SimilarityParameters()
    return Prompted(
        inputs=[body.inputs.source_sentence, *body.inputs.sentences],
        truncate=how.truncate,
        truncation_direction=how.truncation_direction,
        prompt_name=how.prompt_name,
    )


def _write_similarity(body: SimilarityBody, answer: Encoded) -> Wire:
    assert answer.dense is not None
    texts = [body.inputs.source_sentence, *body.inputs.sentences]
    return Wire(200, dump(_cosines(answer.dense)), spent(answer.usage, sum(map(len, texts))))


def _cosines(rows: Floats) -> Floats:
    """Of the first row with each other one."""
    exact = rows.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1)
    cosines: Floats = ((exact[1:] @ exact[0]) / (lengths[1:] * lengths[0])).astype(np.float32)
    return cosines
