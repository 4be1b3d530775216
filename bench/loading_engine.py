"""Chunks of a table -> how many of them the engine embeds a second on this machine: what a load has to keep up with."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import embedstack

MODEL = "all-MiniLM-L6-v2"
CHUNKS, WARM = 256, 32


@dataclass(frozen=True, slots=True)
class Engine:
    """A model that is open."""

    model: embedstack.Model
    tokens: float  # of a chunk, on average
    chunks: Sequence[str]

    def chunks_per_s(self) -> float:
        began = time.perf_counter()
        self.model.encode(self.chunks)
        return len(self.chunks) / (time.perf_counter() - began)


@contextmanager
def engine(texts: Sequence[str]) -> Iterator[Engine]:
    """Over the first of them."""
    with embedstack.load(MODEL) as model:
        warm = model.encode(texts[:WARM])
        yield Engine(model, warm.usage.tokens / warm.usage.items, texts[:CHUNKS])
