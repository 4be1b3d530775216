"""Several encoders, each asked for its own models -> one that has all of them, and counts the texts that were cut."""

from collections.abc import Iterable

from embedstack.errors import UnknownModel
from embedstack.modelspec import ModelSpec
from embedstack.types import (
    Classified,
    Classify,
    Decode,
    Decoded,
    Encode,
    Encoded,
    Encoder,
    Score,
    Scored,
    Tokenize,
    Tokenized,
)


class Joined:
    """An Encoder.

    Args:
        models: each with who has it; one that is there twice is once.
    """

    def __init__(self, models: Iterable[tuple[ModelSpec, Encoder]]) -> None:
        self._models = {spec.name: (spec, encoder) for spec, encoder in models}
        self.truncated = 0  # texts since it was made

    async def encode(self, request: Encode) -> Encoded:
        made = await self._of(request.model).encode(request)
        self.truncated += made.usage.truncated
        return made

    async def score(self, request: Score) -> Scored:
        return await self._of(request.model).score(request)

    async def classify(self, request: Classify) -> Classified:
        return await self._of(request.model).classify(request)

    async def tokens(self, request: Tokenize) -> Tokenized:
        return await self._of(request.model).tokens(request)

    async def decode(self, request: Decode) -> Decoded:
        return await self._of(request.model).decode(request)

    def models(self) -> tuple[ModelSpec, ...]:
        """Of all of them."""
        return tuple(spec for spec, _ in self._models.values())

    def _of(self, model: str) -> Encoder:
        if model not in self._models:
            raise UnknownModel(f"model {model!r} is not open; there are: {', '.join(self._models) or 'none'}")
        return self._models[model][1]
