"""Things -> the same without likeness, so that only what is equal belongs together; no model is asked for that."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from embedstack.deduping.encoding import Vector
from embedstack.deduping.thing import Made, Thing
from embedstack.types import Floats, Image


class Blind:
    """An `Encoder` whose vectors are like nothing; what has one key still belongs together."""

    made: Made | None = None

    def encode(self, contents: Sequence[str | Image]) -> list[Vector]:
        """One for each, in order."""
        return [_nothing() for _ in contents]


def by_content(thing: Thing) -> Thing:
    """A row with its vector -> the same, known by its text and all numbers of the vector."""
    if not isinstance(thing.content, np.ndarray):
        return thing
    digest = hashlib.sha256(thing.content.tobytes()).hexdigest()
    item = thing.item if thing.key else replace(thing.item, digest=digest)
    return replace(thing, item=item, key=thing.key or f"vector:{digest}", content=_nothing())


def _nothing() -> Floats:
    return np.zeros(1, np.float32)
