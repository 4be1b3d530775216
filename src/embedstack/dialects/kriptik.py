"""KripTik's embedding service: `/api/embeddings/generate`, `/similarity`, `/batch`, `/estimate`, `/stats`, `/health`.

Source: https://github.com/Flickinny11/kriptik-ai-opus-build, server/src/routes/embeddings.ts at 9acfa2d.

A type chooses the model: one that is served under the type's own name (`code`), else the one for texts, and for
`visual` the one for images. `projectId` is the caller, whose totals `/stats` shows. Credits are of the original's price
list, and 0 for a model that it has no price for. `cached` is always false: an answer does not say where it came from.

Not as in the original: results of a batch keep the order of its requests, and one that fails is no empty result but
fails the batch. Tokens are the model's own, not characters divided by four; within a batch the total is counted, and
the requests' parts of it are shares by characters. `/batch` is in kriptik_batch.py.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TypeVar

import msgspec

from embedstack.dialects.dialect import Info, Page, Route, Wire
from embedstack.dialects.failure import failure
from embedstack.dialects.kriptik_batch import ask_batch, batched, places_of
from embedstack.dialects.kriptik_shapes import (
    BatchBody,
    BatchReply,
    EstimateBody,
    EstimateReply,
    GenerateBody,
    GenerateReply,
    KriptikFailure,
    SimilarityBody,
    SimilarityReply,
)
from embedstack.dialects.kriptik_similarity import ask_similarity, compared
from embedstack.dialects.kriptik_status import KriptikHealth, StatsReply, show_health, show_stats
from embedstack.dialects.kriptik_vectors import (
    CARRIES,
    ask_estimate,
    ask_generate,
    estimated,
    generated,
    hear_generated,
    say_generate,
)
from embedstack.dialects.wire import Misfit, TooManyItems, decode, dump, retry_after
from embedstack.errors import BadRequest, DeadlineExceeded, EmbedstackError, Overloaded
from embedstack.types import Encoded, Tokenized

AT = "/api/embeddings"

Body = TypeVar("Body", bound=msgspec.Struct)
Result = TypeVar("Result", Encoded, Encoded | tuple[Encoded, ...], Tokenized, None)
Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Words:
    """The original's codes for what goes wrong on one route."""

    wrong: str  # with a body
    failed: str  # with everything else
    fields: Mapping[str, str]  # with one field of a body


GENERATE = Words("BAD_REQUEST", "GENERATION_FAILED", {"content": "MISSING_CONTENT", "type": "INVALID_TYPE"})
SIMILARITY = Words(
    "SIMILARITY_FAILED",
    "SIMILARITY_FAILED",
    dict.fromkeys(("embedding1", "embedding2"), "INVALID_EMBEDDING"),
)
BATCH = Words("INVALID_REQUESTS", "BATCH_FAILED", {})
ESTIMATE = Words("BAD_REQUEST", "ESTIMATE_FAILED", dict.fromkeys(("content", "type"), "MISSING_FIELDS"))

_GENERATE = msgspec.json.Decoder(GenerateBody)
_SIMILARITY = msgspec.json.Decoder(SimilarityBody)
_BATCH = msgspec.json.Decoder(BatchBody)
_ESTIMATE = msgspec.json.Decoder(EstimateBody)


