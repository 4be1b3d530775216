"""Parts of a check, and a database that is tried, become sentences that say which promises it broke."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np

from embedstack.databases.database import (
    Collection,
    Column,
    Database,
    Field,
    Index,
    Json,
    Loaded,
    Point,
    PointId,
    Points,
    Vector,
)
from embedstack.errors import EmbedstackError, Unsupported
from embedstack.origin import Identity, Origin, Probe, packed
from embedstack.types import Floats, Sparse

Part: TypeAlias = Callable[["Trial"], Iterator[str]]
Value: TypeAlias = "Json | Mapping[str, Json]"
Vectors: TypeAlias = Mapping[PointId, Mapping[str, Vector]]
"""Of points, by the field's name."""
Wanted: TypeAlias = "type[EmbedstackError] | tuple[type[EmbedstackError], ...]"

DIM = 4
ROUNDED = 1e-5  # of a float32 that was divided by a length
HALF = 1e-3  # of a float16: 2**-11 and some
NUMBERS = (0, 1, 9, 10, 255, 256, 2**31, 2**53 + 1, 2**63 - 1)
UUIDS = (
    "00000000-0000-4000-8000-000000000001",
    "0f000000-0000-4000-8000-000000000000",
    "10000000-0000-4000-8000-000000000000",
    "7fffffff-ffff-4fff-bfff-ffffffffffff",
    "80000000-0000-4000-8000-000000000000",
    "fffffffe-ffff-4fff-bfff-ffffffffffff",
    "ffffffff-ffff-4fff-bfff-ffffffffffff",
)
IDS: tuple[PointId, ...] = (*NUMBERS, *UUIDS)
"""In their order: where texts, signed numbers, or floats as ids make another one."""
HARD_TEXT = 'it\'s "so"; -- $$ %s {x} \\ \n\t é ß 漢 \U0001f600'
"""What is wrongly escaped wherever something is."""
MARK = Loaded(source=f"digest {HARD_TEXT}", rows=2**40, plan="plan")
WRITERS, ROUNDS = 6, 3  # at the same instant, and how often

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Trial:
    """A database, and whose collections in it are the check's."""

    database: Database
    prefix: str  # of the names of all that is made, at most 20 characters
    reopen: Callable[[], Database] | None = None

    def name(self, of: str = "docs") -> str:
        """A name that nobody else uses."""
        return f"{self.prefix}-{of}"

    def make(self, fields: Mapping[str, Field], of: str = "docs", indexes: Mapping[str, Index] | None = None) -> str:
        """The name of a new collection."""
        name = self.name(of)
        self.database.create(Collection(name=name, fields=fields, indexes=indexes or {}))
        return name

    def make_if_taken(self, fields: Mapping[str, Field]) -> str | None:
        """None where the database says that it has no such fields."""
        try:
            return self.make(fields)
        except Unsupported:
            return None

    def described(self, name: str) -> Collection:
        """One that must be there; else something nameless stands for it, so that all about it is wrong."""
        return self.database.describe(name) or Collection(name="", fields={}, points=-1)

    def ids(self, name: str) -> list[PointId]:
        """Of all points, in the order in which they are read."""
        return [point.id for point in self.database.read(name, limit=1000, payload=False).points]

    def empty(self) -> None:
        """Drop all that was made."""
        for name in self.database.names():
            if name.startswith(self.prefix):
                self.database.drop(name)


def broken_promises(trial: Trial, parts: Iterable[Part]) -> list[str]:
    """Each part begins with nothing; one that ends with an error of ours says so and the others go on."""
    broken: list[str] = []
    for part in parts:
        try:
            broken.extend(part(trial))
        except EmbedstackError as error:
            broken.append(f"{part.__name__.strip('_')} ended with {type(error).__name__}: {error}")
        finally:
            trial.empty()
    return broken


# ------------------------------------------------------------------------------------------------ how it is said


def differs(what: str, given: object, wanted: object) -> Iterator[str]:
    """Unless both are equal."""
    if given != wanted:
        yield f"{what} gives {given!r}, it must be {wanted!r}"


