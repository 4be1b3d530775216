"""`/v1/embeddings` and `/embeddings` of Text Embeddings Inference: OpenAI's bodies, and an envelope of their own.

Source: https://github.com/huggingface/text-embeddings-inference, router/src/http at 0d124dc. As there, an unknown field
is ignored, texts get no prompt, and the name of the model is not looked at where only one could answer: the reply says
which did. Its OpenAPI document calls a key of errors `error_type`; what it sends is `type`.
"""

from collections.abc import Sequence

import msgspec

from embedstack.dialects.dialect import AnyRoute, Limits, Route, Wire
from embedstack.dialects.openai_shape import SHAPE, EmbeddingsReply, Format, embeddings
from embedstack.dialects.tei_terms import ErrorType, characters, check_item, in_their_words, model_of, spent
from embedstack.dialects.wire import Count, Inputs, Name, decode, dump, items_of, retry_after
from embedstack.errors import EmbedstackError
from embedstack.modelspec import ModelSpec
from embedstack.types import Encode, Encoded


class TeiEmbeddingsBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is asked for."""

    input: Inputs
    model: Name | None = None
    encoding_format: Format | None = None
    dimensions: Count | None = None
    user: Name | None = None


class TeiOpenAIFailure(msgspec.Struct, forbid_unknown_fields=True):
    """What went wrong."""

    message: str
    code: int
    type: ErrorType


_DECODER = msgspec.json.Decoder(TeiEmbeddingsBody)


def openai_route(path: str) -> AnyRoute:
    """One of the two paths."""
    return Route(
        path=path,
        task="embed",
        summary="Vectors of texts, as Text Embeddings Inference gives them to OpenAI's clients.",
        body=TeiEmbeddingsBody,
        reply=EmbeddingsReply,
        example=TeiEmbeddingsBody(input=["what is a cat?", "a cat is a small animal"]),
        read=lambda raw: decode(_DECODER, raw),
        ask=_ask,
        write=_write,
        shape=SHAPE,
        fail=fail_flat,
        failure=TeiOpenAIFailure,
    )


def fail_flat(error: EmbedstackError) -> Wire:
    """The error without OpenAI's object around it."""
    status, kind = in_their_words(error)
    return Wire(status, dump({"message": error.message, "code": status, "type": kind}), retry_after(error))


def _ask(body: TeiEmbeddingsBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    items = items_of(body.input, None, limits, "input", unsaid="none")
    for place, item in enumerate(items):
        check_item(item, f"input[{place}]")
    embedders = [spec for spec in models if spec.task == "embed"]
    return Encode(
        model=model_of("embed", body.model if len(embedders) > 1 else None, limits, models),
        items=items,
        dim=body.dimensions,
        normalize=True,
        truncate=limits.truncate,
        caller=body.user or "",
    )


def _write(body: TeiEmbeddingsBody, answer: Encoded) -> Wire:
    return Wire(200, dump(embeddings(answer, body.encoding_format)), spent(answer.usage, characters(body.input)))
