"""Models that are only fakes, as several servers have them: rounded, without prompts, slow, or of another space."""

import asyncio
import threading
from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np

from embedstack.testing.fake import HashEncoder, hash_spec, overlap_spec
from embedstack.types import Encode, Encoded, Encoder, Score, Scored, Text
from support.serving import serving

PLAIN = (hash_spec(dim=256), overlap_spec())


class Plain(HashEncoder):
    """A model without prompts: a role changes nothing. `off`: 1 - cosine of its vectors to those of another replica."""

    def __init__(self, off: float = 0.0, precision: str = "float32", specs=PLAIN) -> None:
        super().__init__(specs)
        self.off, self.precision = off, precision
        self.asked: list[Encode | Score] = []

    async def encode(self, request: Encode) -> Encoded:
        self.asked.append(request)
        items = tuple(replace(item, role="document") if isinstance(item, Text) else item for item in request.items)
        answer = await super().encode(replace(request, items=items))
        dense, spec = turned(answer.dense, self.off), answer.spec
        return replace(
            answer, dense=dense, fingerprint=spec.fingerprint(self.precision, request.dim, truncate=request.truncate)
        )

    async def score(self, request: Score) -> Scored:
        self.asked.append(request)
        return await super().score(request)

    @property
    def texts(self) -> list[str]:
        """What it was asked for, without probes and pings."""
        asked = (item for request in self.asked for item in request.items if request.caller != "router")
        return [item.text if isinstance(item, Text) else item.document for item in asked]


class Failing(Plain):
    """Says that it is broken, while it is."""

    is_broken = False

    async def encode(self, request):
        if self.is_broken:
            raise RuntimeError("secret inside")
        return await super().encode(request)

    async def score(self, request):
        if self.is_broken:
            raise RuntimeError("secret inside")
        return await super().score(request)


class Held(Plain):
    """Answers nobody while it is held, or until they hang up."""

    def __init__(self) -> None:
        super().__init__()
        self.is_held = False
        self.entered, self.left = threading.Event(), threading.Event()

    async def encode(self, request: Encode) -> Encoded:
        await self._hold()
        return await super().encode(request)

    async def score(self, request: Score) -> Scored:
        await self._hold()
        return await super().score(request)

    async def _hold(self) -> None:
        if not self.is_held:
            return
        self.entered.set()
        try:
            while self.is_held:  # another thread lets go
                await asyncio.sleep(0.01)
        finally:
            self.left.set()


def turned(rows: np.ndarray, off: float) -> np.ndarray:
    """Unit vectors whose cosine to these is 1 - `off`."""
    random, made = np.random.default_rng(6), []
    for row in rows:
        side = random.standard_normal(len(row))
        side -= (side @ row) * row
        cosine = 1 - off
        made.append(cosine * row + np.sqrt(1 - cosine**2) * side / np.linalg.norm(side))
    return np.array(made, np.float32).reshape(rows.shape)


def foreign(encoder: Encoder) -> AbstractContextManager[str]:
    """The URL of a server that says nothing of who it is: ours without the headers of its identity."""
    return serving(lambda: encoder, nameless)


def nameless(app):
    """The same app; nobody hears which model answers."""

    async def wrapped(scope, receive, send):
        async def sending(message):
            if message["type"] == "http.response.start":
                kept = [pair for pair in message["headers"] if not pair[0].startswith(b"x-embedstack-")]
                message = {**message, "headers": kept}
            await send(message)

        await app(scope, receive, sending)

    return wrapped
