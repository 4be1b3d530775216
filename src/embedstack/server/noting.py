"""An Encoder for one search: its requests get the terms of who searches, and their answers are kept."""

from dataclasses import replace
from typing import TypeVar

from embedstack.modelspec import ModelSpec
from embedstack.types import (
    Answer,
    Classified,
    Classify,
    Decode,
    Decoded,
    Encode,
    Encoded,
    Encoder,
    Request,
    Score,
    Scored,
    Tokenize,
    Tokenized,
)

Asking = TypeVar("Asking", Encode, Score, Classify, Tokenize, Decode)
Answered = TypeVar("Answered", Encoded, Scored, Classified, Tokenized, Decoded)


class Noting:
    """Satisfies `Encoder`.

    Args:
        terms: whose deadline, priority and caller hold, and for queries whose truncation.
    """

    def __init__(self, encoder: Encoder, terms: Request) -> None:
        self._encoder, self._terms = encoder, terms
        self.answers: list[Answer] = []  # in the order in which they came

    async def encode(self, request: Encode) -> Encoded:
        made = await self._encoder.encode(replace(self._with_terms(request), truncate=self._terms.truncate))
        return self._noted(made)

    async def score(self, request: Score) -> Scored:
        """Documents are cut as ever: who searches cannot make them shorter."""
        return self._noted(await self._encoder.score(self._with_terms(request)))

    async def classify(self, request: Classify) -> Classified:
        return self._noted(await self._encoder.classify(self._with_terms(request)))

    async def tokens(self, request: Tokenize) -> Tokenized:
        return self._noted(await self._encoder.tokens(self._with_terms(request)))

    async def decode(self, request: Decode) -> Decoded:
        return self._noted(await self._encoder.decode(self._with_terms(request)))

    def models(self) -> tuple[ModelSpec, ...]:
        return self._encoder.models()

    def _with_terms(self, request: Asking) -> Asking:
        terms = self._terms
        return replace(request, deadline=terms.deadline, priority=terms.priority, caller=terms.caller)

    def _noted(self, answer: Answered) -> Answered:
        self.answers.append(answer)
        return answer
