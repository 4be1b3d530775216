"""Cohere's API: embed and rerank of v1 and v2, tokenize and detokenize, and the models, with the original's errors.

Source: https://docs.cohere.com/reference, and cohere-python at bc495daa. As there, an unknown field is refused and a
relevance is the sigmoid of the logit, between 0 and 1. One request holds as many items as the server's
settings allow, not 96. Client halves are those of v2, which can say more.
"""

import msgspec

from embedstack.dialects import cohere_embed as embed
from embedstack.dialects import cohere_rerank as rerank
from embedstack.dialects import cohere_tokens as tokens
from embedstack.dialects.cohere_shape import new_id
from embedstack.dialects.dialect import AnyRoute, Info, Page, Route, Status, Wire
from embedstack.dialects.failure import failure
from embedstack.dialects.openai_shape import MODEL_SHAPE, MODELS_SHAPE, must_be_ready, the_model
from embedstack.dialects.ranking import SHAPE, hear_results
from embedstack.dialects.wire import BodyTooLong, dump, retry_after
from embedstack.errors import DeadlineExceeded, EmbedstackError, TooLong
from embedstack.modelspec import ModelSpec, Task


class ModelRow(msgspec.Struct, forbid_unknown_fields=True):
    """A model that is served."""

    name: str
    is_deprecated: bool
    endpoints: list[Task]
    finetuned: bool
    context_length: int
    tokenizer_url: str | None
    default_endpoints: list[Task]


class ModelsReply(msgspec.Struct, forbid_unknown_fields=True):
    """All models that are served."""

    models: list[ModelRow]


class CohereFailure(msgspec.Struct, forbid_unknown_fields=True):
    """What went wrong."""

    message: str
    id: str


class Cohere:
    """The dialect."""

    name = "cohere"
    prefix = "/cohere"
    failure = CohereFailure
    max_items = 96  # https://docs.cohere.com/reference/embed, `texts`
    info: Info | None = None

    def __init__(self) -> None:
        self.routes = (*_v2_routes(), *_v1_routes(), *_token_routes())
        self.pages = (
            Page(
                path="/v1/models",
                summary="The models that are served.",
                reply=ModelsReply,
                show=_models,
                shape=MODELS_SHAPE,
            ),
            Page(path="/v1/models/{id}", summary="One model.", reply=ModelRow, show=_model, shape=MODEL_SHAPE),
        )

    def fail(self, error: EmbedstackError) -> Wire:
        """The flat body of the original, and its 400 for texts that are too long."""
        status = 400 if isinstance(error, TooLong) and not isinstance(error, BodyTooLong) else error.status
        return Wire(status, dump({"message": error.message, "id": new_id()}), retry_after(error))

    def hear_failure(self, wire: Wire) -> EmbedstackError:
        """By the status, for there are no codes; a gateway's 504 has no such body."""
        return failure(wire, {"message": DeadlineExceeded} if wire.status == 504 else {})


def _v2_routes() -> tuple[AnyRoute, ...]:
    return (
        Route(
            path="/v2/embed",
            task="embed",
            summary="Vectors of texts or images in several types, as Cohere's API gives them.",
            body=embed.EmbedV2Body,
            reply=embed.EmbedReply,
            example=embed.EmbedV2Body(texts=["a cat is a small animal", "rain falls"], input_type="search_document"),
            read=embed.read_v2,
            ask=embed.ask_v2,
            write=embed.write_v2,
            carries=embed.CARRIES,
            say=embed.say_v2,
            hear=embed.hear_v2,
        ),
        Route(
            path="/v2/rerank",
            task="rerank",
            summary="Documents ordered by their relevance to a query, as Cohere's API gives them.",
            body=rerank.RerankBody,
            reply=rerank.RerankReply,
            example=rerank.RerankBody(query="what is a cat?", documents=["rain falls", "a cat is a small animal"]),
            read=rerank.read,
            ask=rerank.ask,
            write=rerank.write_v2,
            carries=rerank.CARRIES,
            say=rerank.say,
            hear=hear_results,
        ),
    )


def _v1_routes() -> tuple[AnyRoute, ...]:
    return (
        Route(
            path="/v1/embed",
            task="embed",
            summary="Vectors of texts or images, as the first version of Cohere's API gives them.",
            body=embed.EmbedV1Body,
            reply=embed.EmbedReply,
            example=embed.EmbedV1Body(texts=["a cat is a small animal", "rain falls"], input_type="search_document"),
            read=embed.read_v1,
            ask=embed.ask_v1,
            write=embed.write_v1,
        ),
        Route(
            path="/v1/rerank",
            task="rerank",
            summary="Documents ordered by their relevance, as the first version of Cohere's API gives them.",
            body=rerank.RerankBody,
            reply=rerank.RerankReply,
            example=rerank.RerankBody(query="what is a cat?", documents=["rain falls", "a cat is a small animal"]),
            read=rerank.read,
            ask=rerank.ask,
            write=rerank.write_v1,
            shape=SHAPE,
            adds=rerank.adds_v1,
        ),
    )


def _token_routes() -> tuple[AnyRoute, ...]:
    return (
        Route(
            path="/v1/tokenize",
            task=None,
            summary="The tokens of a text, as Cohere's API gives them.",
            body=tokens.TokenizeBody,
            reply=tokens.TokenizeReply,
            example=tokens.TokenizeBody(text="a cat is a small animal"),
            read=tokens.read_tokenize,
            ask=tokens.ask_tokenize,
            write=tokens.write_tokenize,
        ),
        Route(
            path="/v1/detokenize",
            task=None,
            summary="The text of tokens, as Cohere's API gives it.",
            body=tokens.DetokenizeBody,
            reply=tokens.DetokenizeReply,
            example=tokens.DetokenizeBody(tokens=[100, 101]),
            read=tokens.read_detokenize,
            ask=tokens.ask_detokenize,
            write=tokens.write_detokenize,
        ),
    )


def _models(status: Status, _: str) -> Wire:
    """All of them: pages cannot see the query, so `endpoint`, `page_size` and the like are overlooked."""
    must_be_ready(status)
    return Wire(200, dump({"models": [_row(spec) for spec in status.models]}))


def _model(status: Status, wanted: str) -> Wire:
    return Wire(200, dump(_row(the_model(status, wanted))))


def _row(spec: ModelSpec) -> dict[str, object]:
    return {
        "name": spec.name,
        "is_deprecated": False,
        "endpoints": [spec.task],
        "finetuned": False,
        "context_length": spec.max_tokens,
        "tokenizer_url": None,
        "default_endpoints": [],
    }
