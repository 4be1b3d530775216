"""The nouns of a database of vectors, and what every one of them can do."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias, runtime_checkable
from uuid import UUID

import msgspec

from embedstack.errors import BadRequest
from embedstack.origin import Origin
from embedstack.types import Floats, Sparse

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
PointId: TypeAlias = int | str
"""A whole number from 0 below 2**63, or a UUID in lower case with hyphens; see `point_id`."""
Vector: TypeAlias = Floats | Sparse
"""Dense (dim,), multi (vectors, dim), or sparse."""
Column: TypeAlias = Floats | Sequence[Sparse] | Sequence[Floats]
"""Of several points: dense (points, dim), sparse, or multi (vectors, dim) each."""
Kind = Literal["dense", "sparse", "multi"]
Distance = Literal["cosine", "dot", "l2"]
Storing = Literal["float32", "float16"]
IndexKind = Literal["keyword", "integer", "float", "bool", "datetime", "uuid"]
Quantization = Literal["none", "int8", "binary"]
Status = Literal["ready", "indexing", "failed"]

MOST_ID = 2**63  # PostgreSQL's bigint; Qdrant's numbers go twice as far
ONE_FORM = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # of a UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One kind of vector that the points of a collection have."""

    kind: Kind = "dense"
    dim: int = 0  # of a sparse one 0
    distance: Distance = "cosine"  # of a sparse one always "dot"
    storing: Storing = "float32"
    idf: bool = False  # of a sparse one: weights are multiplied by how rare a term is, as BM25 wants it
    origin: Origin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Over one key of the payloads, so that `where` is quick.

    It is for values of its kind: under one of integers Qdrant finds no number that has a fraction.
    """

    kind: IndexKind = "keyword"
    is_tenant: bool = False  # the key tells whose a point is, and every question names one


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """The mark that a load leaves: what it wrote, so that it can go on, and need not be repeated."""

    source: str  # digest of what is loaded and how
    rows: int  # so many from its beginning were written
    is_whole: bool = False
    plan: str = ""  # digest of the job's plan, where it is a job's table
    is_contested: bool = False  # something else was loaded meanwhile: nobody can say what is there


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """A set of points with equal fields."""

    name: str
    fields: Mapping[str, Field]  # by name; "" is the one without a name
    indexes: Mapping[str, Index] = field(default_factory=dict)  # by key; of a nested one with dots
    quantization: Quantization = "none"  # of the copies that are searched first
    points: int = 0
    status: Status = "ready"
    loaded: Loaded | None = None
    keeps_payload: bool = True  # False of a table of yours whose other columns are left alone
    keeps_indexes: bool = True  # False where there is no such thing: every `where` reads everything


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Some points to be written: columns of equal length."""

    ids: Sequence[PointId]
    vectors: Mapping[str, Column]  # by the field's name
    payloads: Sequence[Mapping[str, Json]]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One that was read."""

    id: PointId
    vectors: Mapping[str, Vector] = field(default_factory=dict)  # those that were asked for and are there
    payload: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """Points in the order of ids: numbers first, then UUIDs by their bytes."""

    points: Sequence[Point]
    after: PointId | None  # where the next page begins; None: there is none


def pages(read: Callable[["PointId | None"], Page]) -> Iterator[Page]:
    """All, each once the one before is done with.

    Args:
        read: gives the page behind an id; the first behind None.
    """
    page = read(None)
    yield page
    while page.after is not None:
        page = read(page.after)
        yield page


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """About one key of a payload; all that is given must hold. A list holds where one of its values does."""

    key: str  # of a nested one with dots
    values: tuple[str | int | bool, ...] | None = None  # it is one of these
    least: float | None = None  # a number of at least so much
    most: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which points are meant."""

    all: tuple[Condition, ...] = ()
    none: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question for the points nearest to a vector."""

    vector: Vector
    field: str = ""
    limit: int = 10
    where: Where = Where()
    among: Sequence[PointId] | None = None  # only these points, as far as they are there; None: all
    least: float | None = None  # a score of at least so much
    is_exact: bool = False  # every point is compared, whatever index there is
    with_vectors: Sequence[str] = ()
    with_payload: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One of several rankings that become one."""

    vector: Vector
    field: str = ""
    limit: int = 30  # so many of its points take part
    least: float | None = None  # a score of at least so much, of this field's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """A question for the points that are near to several vectors, by their ranks (rrf) or by their scores (dbsf)."""

    legs: Sequence[Leg]
    fusion: Literal["rrf", "dbsf"] = "rrf"
    k: int = 61  # of rrf, at least 1; ranks are counted from 0, so the 60 of the paper is 61
    weights: Sequence[float] = ()  # of rrf, one for each leg, which stretches its ranks; all are 1 if there are none
    limit: int = 10
    where: Where = Where()
    is_exact: bool = False
    with_payload: bool = True

    def query(self, leg: Leg) -> Query:
        """That leg alone."""
        return Query(
            vector=leg.vector,
            field=leg.field,
            limit=leg.limit,
            where=self.where,
            least=leg.least,
            is_exact=self.is_exact,
            with_payload=self.with_payload,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit(Point):
    """A point that was found; of equal scores the lower id comes first."""

    score: float  # cosine or product; of l2 the distance with a minus: more is nearer


class UnknownCollection(BadRequest):
    """There is none of that name."""

    status = 404
    code = "unknown_collection"


class Database(Protocol):
    """Where collections are. Methods may be called from several threads; those that write return when it is durable.

    Raises, all of them: UnknownCollection (but `describe`). BadRequest: names, ids, widths or numbers that it cannot
    take. Upstream: it failed or is away, with `retry` where the same call may succeed later. ConfigError: who calls
    may not, or the address is wrong.
    """

    url: str  # without secrets

    def names(self) -> list[str]:
        """Of all collections, sorted; no aliases."""
        ...

    def describe(self, name: str) -> Collection | None:
        """Of a collection or of what an alias stands for, under its own name; None where there is neither."""
        ...

    def create(self, wanted: Collection) -> bool:
        """Make what is not there, also indexes of a collection that is. Of two at once one makes it, with its origins.

        Origins, points, status and mark of one that is there are left alone, and so are fields and indexes that were
        not asked for.

        Returns:
            Whether the collection was made by this call.
        Raises:
            Mismatch: there is one in which a field, an index or the quantization is another, naming both.
        """
        ...

    def sign(self, name: str, field: str, origin: Origin, *, over: Origin | None) -> Origin:
        """Write whose vectors a field holds, if what is written there is still `over`; the one that stands there then.

        Raises:
            Mismatch: there is no such field.
        """
        ...

    def mark(self, name: str, loaded: Loaded | None) -> None:
        """Replace the mark of the last load; None takes it away."""
        ...

    def write(self, name: str, points: Points, *, only_new: bool = False) -> None:
        """Points with these fields and payloads, in the place of those of the same ids; twice the same is once.

        Fields that are not given stay as they are where the point is there already.

        Args:
            only_new: points that are there already are left alone.
        Raises:
            Mismatch: another width, or a field that is not there. BadRequest: a number that is not finite, an id twice.
        """
        ...

    def delete(self, name: str, ids: Sequence[PointId]) -> None:
        """Those that are not there are no error."""
        ...

    def read(
        self,
        name: str,
        *,
        after: PointId | None = None,
        limit: int = 256,
        vectors: Sequence[str] = (),
        payload: bool = True,
        where: Where | None = None,
    ) -> Page:
        """The points behind `after` in the order of ids."""
        ...

    def get(self, name: str, ids: Sequence[PointId], *, vectors: Sequence[str] = ()) -> list[Point]:
        """Those that are there, in the order of `ids`, with payloads."""
        ...

    def query(self, name: str, query: Query) -> list[Hit]:
        """At most `limit`, nearest first, of equal scores in the order of ids.

        Raises:
            Mismatch: another width or kind than the field has, or no such field.
        """
        ...

    def aliases(self) -> Mapping[str, str]:
        """Alias to collection."""
        ...

    def switch(self, alias: str, new: str, *, old: str | None) -> None:
        """Let an alias stand for another collection: nobody sees it standing for none.

        Args:
            old: what it must stand for now; None: there must be no such alias.
        Raises:
            Mismatch: it stands for something else. BadRequest: the alias is a collection's name.
        """
        ...

    def drop(self, name: str) -> None:
        """A collection with all that is in it, and its aliases; one that is not there is no error."""
        ...

    def close(self) -> None:
        """Give back what it holds; twice is once."""
        ...


@runtime_checkable
class Fusing(Protocol):
    """What a database can do beside: put several rankings together itself, so that one answer comes for all of them."""

    def fuse(self, name: str, asked: Fused) -> list[Hit]:
        """As `search.fuse` makes one ranking of the answers to `asked.query`: at most `limit`, of equal scores by id.

        Equal scores within a leg may be ranked in any order.

        Raises:
            Unsupported: this database cannot put these together, or not so; who asks can. Mismatch: as `query`.
        """
        ...


def point_id(given: int | str | UUID) -> PointId:
    """In the one form that ids have here.

    Raises:
        BadRequest: it is neither a number in range nor a UUID.
    """
    if isinstance(given, int) and not isinstance(given, bool):
        if not 0 <= given < MOST_ID:
            raise BadRequest(f"point id {given} is outside 0 to 2**63 - 1; give a UUID")
        return given
    if isinstance(given, str) and ONE_FORM.fullmatch(given):
        return given  # nearly all are, and to read each takes a tenth of what a folder takes to keep its point
    try:
        return str(UUID(str(given)))
    except ValueError as error:
        raise BadRequest(f"point id {given!r} is neither a whole number nor a UUID") from error


def order_of(given: PointId) -> tuple[bool, PointId]:
    """By which ids are sorted."""
    return isinstance(given, str), given
