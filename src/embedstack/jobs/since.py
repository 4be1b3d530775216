"""Jobs before this one -> vectors of the chunks that did not change."""

import hashlib
import os
import shutil
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import msgspec
import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from embedstack.errors import ConfigError, Mismatch, Unsupported
from embedstack.jobs.checking import InputChanges, differences, input_changes
from embedstack.jobs.commit import Part
from embedstack.jobs.finished import finished, opened_part, read_manifest, texts
from embedstack.jobs.keys import Ids, Keys, build, ids_of, opened
from embedstack.jobs.layout import PLAN
from embedstack.jobs.ledger import Ledger
from embedstack.jobs.manifest import parts_of
from embedstack.jobs.plan import Plan, Wish
from embedstack.jobs.planning import load_plan
from embedstack.jobs.probing import faults_between, shared
from embedstack.jobs.scratch import unwritten
from embedstack.jobs.shards import shards_of
from embedstack.jobs.spooling import INDEX, LOCK, held_open
from embedstack.origin import Identity, Probe
from embedstack.storage.opening import open_storage
from embedstack.storage.storage import Entry, Storage
from embedstack.types import Floats

LentPart = tuple[Storage, Part]
CACHE_BYTES = 64 << 20  # of vectors that are kept: what stands on every page is asked for again by every shard


@dataclass(frozen=True, slots=True)
class Lender:
    """A job before, and what it has of vectors."""

    storage: Storage
    plan: Plan
    parts: Sequence[Part]
    shards: int  # that are committed
    is_finished: bool


@dataclass(frozen=True, slots=True)
class Reused:
    """What the job before has of some texts."""

    found: NDArray[np.bool_]  # for each text
    vectors: Floats  # (texts that were found, dim), in their order


class Index:
    """Content hashes of the jobs before and where their vectors stand. Any thread may ask.

    Args:
        held: an open file that says that the index is in use, for as long as this object lives.
    """

    def __init__(self, parts: Sequence[LentPart], dim: int, keys: Keys, held: int) -> None:
        weakref.finalize(self, os.close, held)
        self._parts, self._dim = parts, dim
        self._keys = keys
        self._ends = np.cumsum([part.rows for _, part in parts], dtype=np.int64)
        self._starts: dict[int, NDArray[np.int64]] = {}  # of the row groups of parts that were open
        self._kept: OrderedDict[tuple[int, int], NDArray[np.floating]] = OrderedDict()  # the last asked for comes last
        self._lock = Lock()

    @property
    def rows(self) -> int:
        """Different texts that are known."""
        return len(self._keys.places)

    def lookup(self, content_hashes: Sequence[str]) -> Reused:
        """What is known of some texts.

        Raises:
            Mismatch: a part is missing, has another size or cannot be read.
        """
        with self._lock:
            places = self._keys.find(ids_of(content_hashes))
            found = places >= 0
            return Reused(found, self._vectors(places[found]))

    def _vectors(self, places: NDArray[np.int64]) -> Floats:
        """(places, dim); each row group is read once at most."""
        made = np.zeros((len(places), self._dim), np.float32)
        owners = np.searchsorted(self._ends, places, "right")
        for part in np.unique(owners):
            mine = np.flatnonzero(owners == part)
            self._fill(made, mine, int(part), places[mine] - (self._ends[part - 1] if part else 0))
        return made

    def _fill(self, made: Floats, targets: NDArray[np.intp], part: int, rows: NDArray[np.int64]) -> None:
        """Rows of one part into their places."""
        starts = self._groups(part)
        groups = np.searchsorted(starts, rows, "right") - 1
        for group in np.unique(groups):
            mine = groups == group
            made[targets[mine]] = self._group(part, int(group))[rows[mine] - starts[group]]

    def _groups(self, part: int) -> NDArray[np.int64]:
        if part not in self._starts:
            with opened_part(*self._parts[part]) as reader:
                self._starts[part] = reader.starts
        return self._starts[part]

    def _group(self, part: int, group: int) -> NDArray[np.floating]:
        """The vectors of a row group, read again only if others were asked for since."""
        kept = self._kept.pop((part, group), None)
        if kept is None:
            with opened_part(*self._parts[part]) as reader:
                kept = reader.vectors(group)
        self._kept[part, group] = kept
        while len(self._kept) > 1 and sum(vectors.nbytes for vectors in self._kept.values()) > CACHE_BYTES:
            self._kept.popitem(last=False)
        return kept


def check_since(previous: Storage, wish: Wish, identity: Identity, probes: Sequence[Probe]) -> bool:
    """At plan time, before anything is written.

    Args:
        probes: with the vectors that the model makes now.
    Returns:
        Whether the job before is finished.
    Raises:
        Missing: there is no job before. Mismatch: its vectors are of another model, width, storing or role.
            Unsupported: sparse vectors and late chunking are not reused.
    """
    return _comparable(lenders(previous), wish, identity, probes)[0].is_finished


