"""Documents in chunks -> what a job would make of them, and beside it the vectors of their tokens where these are kept.

A job's table has no place for several vectors of a chunk. So they are asked for in the same requests, and taken out of
the answers on their way to what a job knows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from embedstack.errors import Upstream
from embedstack.jobs.encoding import Asking, ShardEncoder
from embedstack.jobs.opened import Opened
from embedstack.jobs.patience import Patience
from embedstack.jobs.plan import Wish
from embedstack.jobs.shard_work import Made, Work
from embedstack.modelspec import ModelSpec
from embedstack.types import (
    Classified,
    Classify,
    Decode,
    Decoded,
    Encode,
    Encoder,
    Floats,
    Score,
    Scored,
    Text,
    Tokenize,
    Tokenized,
)
from embedstack.types import Encoded as Answer


@dataclass(frozen=True, slots=True)
class Encoded:
    """What became of some documents."""

    made: Made
    multi: Sequence[Floats] | None  # of each chunk of those that live (vectors, dim); None where they are not kept


class DocumentEncoder:
    """For some documents after the others, or for several such groups at once."""

    def __init__(self, opened: Opened, wish: Wish, patience: Patience, *, has_multi: bool) -> None:
        self._opened, self._wish, self._patience, self._has_multi = opened, wish, patience, has_multi

    async def of(self, works: Sequence[Work]) -> Encoded:
        """As `ShardEncoder.of`."""
        if not self._has_multi:
            return Encoded(await self._shard(self._opened).of(works), None)
        taking = _Taking(self._opened.encoder)
        made = await self._shard(replace(self._opened, encoder=taking)).of(works)
        return Encoded(made, [taking.taken[text] for work in made.works for text in work.texts])

    def _shard(self, opened: Opened) -> ShardEncoder:
        return ShardEncoder(opened, self._wish, self._patience, Asking())


class _Taking:
    """Satisfies `Encoder`: vectors of tokens are asked for with all others, and kept by their texts."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.taken: dict[str, Floats] = {}

    async def encode(self, request: Encode) -> Answer:
        answer = await self._encoder.encode(replace(request, outputs=request.outputs | {"multi"}))
        if answer.multi is None or len(answer.multi) != len(request.items):
            raise Upstream(f"model {request.model!r} gave no vectors of tokens; look at who answers for it")
        for item, rows in zip(request.items, answer.multi, strict=True):
            if isinstance(item, Text):
                self.taken[item.text] = rows
        return replace(answer, multi=None)

    async def score(self, request: Score) -> Scored:
        return await self._encoder.score(request)

    async def classify(self, request: Classify) -> Classified:
        return await self._encoder.classify(request)

    async def tokens(self, request: Tokenize) -> Tokenized:
        return await self._encoder.tokens(request)

    async def decode(self, request: Decode) -> Decoded:
        return await self._encoder.decode(request)

    def models(self) -> tuple[ModelSpec, ...]:
        return self._encoder.models()
