"""Texts become a collection with every kind of vector, each signed by who made it; and who searches in it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from embedstack.databases.bound import origin_of
from embedstack.databases.database import Collection, Column, Database, Field, PointId, Points
from embedstack.origin import Origin
from embedstack.search.bm25 import Bm25
from embedstack.search.found import Found, How
from embedstack.search.hybrid import Searcher
from embedstack.testing.fake import HashEncoder, hash_spec, overlap_spec
from embedstack.types import Encode, Encoded, Score, Scored, Text

DIM = 8
SPEC = hash_spec("hash", dim=DIM, cuts=(4,), outputs=("dense", "sparse", "multi"))
BM25 = Bm25("en", average=5)
NAME = "docs"
WORDS = (
    "panda bamboo sleep tree river stone cloud lamp paper glass river coffee train window garden market "
    "letter bridge island mirror"
).split()
TEXTS = tuple(
    " ".join(np.random.default_rng(seed).choice(WORDS, 3 + seed % 5)) + f" number{seed}" for seed in range(40)
)
KINDS: Mapping[str, Field] = {
    "dense": Field(dim=DIM),
    "bm25": Field(kind="sparse", distance="dot", idf=True),
    "sparse": Field(kind="sparse", distance="dot"),
    "late": Field(kind="multi", dim=DIM),
}


class Watched(HashEncoder):
    """With the model of all but the BM25 vectors, and a reranker; it remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__([SPEC, overlap_spec()])
        self.asked: list[Encode] = []
        self.scored: list[Score] = []

    async def encode(self, request: Encode) -> Encoded:
        self.asked.append(request)
        return await super().encode(request)

    async def score(self, request: Score) -> Scored:
        self.scored.append(request)
        return await super().score(request)


def embedded(texts: Sequence[str], role: str = "document", *, dim: int | None = None) -> Encoded:
    """By every kind of vector."""
    items = tuple(Text(text, role) for text in texts)
    request = Encode(model=SPEC.name, items=items, outputs=frozenset(SPEC.outputs), dim=dim)
    return asyncio.run(Watched().encode(request))


def search(database: Database, text: str, how: How, *, by: HashEncoder | None = None, name: str = NAME) -> Found:
    """Whoever searches once."""
    return asyncio.run(Searcher(database, name, by or Watched()).search(text, how))


def ids(found: Found) -> list[PointId]:
    return [one.id for one in found.points]


def pairs(found: Found) -> list[tuple[PointId, float]]:
    """With their scores."""
    return [(one.id, one.score) for one in found.points]


def filled(
    database: Database, texts: Sequence[str] = TEXTS, *, fields: Sequence[str] = ("dense", "bm25"), name: str = NAME
) -> None:
    """A point for each text, from 0 on; even ones are of the tenant `even`."""
    made = embedded(texts)
    model, counted = origin_of(made, "document"), Origin(identity=BM25.identity)
    signed = {one: replace(KINDS[one], origin=counted if one == "bm25" else model) for one in fields}
    columns: Mapping[str, Column | None] = {
        "dense": made.dense,
        "bm25": [BM25.document(text) for text in texts],
        "sparse": made.sparse,
        "late": made.multi,
    }
    vectors = {one: column for one in fields if (column := columns[one]) is not None}
    ids: list[PointId] = [*range(len(texts))]
    payloads = [{"text": text, "tenant": "odd" if place % 2 else "even"} for place, text in enumerate(texts)]
    database.create(Collection(name=name, fields=signed))
    database.write(name, Points(ids=ids, vectors=vectors, payloads=payloads))
