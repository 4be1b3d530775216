"""What is to go from a collection: the list of a job's table, or every point that the table has not."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embedstack.databases.database import Database, Page, PointId, pages
from embedstack.errors import ConfigError, Mismatch
from embedstack.loading.retrying import Retrying
from embedstack.loading.source import Source
from embedstack.loading.stopping import Stop

if TYPE_CHECKING:
    from embedstack.jobs.keys import Ids, Keys

AT_ONCE = 1000  # points that are read or deleted by one call


@dataclass(frozen=True, slots=True)
class Ground:
    """The collection that is written, read and deleted from, and how it is called."""

    database: Database
    name: str
    retry: Retrying
    stop: Stop


def is_listed(source: Source, held: str, *, is_empty: bool, prune: bool, keep_gone: bool, name: str) -> bool:
    """Whether the points of the source's list are deleted once its rows are written.

    Args:
        held: digest of the plan whose table was in the collection as a whole before; "" where nobody knows.
        is_empty: nothing is in the collection, so nothing can be gone from it.
    Raises:
        Mismatch: there is a list, and the collection does not hold what it is a list for.
    """
    if source.previous is None or is_empty or prune or keep_gone:
        return False
    if held and held in (source.previous, source.plan):
        return held == source.previous  # else the list was worked through when this table was loaded
    wanted = f"job {source.previous[:12]}" if source.previous else "the job before, whose plan cannot be read any more"
    there = f"job {held[:12]}" if held else "something else, or a part"
    first = "load that job first" if source.previous else "load into an empty collection"
    raise Mismatch(
        f"the list of deletions is for a collection that holds {wanted}, and {name!r} holds {there}; {first}, or give "
        "--prune (delete every point that this table has not) or --keep-gone (delete nothing)"
    )


def delete_all(ground: Ground, ids: Iterable[Sequence[PointId]], counted: Callable[[int], None]) -> None:
    """Some at a time.

    Args:
        counted: told how many were deleted after each call.
    Raises:
        Stopped: somebody wants the end.
    """
    for some in ids:
        for first in range(0, len(some), AT_ONCE):
            ground.stop.check()
            part = some[first : first + AT_ONCE]
            ground.retry(partial(ground.database.delete, ground.name, part))
            counted(len(part))


# ------------------------------------------------------------------------------------------------ prune


@dataclass(frozen=True, slots=True)
class Surplus:
    """Points that are in the collection and not in the table; their ids lie in a file."""

    count: int
    path: Path

    def ids(self) -> Iterator[list[PointId]]:
        """Of all of them, some at a time."""
        some: list[PointId] = []
        with self.path.open() as lines:
            for line in lines:
                some.append(int(line) if line.strip().isdecimal() else line.strip())
                if len(some) == AT_ONCE:
                    yield some
                    some = []
        if some:
            yield some


@contextmanager
def surplus(ground: Ground, source: Source, rows: int) -> Iterator[Surplus]:
    """What `--prune` deletes, while its files are there: 24 bytes for each row of the table.

    Args:
        rows: of the table, about.
    Raises:
        ConfigError: the files cannot be written. Stopped: somebody wants the end.
    """
    with _folder() as folder:
        try:
            known, path, count = _known(ground, source, folder, rows), folder / "surplus", 0
            with path.open("w") as file:
                for ids in _all_ids(ground):
                    strange = [id_ for id_, is_there in zip(ids, known.has(ids), strict=True) if not is_there]
                    file.writelines(f"{id_}\n" for id_ in strange)
                    count += len(strange)
        except OSError as error:
            raise ConfigError(
                f"{str(folder)!r} cannot be written: {error.strerror or error}; free space there, or name another "
                "folder in TMPDIR"
            ) from error
        yield Surplus(count, path)


@dataclass(frozen=True, slots=True)
class _Known:
    """Ids of a table: a number and a UUID of the same bits are two."""

    numbers: "Keys"
    uuids: "Keys"

    def has(self, ids: Sequence[PointId]) -> NDArray[np.bool_]:
        """(ids,)."""
        found = np.zeros(len(ids), np.bool_)
        is_number = np.array([isinstance(id_, int) for id_ in ids], np.bool_)
        found[is_number] = self.numbers.find(_numbers(ids)) >= 0
        found[~is_number] = self.uuids.find(_uuids(ids)) >= 0
        return found


def _known(ground: Ground, source: Source, folder: Path, rows: int) -> _Known:
    """Numbers are looked for in a second reading, if the first one met any."""
    from embedstack.jobs.keys import build  # with pyarrow

    met = 0

    def each() -> Iterator[Sequence[PointId]]:
        for ids in source.ids():
            ground.stop.check()
            yield ids

    def uuids() -> Iterator["Ids"]:
        nonlocal met
        for ids in each():
            found = _uuids(ids)
            met += len(ids) - len(found)
            yield found

    places = folder / "uuids", folder / "numbers"
    for place in places:
        place.mkdir()
    first = build(places[0], uuids(), rows)
    return _Known(build(places[1], (_numbers(ids) for ids in each()) if met else (), met), first)


def _numbers(ids: Sequence[PointId]) -> "Ids":
    """(numbers among them, 2)."""
    low = np.array([id_ for id_ in ids if isinstance(id_, int)], np.uint64)
    return np.column_stack([np.zeros_like(low), low])


def _uuids(ids: Sequence[PointId]) -> "Ids":
    """(UUIDs among them, 2)."""
    data = bytes.fromhex("".join(id_.replace("-", "") for id_ in ids if isinstance(id_, str)))
    return np.frombuffer(data, ">u8").reshape(-1, 2).astype(np.uint64)


def _all_ids(ground: Ground) -> Iterator[list[PointId]]:
    def read(after: PointId | None) -> Page:
        ground.stop.check()
        return ground.retry(partial(ground.database.read, ground.name, after=after, limit=AT_ONCE, payload=False))

    for page in pages(read):
        yield [point.id for point in page.points]


@contextmanager
def _folder() -> Iterator[Path]:
    """For ids that are more than fit into memory."""
    try:
        made = tempfile.TemporaryDirectory(prefix="embedstack-load-")
    except OSError as error:
        raise ConfigError(
            f"{tempfile.gettempdir()!r} cannot be written: {error.strerror or error}; name another folder in TMPDIR"
        ) from error
    with made as path:
        yield Path(path)
