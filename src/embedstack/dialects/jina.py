"""Jina's API: `/v1/embeddings` and `/v1/rerank` with the bodies and the error envelope of the original.

Source: https://api.jina.ai/openapi.json at 2026.04.02, as kept at https://github.com/tryAGI/Jina (2a3f424). An unknown
field is refused: at the root of the server, bodies that are neither OpenAI's nor these must not seem to be understood.
A `task` is a role: one of the original's words, of which `.query` means a query and `.passage` a document, or a role
that the model has. Another word is refused, and so is a task that a model which needs a prompt has none for; to other
models such a task is a document's. `truncate` left out is the server's setting. `model` may be left out.
"""

import msgspec

from embedstack.dialects import jina_embed as embed
from embedstack.dialects import jina_rerank as rerank
from embedstack.dialects.dialect import Info, Page, Route, Wire
from embedstack.dialects.failure import failure
from embedstack.dialects.openai_shape import SHAPE as EMBEDDINGS_SHAPE
from embedstack.dialects.openai_shape import hear_embeddings
from embedstack.dialects.ranking import SHAPE as RESULTS_SHAPE
from embedstack.dialects.ranking import hear_results
from embedstack.dialects.wire import BodyTooLong, Misfit, NoRoute, WrongMethod, dump, retry_after
from embedstack.errors import (
    DeadlineExceeded,
    EmbedstackError,
    Forbidden,
    Mismatch,
    NotReady,
    Overloaded,
    TooLong,
    Unauthorized,
    UnknownModel,
    Unsupported,
)

HEARD: dict[str, type[EmbedstackError]] = {
    "AUTH_INVALID_API_KEY": Unauthorized,
    "INPUT_MODEL_NOT_FOUND": UnknownModel,
    "INPUT_TOO_LONG": TooLong,
    "INPUT_UNSUPPORTED": Unsupported,
    "CONFLICT_RESOURCE_BUSY": Mismatch,
    "SERVICE_TIMEOUT": DeadlineExceeded,
}


class FieldError(msgspec.Struct, forbid_unknown_fields=True):
    """What is wrong with a field of the body."""

    field: str
    message: str
    type: str


class JinaFailure(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What went wrong."""

    detail: str
    code: str | msgspec.UnsetType = msgspec.UNSET
    errors: list[FieldError] | msgspec.UnsetType = msgspec.UNSET  # only for a body that does not fit


class Jina:
    """The dialect."""

    name = "jina"
    prefix = "/jina"
    failure = JinaFailure
    max_items = 2048  # what its refusal of more says, https://github.com/refly-ai/refly/issues/831
    info: Info | None = None
    pages: tuple[Page, ...] = ()

    def __init__(self) -> None:
        self.routes = (
            Route(
                path="/v1/embeddings",
                task="embed",
                summary="Vectors of texts or images, as Jina's API gives them.",
                body=embed.EmbeddingsBody,
                reply=embed.JinaEmbeddings,
                example=embed.EmbeddingsBody(input=["a cat is a small animal", "rain falls"], task="retrieval.passage"),
                read=embed.read,
                ask=embed.ask,
                write=embed.write,
                shape=EMBEDDINGS_SHAPE,
                carries=embed.CARRIES,
                say=embed.say,
                hear=hear_embeddings,
            ),
            Route(
                path="/v1/rerank",
                task="rerank",
                summary="Documents ordered by their relevance to a query, as Jina's API gives them.",
                body=rerank.RerankBody,
                reply=rerank.RerankReply,
                example=rerank.RerankBody(query="what is a cat?", documents=["rain falls", "a cat is a small animal"]),
                read=rerank.read,
                ask=rerank.ask,
                write=rerank.write,
                shape=RESULTS_SHAPE,
                adds=rerank.adds,
                carries=rerank.CARRIES,
                say=rerank.say,
                hear=hear_results,
            ),
        )

    def fail(self, error: EmbedstackError) -> Wire:
        """The envelope of the original: a sentence and a code, or what is wrong with each field."""
        if isinstance(error, Misfit):
            wrong = {"field": error.param or "body", "message": error.message, "type": "value_error"}
            return Wire(422, dump({"detail": error.message, "errors": [wrong]}))
        status, code = _in_their_words(error)
        return Wire(status, dump({"detail": error.message, "code": code}), retry_after(error))

    def hear_failure(self, wire: Wire) -> EmbedstackError:
        """By the code."""
        return failure(wire, HEARD)


def _in_their_words(error: EmbedstackError) -> tuple[int, str]:
    """Status and code. The original answers 400 to an unknown model and to texts that are too long."""
    match error:
        case UnknownModel():
            return 400, "INPUT_MODEL_NOT_FOUND"
        case TooLong():
            return 413 if isinstance(error, BodyTooLong) else 400, "INPUT_TOO_LONG"
        case Unsupported():
            return 422, "INPUT_UNSUPPORTED"
        case Unauthorized():
            return 401, "AUTH_INVALID_API_KEY"
        case Forbidden():
            return 403, "AUTHZ_FORBIDDEN"
        case NoRoute() | WrongMethod():
            return error.status, "RESOURCE_NOT_FOUND"
        case Mismatch():
            return 409, "CONFLICT_RESOURCE_BUSY"
        case Overloaded():
            return 429, "RATE_CONCURRENCY_LIMIT_EXCEEDED"
        case NotReady():
            return 503, "SERVICE_UNAVAILABLE"
        case DeadlineExceeded():
            return 504, "SERVICE_TIMEOUT"
        case _:
            return error.status, "INTERNAL_ERROR" if error.status >= 500 else "INPUT_INVALID"