def open_index(previous: Storage, plan: Plan, folder: Path) -> Index:
    """Built once in a folder of its own below `folder`, and found there by the next run and by other processes.

    Raises:
        Missing, Mismatch, Unsupported: as `check_since`. Mismatch: it was finished when the plan was made and is not
            now. ConfigError: `folder` cannot be written.
    """
    if not plan.lends_part:
        finished(previous)
    found = _comparable(lenders(previous), plan.wish, plan.identity, plan.probes)
    parts = [(one.storage, part) for one in found for part in one.parts]
    made = hashlib.sha256(msgspec.json.encode([(storage.url, part) for storage, part in parts])).hexdigest()[:16]
    place = folder / f"{_prefix(plan)}{made}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{place.name}.lock"):
            held = held_open(place)
            if held is None:
                _build(parts, place)
                held = held_open(place)
    except OSError as error:
        raise unwritten(place, error) from error
    if held is None:
        raise ConfigError(f"{str(place)!r} was deleted as soon as it was made; look what deletes there, and run again")
    return Index(parts, plan.identity.dim, opened(place), held)


def drop_index(plan: Plan, folder: Path) -> None:
    """Delete what `open_index` left in a folder; for a plan that is done. Indexes that are open stay usable."""
    for left in (*folder.glob(f"{_prefix(plan)}*"), *folder.glob(f".{_prefix(plan)}*")):
        shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def changes(previous: Storage, entries: Iterable[Entry]) -> InputChanges:
    """The input beside that of the job before; for show only, since chunks are compared by what they hold.

    Raises:
        Missing, Mismatch: the job before is not there or cannot be read.
    """
    return input_changes(shards_of(previous, load_plan(previous)).segments(), entries)


def lenders(previous: Storage) -> list[Lender]:
    """The job before; where it is not finished, what it has, and behind it those that lend to it, until one is whole.

    Raises:
        Missing: there is no job before. Mismatch: one cannot be read, or is finished in another way than planned.
    """
    found = [_lender(previous)]
    known = {previous.url}
    while not found[-1].is_finished and (since := found[-1].plan.wish.since):
        storage = open_storage(since)
        if storage.url in known or storage.entry(PLAN) is None:  # it was deleted: then that much is encoded again
            break
        known.add(storage.url)
        found.append(_lender(storage))
    return found


def _lender(storage: Storage) -> Lender:
    plan = load_plan(storage)
    if read_manifest(storage) is not None:
        return Lender(storage, plan, finished(storage).manifest.parts, plan.shards, is_finished=True)
    parts, shards = list[Part](), 0
    for commit in Ledger(storage, plan).records():  # of a hundred thousand shards their records are no small thing
        parts += parts_of([commit])
        shards += 1
    return Lender(storage, plan, parts, shards, is_finished=False)


def _comparable(found: Sequence[Lender], wish: Wish, identity: Identity, probes: Sequence[Probe]) -> Sequence[Lender]:
    if wish.late_chunking:
        raise Unsupported(
            "with late chunking a chunk's vector depends on the rest of its document, so that equal texts have other "
            "vectors; leave out --since"
        )
    if wish.sparse:
        raise Unsupported("sparse vectors of a job before are not reused; leave out --since or --sparse")
    for one in found:
        if differs := [*_differences(one.plan, wish, identity)] or _other_vectors(one.plan, identity, probes):
            raise Mismatch(
                f"vectors of {one.storage.url!r} cannot be reused: {'; '.join(differs)}; plan without --since to make "
                "all anew"
            )
    return found


def _differences(before: Plan, wish: Wish, identity: Identity) -> Iterator[str]:
    """In words. A model may have another name by now: what counts is what its vectors are."""
    if not _is_same(before.identity, identity):
        yield from differences(before.identity, identity)
    if before.wish.role != wish.role:
        yield f"role {before.wish.role!r} -> {wish.role!r}"
    if before.wish.storing != wish.storing:
        yield f"storing {before.wish.storing!r} -> {wish.storing!r}"
    if before.wish.late_chunking:
        yield "it was made with late chunking"


def _other_vectors(before: Plan, identity: Identity, probes: Sequence[Probe]) -> list[str]:
    """In words. Where there is no fingerprint, the probes are all that tells one model from another of its name."""
    if not identity.fingerprint and not shared(before, probes):
        return ["the endpoint does not say whose vectors it makes, and was asked for other probes"]
    return faults_between(before, probes)


def _is_same(before: Identity, now: Identity) -> bool:
    """Other people's endpoints have no fingerprint: there all that they say must be equal."""
    if before.fingerprint or now.fingerprint:
        return (before.fingerprint, before.dim) == (now.fingerprint, now.dim)
    return before == now


def _prefix(plan: Plan) -> str:
    return f"{INDEX}{plan.digest[:16]}-"


def _build(parts: Sequence[LentPart], place: Path) -> None:
    """All at once under its name; what a killed process left of it is taken away first."""
    made = place.with_name(f".{place.name}.partial")
    for left in (made, place):
        shutil.rmtree(left, ignore_errors=True)
    made.mkdir()
    try:
        build(made, _hashes(parts), sum(part.rows for _, part in parts))
        (made / LOCK).touch()
        made.rename(place)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _hashes(parts: Sequence[LentPart]) -> Iterator[Ids]:
    for storage, part in parts:
        yield from (ids_of(hashes) for (hashes,) in texts(storage, [part], ["content_hash"]))