def not_refused(
    what: str, wanted: Wanted, call: Callable[[], object], *, naming: Sequence[object] = ()
) -> Iterator[str]:
    """Unless the call is refused with one of these errors, whose message has all of `naming` in it."""
    kinds = wanted if isinstance(wanted, tuple) else (wanted,)
    try:
        call()
    except kinds as error:
        for missing in (word for word in naming if str(word) not in str(error)):
            yield f"{what}: the {type(error).__name__} {str(error)!r} does not name {missing!r}"
    except EmbedstackError as error:
        yield f"{what} raises {type(error).__name__} ({error}), it must be {_named(kinds)}"
    else:
        yield f"{what} is taken, it must be refused with {_named(kinds)}"


def _named(kinds: tuple[type[EmbedstackError], ...]) -> str:
    return " or ".join(kind.__name__ for kind in kinds)


def unlike(what: str, given: Sequence[Point], wanted: Vectors, fields: Mapping[str, Field]) -> Iterator[str]:
    """Unless these are the points, in this order, and have these vectors, as their fields keep them, and no others."""
    yield from differs(f"{what}: the ids", [point.id for point in given], [*wanted])
    for point in given:
        vectors = wanted.get(point.id, {})
        yield from differs(f"{what}: the vectors of {point.id!r}", sorted(point.vectors), sorted(vectors))
        for name in sorted(vectors.keys() & point.vectors.keys()):
            if not _is_like(point.vectors[name], vectors[name], fields[name]):
                yield f"{what}: {point.id!r} has {point.vectors[name]} in {name!r} where {vectors[name]} was written"


def _is_like(given: Vector, wanted: Vector, field: Field) -> bool:
    if isinstance(given, Sparse) or isinstance(wanted, Sparse):
        return (
            isinstance(given, Sparse)
            and isinstance(wanted, Sparse)
            and given.ids.dtype == np.int32
            and given.weights.dtype == np.float32
            and np.array_equal(given.ids, wanted.ids)
            and np.array_equal(given.weights, wanted.weights)
        )
    if given.dtype != np.float32 or given.shape != wanted.shape:
        return False
    allowed = HALF if field.storing == "float16" else 0.0
    if field.distance == "cosine":  # a database may keep the direction alone
        given, wanted, allowed = _directions(given), _directions(wanted), max(allowed, ROUNDED)
    return bool(np.allclose(given, wanted, rtol=allowed, atol=allowed))


def _directions(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


# ------------------------------------------------------------------------------------------------ what is written


def points(
    ids: Sequence[PointId], vectors: Mapping[str, Column], payloads: Sequence[Mapping[str, Json]] | None = None
) -> Points:
    """Payloads that are not given hold the place of the point among these."""
    return Points(ids=ids, vectors=vectors, payloads=payloads or [{"place": place} for place in range(len(ids))])


def rows(count: int, dim: int = DIM, seed: int = 1) -> Floats:
    """(count, dim), of no two the same direction, and none of length 1."""
    return np.asarray(np.random.default_rng(seed).normal(0, 2, (count, dim)), np.float32)


def sparse(weights: Mapping[int, float]) -> Sparse:
    """Of ids in any order."""
    ids = sorted(weights)
    return Sparse(np.array(ids, np.int32), np.array([weights[i] for i in ids], np.float32))


def origin(model: str = "first", dim: int = DIM) -> Origin:
    """Of another model another space."""
    identity = Identity(
        model=model, revision="r1", space=f"{model}-space", fingerprint=f"{model}-print", dim=dim, max_tokens=512
    )
    probes = (Probe("hard", "query", HARD_TEXT, packed(rows(1, 256)[0])), Probe("empty", "document", "", ""))
    return Origin(identity=identity, role="query", probes=probes, basis="proven")


# ------------------------------------------------------------------------------------------------ several at once


def at_once(calls: Sequence[Callable[[], Made]]) -> list[Made]:
    """What each of them gives, all begun at the same instant."""
    start = threading.Barrier(len(calls))

    def begin(call: Callable[[], Made]) -> Made:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return [*threads.map(begin, calls)]
