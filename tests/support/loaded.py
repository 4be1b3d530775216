"""Tables in memory, rows drawn from a seed; databases whose calls are looked at; loads that are killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from embedstack.databases.bound import Bound
from embedstack.databases.database import Database, Field, Json, PointId, Points
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.errors import Upstream
from embedstack.loading.loading import load
from embedstack.loading.source import BadRow
from embedstack.loading.stopping import Stop
from embedstack.loading.wish import Summary, Wish
from embedstack.origin import Identity, Origin
from embedstack.types import Sparse

DIM, VOCAB = 8, 500
NAME = "docs"
SMALL = Wish(batch=32)


def origin(model: str = "hash", dim: int = DIM) -> Origin:
    """Each model has a space of its own."""
    space = sha256(model.encode()).hexdigest()
    return Origin(
        identity=Identity(model=model, revision="1", space=space, fingerprint=space[:32], dim=dim, max_tokens=256)
    )


def uuid_of(number: int) -> str:
    return str(UUID(bytes=sha256(f"row {number}".encode()).digest()[:16]))


class Drawn:
    """A table; two of other seeds have the same ids and other vectors.

    Args:
        first: the number of the first row, from which its id is made.
        ids: what a number becomes.
        fails: at these rows, once each, and is away for that moment; or for good.
        each: told the place of each batch before it is given.
    """

    def __init__(
        self,
        rows: int = 200,
        *,
        seed: int = 0,
        first: int = 0,
        ids: Callable[[int], PointId] = uuid_of,
        model: str = "hash",
        has_sparse: bool = False,
        plan: str = "",
        previous: str | None = None,
        lists: Sequence[PointId] = (),
        total: int | None = -1,
        bad: int | None = None,
        away: Sequence[int] = (),
        each: Callable[[int], None] = lambda place: None,
    ) -> None:
        self.rows, self.seed, self.plan, self.previous = rows, seed, plan, previous
        self.label = f"table {seed}"
        self.digest = sha256(f"{rows} {seed} {first} {model}".encode()).hexdigest()
        self.total = rows if total == -1 else total
        self.fields: Mapping[str, Field] = {"": Field(dim=DIM, origin=origin(model))}
        if has_sparse:
            self.fields = {**self.fields, "sparse": Field(kind="sparse", distance="dot", origin=origin(model))}
        self.notes: Sequence[str] = ()
        self.is_closed = False
        self._ids = [ids(first + number) for number in range(rows)]
        self._lists, self._bad, self._away, self._each = lists, bad, list(away), each
        drawn = np.random.default_rng(seed).standard_normal((rows, DIM))
        # of length 1, which a server leaves as they are: then what is there can be compared to the bit
        self._vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)

    def batches(self, start: int, size: int) -> Iterator[Points]:
        for first in range(start, self.rows, size):
            places = range(first, min(first + size, self.rows))
            self._each(first)
            for place in [place for place in self._away if place in places]:
                self._away.remove(place)
                raise Upstream("the bucket is away", retry=True)
            if self._bad in places:
                raise BadRow(f"rows.jsonl:{self._bad + 1}: a vector of zeros; leave it out")
            yield self.points(places)

    def points(self, places: Sequence[int]) -> Points:
        vectors: dict[str, Any] = {"": self._vectors[list(places)]}
        if "sparse" in self.fields:
            vectors["sparse"] = [self._sparse(place) for place in places]
        return Points(
            ids=[self._ids[place] for place in places],
            vectors=vectors,
            payloads=[self._payload(place) for place in places],
        )

    def ids(self) -> Iterator[Sequence[PointId]]:
        for first in range(0, self.rows, 70):
            yield self._ids[first : first + 70]

    def gone(self) -> Iterator[Sequence[PointId]]:
        if self._lists:
            yield self._lists

    def close(self) -> None:
        self.is_closed = True

    def _payload(self, place: int) -> dict[str, Json]:
        return {"text": f"row {place} of {self.label}", "metadata": {"place": place, "tags": ["a", "b"]}}

    def _sparse(self, place: int) -> Sparse:
        draw = np.random.default_rng((self.seed, place))
        ids = np.sort(draw.choice(VOCAB, 4, replace=False)).astype(np.int32)
        return Sparse(ids, draw.uniform(0.1, 1, 4).astype(np.float32))

    @property
    def truth(self) -> dict[PointId, tuple[Any, ...]]:
        """What is in a collection that holds this table and nothing else; of equal ids the last row."""
        points = self.points(range(self.rows))
        columns = {name: list(column) for name, column in points.vectors.items()}
        return {
            id_: shown({name: column[row] for name, column in columns.items()}, points.payloads[row])
            for row, id_ in enumerate(points.ids)
        }


def shown(vectors: Mapping[str, Any], payload: Mapping[str, Json]) -> tuple[Any, ...]:
    """Comparable to the bit."""
    plain = {
        name: (one.ids.tobytes(), one.weights.tobytes()) if isinstance(one, Sparse) else one.tobytes()
        for name, one in vectors.items()
    }
    return plain, dict(payload)


def everything(database: Database, name: str = NAME) -> dict[PointId, tuple[Any, ...]]:
    """All points of a collection, in order."""
    there = database.describe(name)
    assert there is not None
    found, after = {}, None
    while True:
        page = database.read(name, after=after, limit=500, vectors=tuple(there.fields))
        found.update({point.id: shown(point.vectors, point.payload) for point in page.points})
        after = page.after
        if after is None:
            return found


# ------------------------------------------------------------------------------------------------ calls


class Around:
    """The real database; each call of it goes through a function that may look, wait, fail or end the process."""

    def __init__(self, inner: Database, around: Callable[[str, Callable[[], Any]], Any]) -> None:
        self._inner, self._around = inner, around

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return (
            (lambda *given, **named: self._around(name, partial(found, *given, **named))) if callable(found) else found
        )


CHANGES = frozenset({"create", "sign", "mark", "write", "delete", "switch", "drop"})


class Log:
    """Which calls there were that change something."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str, call: Callable[[], Any]) -> Any:
        if name in CHANGES:
            self.names.append(name)
        return call()


