"""The nouns of a search: how it is done, and what was found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from embedstack.databases.database import Json, PointId, Where

Fusion = Literal["rrf", "dbsf", "weighted"]
LIMIT, RERANKED = 10, 25
TEXT = "text"  # where `embedstack load` and `embedstack index` put it


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """What a caller wants."""

    limit: int = LIMIT
    fields: tuple[str, ...] | None = None  # the vectors that are asked; None: all that can be but multi
    depth: int | None = None  # candidates of each field; None: three times as many as are wanted, at least 30
    fusion: Fusion = "rrf"
    rrf_k: int = 60  # as in the paper; see `search.fuse.qdrant_k`
    weights: Mapping[str, float] = field(default_factory=dict)  # field -> weight; 1 where none is given
    least: Mapping[str, float] = field(default_factory=dict)  # field -> a score of at least so much, before fusion
    where: Where = field(default_factory=Where)
    reranker: str = ""  # a multi vector of the collection, else a model, that orders the first of them anew; "": none
    rerank_top: int = RERANKED
    is_adaptive: bool = False  # the reranker is not asked where the first one is sure, see `search.rerank`
    is_exact: bool = False  # every point is compared, whatever index there is
    text_key: str = TEXT  # of the payload, where a passage's text is; of a nested one with dots


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPoint:
    """One that was found."""

    id: PointId
    score: float  # of the last stage: only its order has a meaning where several fields were fused
    payload: Mapping[str, Json]
    scores: Mapping[str, float]  # stage -> its own score: fields by name ("" is "dense" here), "fused", "rerank"


def text_of(point: FoundPoint, key: str) -> str | None:
    """What stands under this key of its payload, of a nested one with dots; None if that is no text."""
    value: Json = dict(point.payload)
    for name in [key] if key in point.payload else key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search gave."""

    points: tuple[FoundPoint, ...]  # best first; of equal scores in the order of ids
    fields: tuple[str, ...]  # that were asked
    notes: tuple[str, ...] = ()  # what was not done as it could be, and why: "dense vectors alone, since ..."
    took_s: Mapping[str, float] = field(default_factory=dict)  # embed, search, fuse, rerank
