"""A text and the fields that are asked become a vector for each of them: one request a model, BM25 by counting."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from embedstack.databases.bound import origin_of
from embedstack.databases.database import Vector
from embedstack.errors import Upstream
from embedstack.modelspec import Output
from embedstack.origin import Origin
from embedstack.search.legs import Asked
from embedstack.types import Encode, Encoded, Encoder, Sparse, Text

ROLE = "query"
Width: TypeAlias = "tuple[str, int | None]"
"""A model, and the width of its dense vectors; None is its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a field is asked with."""

    asked: Asked
    vector: Vector
    origin: Origin

    @property
    def is_empty(self) -> bool:
        """No word of the text counts, so nothing can be found."""
        return isinstance(self.vector, Sparse) and len(self.vector.ids) == 0


@dataclass(frozen=True, slots=True)
class Questions:
    """In the order of the fields."""

    each: tuple[Question, ...]
    notes: tuple[str, ...]


async def questions_of(text: str, fields: Sequence[Asked], encoder: Encoder) -> Questions:
    """What every field is asked with. Two widths of one model's dense vectors are two requests.

    Raises:
        As `Encoder.encode`. Upstream: it left out vectors that were asked for.
    """
    requests = _requests(text, fields)
    made = dict(zip(requests, await asyncio.gather(*map(encoder.encode, requests.values())), strict=True))
    each = tuple(_question(text, one, made) for one in fields)
    return Questions(each, (*_cut(made.values()), *_empty(each)))


def _requests(text: str, fields: Sequence[Asked]) -> dict[Width, Encode]:
    outputs: dict[Width, set[Output]] = {}
    for one in sorted(fields, key=lambda one: one.kind != "dense"):
        if one.bm25 is None:
            outputs.setdefault(_width(one, outputs), set()).add(one.kind)
    items = (Text(text, ROLE),)
    return {
        (model, dim): Encode(model=model, items=items, outputs=frozenset(some), dim=dim)
        for (model, dim), some in outputs.items()
    }


def _width(one: Asked, known: Iterable[Width]) -> Width:
    """Of the request that gives its vectors: what is not dense has no width, and comes with the model's first."""
    first = None if one.kind == "dense" else next((width for width in known if width[0] == one.model), None)
    return first or (one.model, one.dim)


def _question(text: str, one: Asked, made: Mapping[Width, Encoded]) -> Question:
    if one.bm25 is not None:
        origin = Origin(identity=one.bm25.identity, role=ROLE)
        return Question(asked=one, vector=one.bm25.query(text), origin=origin)
    encoded = made[_width(one, made)]
    origin = origin_of(encoded, ROLE)
    if one.kind != "dense":  # has no width that could differ
        identity = msgspec.structs.replace(origin.identity, dim=one.signed.identity.dim)
        origin = msgspec.structs.replace(origin, identity=identity)
    return Question(asked=one, vector=_vector(encoded, one), origin=origin)


def _vector(encoded: Encoded, one: Asked) -> Vector:
    columns = {"dense": encoded.dense, "sparse": encoded.sparse, "multi": encoded.multi}
    column = columns[one.kind]
    if column is None or len(column) != 1:
        raise Upstream(f"model {one.model!r} gave no {one.kind} vector for the question; look at who answers for it")
    return column[0]


# ------------------------------------------------------------------------------------------------ notes


def _cut(made: Iterable[Encoded]) -> Iterator[str]:
    for one in made:
        if one.usage.dropped:
            yield (
                f"the question was cut: {one.usage.dropped} of its tokens are over the {one.spec.max_tokens} that "
                f"{one.spec.name!r} reads"
            )


def _empty(each: Iterable[Question]) -> Iterator[str]:
    for one in each:
        if one.is_empty:
            yield f"vector {one.asked.shown!r} found nothing, since no word of the question counts there"
