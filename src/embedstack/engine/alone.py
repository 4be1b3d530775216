"""One model of an engine, seen as an Encoder that has no other: what proves a model before callers may use it."""

from dataclasses import replace

from embedstack.engine.engine import Engine
from embedstack.engine.slots import Source
from embedstack.types import (
    Classified,
    Classify,
    Decode,
    Decoded,
    Encode,
    Encoded,
    ModelSpec,
    Score,
    Scored,
    Tokenize,
    Tokenized,
)


class Alone:
    """It has the model's own name, whatever it is served by, since that is where its truth is kept."""

    def __init__(self, engine: Engine, source: Source) -> None:
        self._engine, self._name, self._origin = engine, source.spec.name, source.origin

    async def encode(self, request: Encode) -> Encoded:
        """See Encoder."""
        return await self._engine.encode(replace(request, model=self._name))

    async def score(self, request: Score) -> Scored:
        """See Encoder."""
        return await self._engine.score(replace(request, model=self._name))

    async def classify(self, request: Classify) -> Classified:
        """See Encoder."""
        return await self._engine.classify(replace(request, model=self._name))

    async def tokens(self, request: Tokenize) -> Tokenized:
        """See Encoder."""
        return await self._engine.tokens(replace(request, model=self._name))

    async def decode(self, request: Decode) -> Decoded:
        """See Encoder."""
        return await self._engine.decode(replace(request, model=self._name))

    def models(self) -> tuple[ModelSpec, ...]:
        """See Encoder."""
        return (self._origin,)
