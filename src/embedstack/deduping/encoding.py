"""Texts of any length, and pictures of which some are broken -> a vector of each, or why there is none."""

import re
from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np

from embedstack.chunks.chunk import Chunk, Chunking, Ruler
from embedstack.chunks.chunking import chunk
from embedstack.deduping.thing import Made
from embedstack.errors import BadRequest
from embedstack.model import Model
from embedstack.types import Floats, Image

TEXTS_AT_ONCE, IMAGES_AT_ONCE = 64, 16  # a picture may have 10 MB
ITS_PLACE = re.compile(r"(?:image|text|item) 0\b")  # of what was sent alone
TINY = np.finfo(np.float32).tiny

Vector: TypeAlias = Floats | str
"""(dim,), or why there is none."""


class Encoder(Protocol):
    """What makes vectors of one type of things."""

    made: Made | None  # by whom; None before there is a vector

    def encode(self, contents: Sequence[str | Image]) -> list[Vector]:
        """One for each, in order."""
        ...


class Encoding:
    """An `Encoder`: one model.

    A text that is longer than the model takes is read in windows of that size, and its vector is their mean, each
    weighted by its tokens: so texts that only begin alike are told apart.
    """

    def __init__(self, model: Model, ruler: Ruler) -> None:
        """
        Args:
            ruler: counts as the model does.
        """
        self._model = model
        self._ruler = ruler
        self._windows = Chunking(strategy="window", tokens=ruler.max_tokens)
        self.made: Made | None = None

    def encode(self, contents: Sequence[str | Image]) -> list[Vector]:
        """See `Encoder`."""
        parts = [self._parts(content) for content in contents]
        flat = [part for few in parts if not isinstance(few, str) for part in few]
        vectors = iter(self._in_groups([part.text if isinstance(part, Chunk) else part for part in flat]))
        return [few if isinstance(few, str) else _mean(few, [next(vectors) for _ in few]) for few in parts]

    def _parts(self, content: str | Image) -> Sequence[Chunk | Image] | str:
        if isinstance(content, Image):
            return [content]
        try:
            return chunk(content, "text", self._windows, self._ruler)
        except BadRequest as error:
            return error.message

    def _in_groups(self, parts: Sequence[str | Image]) -> list[Vector]:
        size = IMAGES_AT_ONCE if any(isinstance(part, Image) for part in parts) else TEXTS_AT_ONCE
        groups = (parts[at : at + size] for at in range(0, len(parts), size))
        return [vector for group in groups for vector in self._tried(group)]

    def _tried(self, parts: Sequence[str | Image]) -> list[Vector]:
        """A request is refused as a whole, so one that is refused is halved until what is wrong stands alone."""
        try:
            encoded = self._model.encode(parts)
        except BadRequest as error:
            if len(parts) == 1:
                return [ITS_PLACE.sub("it", error.message)]
            half = len(parts) // 2
            return [*self._tried(parts[:half]), *self._tried(parts[half:])]
        self.made = Made(model=encoded.spec.name, space=encoded.spec.space, fingerprint=encoded.fingerprint)
        return list(np.asarray(encoded, np.float32))


def _mean(parts: Sequence[Chunk | Image], vectors: Sequence[Vector]) -> Vector:
    """Of the parts' directions; the first reason where one of them has no vector."""
    rows = []
    for vector in vectors:
        if isinstance(vector, str):
            return vector
        rows.append(vector)
    if len(rows) == 1:
        return rows[0]
    matrix = np.stack(rows).astype(np.float64)
    units = matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), TINY)
    tokens = [part.tokens if isinstance(part, Chunk) else 1 for part in parts]
    return np.average(units, axis=0, weights=tokens).astype(np.float32)
