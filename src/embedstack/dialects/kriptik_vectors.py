"""KripTik's requests for vectors and for an estimate become ours, and the answers their data."""

from collections.abc import Mapping, Sequence

import msgspec
import orjson

from embedstack.dialects.credits import cost
from embedstack.dialects.dialect import Field, Heard, Limits, Wire
from embedstack.dialects.kriptik_shapes import (
    EmbeddingType,
    EstimateBody,
    GenerateBody,
    HeardGenerated,
    Options,
    Quantization,
)
from embedstack.dialects.kriptik_status import PROVIDER
from embedstack.dialects.pictures import pictures
from embedstack.dialects.reply import must_carry, texts_of, understood, vectors
from embedstack.dialects.wire import Misfit, check_count, dump, milliseconds, model_for
from embedstack.errors import Unsupported
from embedstack.modelspec import ModelSpec
from embedstack.quantize import quantized
from embedstack.types import Encode, Encoded, Floats, Image, Link, Text, Tokenize, Tokenized, VectorType

KINDS: Mapping[Quantization, VectorType] = {"float32": "float32", "int8": "int8", "binary": "ubinary"}
"""The original asks its provider for `ubinary` where `binary` is wanted; providers/voyage-code-provider.ts."""
CARRIES: frozenset[Field] = frozenset({"dim"})
TYPES: Mapping[str, EmbeddingType] = {"intent": "intent", "code": "code", "error": "error", "reasoning": "reasoning"}
"""Of texts; each chooses a model there."""

Json = dict[str, object]

_HEARD = msgspec.json.Decoder(HeardGenerated)


def ask_generate(body: GenerateBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    model = _model(body, limits, models)
    items = _items(body)
    check_count(len(items), limits, "content")
    return Encode(
        model=model,
        items=items,
        dim=body.options.dimensions if body.options else None,
        truncate=limits.truncate,
        caller=body.project_id or "",
    )


def _model(body: GenerateBody | EstimateBody, limits: Limits, models: Sequence[ModelSpec]) -> str:
    """The body's model, else one that is served under the type's name, else the only one that fits the type."""
    named = body.model or (body.type if limits.spec_of(body.type, models) else None)
    return model_for("embed", named, models, "image" if body.type == "visual" else "text")


def _items(body: GenerateBody) -> tuple[Text | Image | Link, ...]:
    options = body.options or Options()
    texts = contents_of(body)
    if options.text_for_visual is not None:
        raise Unsupported(
            "options.textForVisual is not served: no vector comes of it; send the text as a visual content"
        )
    given = pictures_of(body)
    if not given:
        return tuple(Text(text) for text in texts)
    if body.type != "visual" or len(texts) > 1 or len(given) > 1:
        raise Misfit(
            "a picture in options is for the type 'visual', one picture beside one content; send it so", "options"
        )
    return pictures(given, "options")


def contents_of(body: GenerateBody | EstimateBody) -> list[str]:
    """The content, one text or several."""
    return [body.content] if isinstance(body.content, str) else body.content


def pictures_of(body: GenerateBody) -> list[str]:
    """As they were sent, without an empty one beside another, or beside texts that are no captions.

    Alone it is not left out of a visual, for then the caption would be taken for the picture.
    """
    options = body.options or Options()
    given = [one for one in (options.image_base64, options.image_url) if one is not None]
    filled = [one for one in given if one]
    return filled or (given[:1] if body.type == "visual" else [])


def generated(body: GenerateBody, answer: Encoded) -> Json:
    assert answer.dense is not None
    data = result_of(body, answer, answer.dense, answer.usage.tokens)
    return {**data, "provider": PROVIDER, "latencyMs": milliseconds(answer.usage)}


def result_of(body: GenerateBody, answer: Encoded, dense: Floats, tokens: int) -> Json:
    """What a reply says of one request.

    Args:
        dense: (items, width), its part of the answer.
        tokens: its part of those that the model read.
    """
    kind: Quantization = (body.options and body.options.quantization) or "float32"
    return {
        "embeddings": [orjson.Fragment(dump(row)) for row in quantized(dense, KINDS[kind])],
        "model": answer.spec.name,
        "dimensions": dense.shape[1],
        "tokensUsed": tokens,
        "cached": False,
        "creditsCost": cost_of(body, answer, tokens),
    }


def cost_of(body: GenerateBody, answer: Encoded, tokens: int) -> float:
    """Credits; a picture has its price, whatever the model reads of it."""
    count = len(pictures_of(body))
    return cost(answer.spec, 0 if count else tokens, count)


def ask_estimate(body: EstimateBody, limits: Limits, models: Sequence[ModelSpec]) -> Tokenize:
    texts = contents_of(body)
    check_count(len(texts), limits, "content")
    return Tokenize(
        model=_model(body, limits, models), items=tuple(Text(text) for text in texts), truncate=limits.truncate
    )


def estimated(body: EstimateBody, answer: Tokenized) -> Json:
    tokens = answer.usage.tokens
    return {
        "estimatedTokens": tokens,
        "estimatedCreditsCost": cost(answer.spec, tokens),
        "type": body.type,
        "inputCount": len(contents_of(body)),
    }


# ------------------------------------------------------------------------------------------------ the client's half


def say_generate(request: Encode) -> GenerateBody:
    """What a client says. A model that is called as a type is meant by that; others are named."""
    must_carry(request, CARRIES, "kriptik")
    kind = TYPES.get(request.model)
    return GenerateBody(
        content=texts_of(request),
        type=kind or "intent",
        options=None if request.dim is None else Options(dimensions=request.dim),
        model=None if kind else request.model or None,
    )


def hear_generated(wire: Wire, request: Encode) -> Heard:
    """The vectors of a reply, in the order of the request."""
    data = understood(_HEARD, wire).data
    return Heard(vectors(data.embeddings, len(request.items)), data.tokens_used or 0)
