"""The storage of a job that is done -> its plan, its manifest, and single columns of its parts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from embedstack.errors import Mismatch
from embedstack.jobs.arrow import MEND
from embedstack.jobs.commit import Manifest, Part
from embedstack.jobs.layout import MANIFEST
from embedstack.jobs.plan import Plan
from embedstack.jobs.planning import load_plan
from embedstack.jobs.table import PartReader
from embedstack.storage.storage import Missing, Storage


@dataclass(frozen=True, slots=True)
class Finished:
    """A table that is whole."""

    storage: Storage
    plan: Plan
    manifest: Manifest

    def texts(self, names: Sequence[str]) -> Iterator[tuple[list[str], ...]]:
        """Some columns of texts, of all parts in order.

        Raises:
            Mismatch: a part is not as the manifest says.
        """
        return texts(self.storage, self.manifest.parts, names)


def finished(storage: Storage) -> Finished:
    """Raises: Missing: there is no job. Mismatch: it is not done, or its manifest is of another plan."""
    plan = load_plan(storage)
    manifest = read_manifest(storage)
    if manifest is None:
        raise Mismatch(f"the job in {storage.url!r} is not finished; run: embedstack job run {storage.url}")
    if manifest.plan != plan.digest:
        raise Mismatch(f"the manifest in {storage.url!r} is of another plan than plan.json; plan into an empty place")
    return Finished(storage, plan, manifest)


def read_manifest(storage: Storage) -> Manifest | None:
    """None where there is none yet.

    Raises:
        Mismatch: it cannot be read.
    """
    try:
        return msgspec.json.decode(storage.get(MANIFEST), type=Manifest)
    except Missing:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Mismatch(f"{MANIFEST} in {storage.url!r} cannot be read: {error}; delete it and {MEND}") from error


@contextmanager
def opened_part(storage: Storage, part: Part) -> Iterator[PartReader]:
    """Raises: Mismatch: it is missing, has another size or other rows, or is no Parquet file."""
    entry = storage.entry(part.key)
    if entry is None:
        raise Mismatch(f"{part.key!r} is missing in {storage.url!r}; {MEND}")
    if entry.size != part.bytes:
        raise Mismatch(f"{part.key!r} has {entry.size} bytes, its commit says {part.bytes}; {MEND}")
    with storage.open(part.key) as file:
        reader = PartReader(file, part.key)
        if reader.rows != part.rows:
            raise Mismatch(f"{part.key!r} has {reader.rows} rows, its commit says {part.rows}; {MEND}")
        yield reader


def texts(storage: Storage, parts: Sequence[Part], names: Sequence[str]) -> Iterator[tuple[list[str], ...]]:
    """Some columns of texts of several parts, one part open at a time."""
    for part in parts:
        with opened_part(storage, part) as reader:
            yield from reader.texts(names)
