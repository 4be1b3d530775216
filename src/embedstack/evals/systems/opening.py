"""Systems as a user writes them, and who opens models and databases -> the systems; what they share is opened once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from embedstack.databases.bound import Bound
from embedstack.databases.checks import unknown
from embedstack.databases.database import Database
from embedstack.databases.fields import one_field
from embedstack.errors import BadRequest, Mismatch
from embedstack.evals.systems.collection import CollectionSystem, Stored
from embedstack.evals.systems.fused import FusedSystem, Fusion
from embedstack.evals.systems.indexed import IndexedSystem
from embedstack.evals.systems.indexes import Similarity
from embedstack.evals.systems.naming import (
    ENGLISH,
    CollectionName,
    FusedName,
    LexicalName,
    ModelName,
    RankingName,
    RerankedName,
    SystemName,
    parse_systems,
)
from embedstack.evals.systems.ranking_file import RankingFile
from embedstack.evals.systems.readers import ModelOpeners, Readers, spec_of
from embedstack.evals.systems.reranked import RerankedSystem, Reranker
from embedstack.evals.systems.system import System
from embedstack.evals.systems.words import Words
from embedstack.search.analysis import Language
from embedstack.search.fuse import K


class Openers(ModelOpeners, Protocol):
    """Who opens models and databases, and closes them when no system is used any more. The same gives the same."""

    def database(self, url: str) -> Database:
        """As `open_database` takes it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemHow:
    """What the names of systems do not say; it holds for all of them."""

    fusion: Fusion = "rrf"
    rrf_k: int = K
    weights: tuple[float, ...] = ()  # of what is fused, one for each
    depth: int = 100  # documents that each of what is fused gives, at least
    rerank_top: int = 25  # documents that a reranker scores, at most
    skips_settled: bool = False  # nothing is reranked where the first ranking is sure, see `is_settled`
    dim: int | None = None  # of dense vectors; the model's own if None
    similarity: Similarity = "cosine"  # of dense and multi vectors
    query_role: str = "query"
    document_role: str = "document"
    language: Language = ENGLISH  # of a bm25 that names none

    def __post_init__(self) -> None:
        for name, value in (("depth", self.depth), ("rerank_top", self.rerank_top)):
            if value < 1:
                raise BadRequest(f"{name}={value!r} is below 1; ask for at least one document")


def open_systems(wanted: Sequence[str], openers: Openers, how: SystemHow) -> list[System]:
    """In the order in which they are written. What they are made of is shared: `a` is a leg of `a+b`, too.

    Raises:
        BadRequest: a name that cannot be read, or one twice. Unsupported: a model that has no such vectors or scores.
        Mismatch: a collection that nobody has signed, or whose model is another one now.
        What `openers` and `read_run` raise.
    """
    names = parse_systems(wanted, language=how.language)
    opening = _Opening(names, openers, how)
    return [opening.system(name) for name in names]


class _Opening:
    """What is open already."""

    def __init__(self, names: Sequence[SystemName], openers: Openers, how: SystemHow) -> None:
        self._openers = openers
        self._how = how
        # what is fused is the same alone and before a reranker, which looks at more of it than may be measured
        is_reranked = any(isinstance(name, RerankedName) for name in names)
        self._depth = max(how.depth, how.rerank_top) if is_reranked else how.depth
        self._readers = Readers(openers, names, dim=how.dim, roles=(how.query_role, how.document_role))
        self._systems: dict[str, System] = {}

    def system(self, name: SystemName) -> System:
        """The one of that name."""
        if name.name not in self._systems:
            self._systems[name.name] = self._made(name)
        return self._systems[name.name]

    def _made(self, name: SystemName) -> System:
        match name:
            case ModelName():
                reader = self._readers.of(name)
                return IndexedSystem(name.name, reader, name.kind, dim=self._how.dim, similarity=self._how.similarity)
            case LexicalName():
                return IndexedSystem(name.name, Words(name.name, name.language), "sparse", idf=True)
            case CollectionName():
                return self._collection(name)
            case RankingName():
                return RankingFile(name.name, Path(name.path))
            case FusedName():
                return self._fused(name)
            case RerankedName():
                return self._reranked(name)

    def _fused(self, name: FusedName) -> System:
        how = self._how
        legs = [self.system(leg) for leg in name.legs]
        return FusedSystem(name.name, legs, how.fusion, k=how.rrf_k, weights=how.weights, depth=self._depth)

    def _reranked(self, name: RerankedName) -> System:
        reranker, how = name.reranker, self._how
        if reranker.where:
            encoder = self._openers.endpoint(reranker.model, reranker.where, "rerank")
        else:
            encoder = self._openers.model(reranker.model)
        scorer = Reranker(encoder, spec_of(encoder, "rerank", reranker.place), reranker.place)
        return RerankedSystem(
            name.name, self.system(name.first), scorer, top=how.rerank_top, skips_settled=how.skips_settled
        )

    def _collection(self, name: CollectionName) -> System:
        database = self._openers.database(name.database)
        there = database.describe(name.collection)
        if there is None:
            raise unknown(name.collection, database.names())
        field = one_field(there, name.field)
        signed = there.fields[field].origin
        place = f"vector {field!r} of {name.name!r}" if field else f"collection {name.name!r}"
        if signed is None:
            raise Mismatch(
                f"nobody has signed the vectors of {place}, so nobody knows which model reads its queries; sign them "
                "with `embedstack load --claim`"
            )
        kind = there.fields[field].kind
        reader, dim = self._readers.for_origin(signed, kind, place)
        return CollectionSystem(
            name.name, Stored(Bound(database, name.collection, {}), field, kind, signed), reader, dim=dim
        )