class Told:
    """What a load says, and the answer when it asks."""

    def __init__(self, *, may: bool = True) -> None:
        self.notes: list[str] = []
        self.steps: list[int] = []
        self.asked: list[int] = []
        self._may = may

    def rows(self, done: int, total: int | None) -> None:
        self.steps.append(done)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def may_delete(self, count: int, name: str) -> bool:
        self.asked.append(count)
        return self._may


class Clock:
    """Time that passes by pauses alone."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def pause(self, pause_s: float) -> None:
        self.pauses.append(pause_s)
        self.now_s += pause_s


def loaded(
    source: Drawn,
    database: Database,
    wish: Wish = SMALL,
    *,
    told: Told | None = None,
    clock: Clock | None = None,
    stop: Stop | None = None,
) -> Summary:
    """As the command does it, in time that passes by pauses."""
    clock = clock or Clock()
    origins = {name: field.origin for name, field in source.fields.items() if field.origin is not None}
    bound = Bound(database, NAME, origins)
    return load(source, bound, wish, progress=told or Told(), clock=clock, pause=clock.pause, stop=stop)


# ------------------------------------------------------------------------------------------------ killed


class Killing:
    """Ends the process with SIGKILL before or after a call that changes something, the first one being 1."""

    def __init__(self, number: int, *, is_after: bool) -> None:
        self._number, self._is_after, self._calls = number, is_after, count(1)

    def __call__(self, name: str, call: Callable[[], Any]) -> Any:
        is_it = name in CHANGES and next(self._calls) == self._number
        if is_it and not self._is_after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = call()
        if is_it:
            os.kill(os.getpid(), signal.SIGKILL)
        return result


class Ticking(Clock):
    """Each look at it takes a while, so that there are marks between."""

    def __call__(self) -> float:
        self.now_s += 1.7
        return self.now_s


ALL, BEFORE, SINCE = "all", "before", "since"
PLANS = {BEFORE: "b" * 64, SINCE: "5" * 64}


def table_of(name: str) -> Drawn:
    """What is loaded where processes are killed."""
    if name == ALL:  # some ids come twice, so that the order of rows counts
        return Drawn(2000, ids=lambda number: uuid_of(number % 1900), has_sparse=True)
    if name == BEFORE:
        return Drawn(60, plan=PLANS[BEFORE])
    gone = [uuid_of(number) for number in range(30)]
    return Drawn(60, seed=1, first=30, plan=PLANS[SINCE], previous=PLANS[BEFORE], lists=gone)


def wish_of(name: str) -> Wish:
    """An alias is switched at the end, where there is a job before."""
    return Wish(batch=32, streams=3, alias="live" if name == SINCE else "")


def load_and_die(name: str, folder: str, number: str, moment: str) -> None:
    """Of a table that has a name, into a folder."""
    with closing(EmbeddedDatabase(Path(folder))) as database:
        killing = Around(database, Killing(int(number), is_after=moment == "after"))
        loaded(table_of(name), killing, wish_of(name), clock=Ticking())


def killed(name: str, folder: Path, number: int, moment: str) -> int:
    """The same in a process of its own, which a signal ends; that, with a minus, or 0 if it came to its end before."""
    words = [sys.executable, "-m", "support.loaded", name, str(folder), str(number), moment]
    here = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    done = subprocess.run(words, env=here, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


if __name__ == "__main__":
    load_and_die(*sys.argv[1:])