class Kriptik:
    """The dialect.

    Args:
        clock: seconds since 1970, for the time that every reply holds.
    """

    name = "kriptik"
    prefix = "/kriptik"
    failure = KriptikFailure
    max_items = 100
    info: Info | None = None

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.routes = (
            Route(
                path=f"{AT}/generate",
                task="embed",
                summary="Vectors of texts, or of a picture, for what they are.",
                body=GenerateBody,
                reply=GenerateReply,
                example=GenerateBody(content=["a cat is a small animal", "rain falls"], type="intent"),
                read=lambda raw: decode(_GENERATE, raw),
                ask=ask_generate,
                write=self._enveloped(generated),
                carries=CARRIES,
                say=say_generate,
                hear=hear_generated,
                overlooks_role=True,
                fail=self._failing(GENERATE),
                failure=KriptikFailure,
            ),
            Route(
                path=f"{AT}/similarity",
                task=None,
                summary="How alike two vectors are; needs no model.",
                body=SimilarityBody,
                reply=SimilarityReply,
                example=SimilarityBody(embedding1=[0.6, 0.8], embedding2=[0.8, 0.6]),
                read=lambda raw: decode(_SIMILARITY, raw),
                ask=ask_similarity,
                write=self._enveloped(compared),
                fail=self._failing(SIMILARITY),
                failure=KriptikFailure,
            ),
            Route(
                path=f"{AT}/batch",
                task="embed",
                summary="Vectors for several requests at once.",
                body=BatchBody,
                reply=BatchReply,
                example=BatchBody(
                    requests=[
                        GenerateBody(content="a cat is a small animal", type="intent"),
                        GenerateBody(content="rain falls", type="reasoning"),
                    ]
                ),
                read=lambda raw: decode(_BATCH, raw),
                ask=ask_batch,
                write=self._enveloped(batched),
                places=places_of,
                in_turn=True,
                fail=self._failing(BATCH),
                failure=KriptikFailure,
            ),
            Route(
                path=f"{AT}/estimate",
                task=None,
                summary="Tokens and credits that texts would take; computes no vector.",
                body=EstimateBody,
                reply=EstimateReply,
                example=EstimateBody(content=["a cat is a small animal", "rain falls"], type="intent"),
                read=lambda raw: decode(_ESTIMATE, raw),
                ask=ask_estimate,
                write=self._enveloped(estimated),
                fail=self._failing(ESTIMATE),
                failure=KriptikFailure,
            ),
        )
        self.pages = (
            Page(
                path=f"{AT}/stats",
                summary="The cache, the models, and what each caller has used.",
                reply=StatsReply,
                show=lambda status, _: show_stats(status, self._now),
            ),
            Page(
                path=f"{AT}/health",
                summary="200 when requests are answered, else 503, with each model.",
                reply=KriptikHealth,
                show=lambda status, _: show_health(status, self._now),
                needs_key=False,
            ),
        )

    def fail(self, error: EmbedstackError) -> Wire:
        """What is wrong with no route's body, such as a path; each route has its own words."""
        return self._failed(error, GENERATE)

    def hear_failure(self, wire: Wire) -> EmbedstackError:
        """By the status; a gateway's 504 has no such code."""
        late = {words.failed: DeadlineExceeded for words in (GENERATE, BATCH, ESTIMATE)}
        return failure(wire, late if wire.status == 504 else {})

    def _failing(self, words: Words) -> Callable[[EmbedstackError], Wire]:
        return lambda error: self._failed(error, words)

    def _failed(self, error: EmbedstackError, words: Words) -> Wire:
        body: Json = {"error": error.message, "code": _code(error, words)}
        if not isinstance(error, BadRequest):
            body["timestamp"] = self._now()
        return Wire(error.status, dump(body), retry_after(error))

    def _enveloped(self, data: Callable[[Body, Result], Json]) -> Callable[[Body, Result], Wire]:
        def write(body: Body, answer: Result) -> Wire:
            return Wire(200, dump({"success": True, "data": data(body, answer), "timestamp": self._now()}))

        return write

    def _now(self) -> str:
        """As JavaScript writes it."""
        moment = datetime.fromtimestamp(self._clock(), timezone.utc)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _code(error: EmbedstackError, words: Words) -> str:
    match error:
        case Overloaded():
            return "RATE_LIMITED"
        case TooManyItems():
            return "BATCH_TOO_LARGE"
        case Misfit():
            return words.fields.get(error.param or "", words.wrong)
        case BadRequest():
            return error.code.upper()
        case _:
            return words.failed
