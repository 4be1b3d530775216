"""Text Embeddings Inference: all its routes and pages under one prefix, with the error map of the original.

Source: https://github.com/huggingface/text-embeddings-inference, router/src/http at 0d124dc. As there, an unknown field
is ignored, and `/` and `/invocations` answer by the kind of the model, here by the kind of the body too. `model` is
more, needed where several are served. A missing key is a 401 without a body there; here the body says why. `/vertex` is
not here.
"""

from collections.abc import Sequence

import msgspec

from embedstack.dialects.dialect import AnyRoute, Info, Page, Wire
from embedstack.dialects.failure import failure
from embedstack.dialects.tei_embed import all_route, any_route, embed_route, sparse_route
from embedstack.dialects.tei_info import heard_info, pages
from embedstack.dialects.tei_openai import openai_route
from embedstack.dialects.tei_scores import predict_route, rerank_route
from embedstack.dialects.tei_similarity import similarity_route
from embedstack.dialects.tei_terms import ErrorType, in_their_words
from embedstack.dialects.tei_tokens import decode_route, tokenize_route
from embedstack.dialects.wire import dump, retry_after
from embedstack.errors import DeadlineExceeded, EmbedstackError


class TeiFailure(msgspec.Struct, forbid_unknown_fields=True):
    """What went wrong."""

    error: str
    error_type: ErrorType


class Tei:
    """The dialect."""

    name = "tei"
    prefix = "/tei"
    failure = TeiFailure
    max_items = 32  # router/src/main.rs, the default of --max-client-batch-size

    def __init__(self) -> None:
        self.info: Info | None = heard_info()
        self.pages: Sequence[Page] = pages()
        self.routes: Sequence[AnyRoute] = (
            embed_route(),
            rerank_route(),
            sparse_route(),
            all_route(),
            similarity_route(),
            predict_route(),
            predict_route("rerank"),
            tokenize_route(),
            decode_route(),
            openai_route("/v1/embeddings"),
            openai_route("/embeddings"),
            *_by_kind("/"),
            *_by_kind("/invocations"),
        )

    def fail(self, error: EmbedstackError) -> Wire:
        """The flat body of the original with its status."""
        status, kind = in_their_words(error)
        return Wire(status, dump({"error": error.message, "error_type": kind}), retry_after(error))

    def hear_failure(self, wire: Wire) -> EmbedstackError:
        """By the status. The original has no 504: with a body of this dialect it is a deadline, else a gateway's."""
        return failure(wire, {"Backend": DeadlineExceeded} if wire.status == 504 else {})


def _by_kind(path: str) -> tuple[AnyRoute, ...]:
    """What may stand at a path that answers by the kind of the model; bodies that fit two go to the first."""
    return similarity_route(path), rerank_route(path), any_route(path), predict_route(path=path)
