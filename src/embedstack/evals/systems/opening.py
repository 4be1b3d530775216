"""Systems as a user writes them, and who opens models and databases -> the systems; what they share is opened once."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from embedstack.databases.bound import Bound
from embedstack.databases.checks import unknown
from embedstack.databases.database import Collection, Database
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.databases.fields import one_field, shown_name
from embedstack.errors import BadRequest, Mismatch
from embedstack.evals.systems.collection import CollectionSystem, Stored
from embedstack.evals.systems.encoded import Shared
from embedstack.evals.systems.fused import FusedSystem, Fusion
from embedstack.evals.systems.indexed import IndexedSystem
from embedstack.evals.systems.indexes import Similarity
from embedstack.evals.systems.joined import Joined
from embedstack.evals.systems.naming import (
    ENGLISH,
    CollectionName,
    FusedName,
    LexicalName,
    ModelName,
    RankingName,
    RerankedName,
    SearchedName,
    SystemName,
    parse_systems,
)
from embedstack.evals.systems.ranking_file import RankingFile
from embedstack.evals.systems.readers import ModelOpeners, Readers, spec_of
from embedstack.evals.systems.reranked import RerankedSystem, Reranker
from embedstack.evals.systems.searched import SearchedSystem
from embedstack.evals.systems.system import System
from embedstack.evals.systems.words import Words
from embedstack.search.analysis import Language
from embedstack.search.found import How
from embedstack.search.fuse import K
from embedstack.search.legs import models_of, plan_of
from embedstack.search.questions import ROLE


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
        self._known = set(_known(names))

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
            case SearchedName():
                return self._searched(name)
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
        there = _described(database, name.collection)
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
        stored = Stored(
            Bound(database, name.collection, {}), field, kind, signed,
            is_always_exact=kind == "sparse" or isinstance(database, EmbeddedDatabase), note=self._alone(name, there),
        )  # fmt: skip
        return CollectionSystem(name.name, stored, reader, dim=dim)

    def _alone(self, name: CollectionName, there: Collection) -> str:
        """For who named a collection, and may not know that it has more vectors than the one that is asked."""
        if name.field or len(there.fields) < 2 or (name.database, name.collection) in self._known:
            return ""
        asked, every = shown_name(there, ""), SearchedName(name.database, name.collection).name
        return f"of {len(there.fields)} vectors only {asked!r} is asked; {every} asks all as search does"

    def _searched(self, name: SearchedName) -> System:
        if self._how.query_role != ROLE:
            raise BadRequest(
                f"system {name.name!r} reads questions in the role {ROLE!r}, as search does, and not as "
                f"{self._how.query_role!r}; leave the role out, or name one of its vectors"
            )
        database = self._openers.database(name.database)
        there = _described(database, name.collection)
        encoder = Joined((one.spec, one.encoder) for one in self._models_of(name, there))
        asked = plan_of(there, How(), encoder.models()).fields
        how = self._search(name, [one.shown for one in asked])
        plan_of(there, how, encoder.models())  # says now what it would say of every query
        legs = [self.system(CollectionName(name.database, name.collection, _field(there, one.name))) for one in asked]
        return SearchedSystem(name.name, legs, database, name.collection, encoder, how)

    def _search(self, name: SearchedName, fields: Sequence[str]) -> How:
        weights = self._how.weights
        if weights and len(weights) != len(fields):
            raise BadRequest(
                f"system {name.name!r} asks {len(fields)} vectors, {', '.join(fields)}, and {len(weights)} weights are "
                "given; give one for each of them"
            )
        given = dict(zip(fields, weights, strict=True)) if weights else {}
        return How(fusion=self._how.fusion, rrf_k=self._how.rrf_k, weights=given)

    def _models_of(self, name: SearchedName, there: Collection) -> Iterator[Shared]:
        """Whose vectors a search asks."""
        wanted = models_of(there, How())
        for own, field in there.fields.items():
            if field.origin is not None and field.origin.identity.model in wanted:
                yield self._readers.model_for(field.origin, f"vector {shown_name(there, own)!r} of {name.name!r}")


def _described(database: Database, collection: str) -> Collection:
    there = database.describe(collection)
    if there is None:
        raise unknown(collection, database.names())
    return there


def _field(there: Collection, own: str) -> str:
    """As short as a user can write it."""
    return "" if not own or len(there.fields) == 1 else shown_name(there, own)


def _known(names: Iterable[SystemName]) -> Iterator[tuple[str, str]]:
    """Collections of which a user names one vector, or all."""
    for name in names:
        match name:
            case SearchedName(database, collection):
                yield database, collection
            case CollectionName(database, collection, field) if field:
                yield database, collection
            case FusedName(legs):
                yield from _known(legs)
            case RerankedName(first):
                yield from _known([first])
            case CollectionName() | ModelName() | LexicalName() | RankingName():
                pass
