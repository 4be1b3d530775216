"""A finished job's table -> its rows in order, a batch at a time, and what is to be deleted since the job before."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice

from embedstack.databases.database import Column, Field, PointId, Points
from embedstack.errors import EmbedstackError, Mismatch
from embedstack.jobs.arrow import MEND
from embedstack.jobs.commit import Part
from embedstack.jobs.deletions import DELETED, read_deleted
from embedstack.jobs.digests import of_file
from embedstack.jobs.finished import Finished, finished, opened_part
from embedstack.jobs.keys import ids_of
from embedstack.jobs.planning import load_plan
from embedstack.jobs.rows import Rows
from embedstack.loading.describing import digest_of, fields_of, job_origin
from embedstack.loading.footers import said_by
from embedstack.loading.ids import uuid_of
from embedstack.loading.payloads import OWN, check_text_key, job_payloads, notes_of
from embedstack.loading.pieces import Piece, Place, batched
from embedstack.loading.rows_checked import first_fault, first_sparse_fault
from embedstack.loading.source import How
from embedstack.origin import Origin
from embedstack.storage.opening import open_storage
from embedstack.storage.storage import Storage

GONE_AT_ONCE = 1000


class JobTable:
    """A `Source`. A part is open only while it is read; in memory are some thousand rows."""

    def __init__(self, storage: Storage, how: How, *, model: str = "") -> None:
        """
        Args:
            model: what the user named, which the table does not need.
        Raises:
            Missing: there is no job. Mismatch: it is not finished, or damaged. BadRequest: `how` does not suit it.
        """
        check_text_key(how, OWN)
        self._table, self._how = finished(storage), how
        plan, manifest = self._table.plan, self._table.manifest
        origin = job_origin(plan)
        self.label = storage.url
        self.total: int | None = manifest.rows
        self.fields: Mapping[str, Field] = fields_of(how, origin, has_sparse=plan.wish.sparse)
        self.plan = plan.digest
        self.previous = _previous(self._table)
        self.digest = _digest(self._table, how)
        self.notes: Sequence[str] = [*_unasked(model, origin), *notes_of(how)]

    def batches(self, start: int, size: int) -> Iterator[Points]:
        """See `Source`; parts that are passed over are not read.

        Raises:
            Mismatch: also for a vector that is not finite or all zeros: a job writes none.
        """
        with closing(self._pieces(start)) as pieces:
            yield from batched(pieces, size)

    def ids(self) -> Iterator[Sequence[PointId]]:
        """See `Source`; no other column is read."""
        return (_points(chunk_ids) for (chunk_ids,) in self._table.texts(["chunk_id"]))

    def gone(self) -> Iterator[Sequence[PointId]]:
        """See `Source`.

        Raises:
            Missing: the list is not there. Mismatch: it is not as it was written.
        """
        if self.previous is None:
            return
        _check_list(self._table)
        deleted = read_deleted(self._table.storage)
        while few := list(islice(deleted, GONE_AT_ONCE)):
            yield _points([chunk_id for _, chunk_id in few])

    def close(self) -> None:
        """Nothing is held between calls."""

    def _pieces(self, start: int) -> Generator[Piece, None, None]:
        for part in self._table.manifest.parts:
            if start < part.rows:
                yield from self._part(part, start)
            start = max(0, start - part.rows)

    def _part(self, part: Part, start: int) -> Iterator[Piece]:
        first = 0
        with opened_part(self._table.storage, part) as reader:
            self._check_footer(reader.footer, part.key)
            for rows in reader.groups():
                if start < first + len(rows):
                    yield self._piece(rows, part.key, first).cut(max(0, start - first))
                first += len(rows)

    def _check_footer(self, footer: bytes, key: str) -> None:
        """A part of another job may have as many rows and bytes."""
        said = said_by(footer, key)
        if said is None or said.shard is None or said.shard[0] != self.plan:
            raise Mismatch(f"{key!r} in {self.label!r} is no part of this job; {MEND}")

    def _piece(self, rows: Rows, key: str, first: int) -> Piece:
        places = [Place("row", first + place, key) for place in range(len(rows))]
        _check(first_fault(rows.vectors, self._how.storing), places)
        vectors: dict[str, Column] = {self._how.vector: rows.vectors}
        if rows.sparse is not None and self._how.sparse is not None:
            _check(first_sparse_fault(rows.sparse), places)
            vectors[self._how.sparse] = rows.sparse
        try:
            payloads = job_payloads(rows, self._how)
        except ValueError as error:
            raise Mismatch(f"the metadata of a row behind {places[0]} is not JSON; {MEND}") from error
        return Piece(Points(ids=_points(rows.chunk_ids), vectors=vectors, payloads=payloads), places)


def _points(chunk_ids: Sequence[str]) -> list[PointId]:
    ids_of(chunk_ids)  # all have 32 hexadecimal digits
    return [uuid_of(chunk_id) for chunk_id in chunk_ids]


def _check(fault: tuple[int, str] | None, places: Sequence[Place]) -> None:
    if fault is not None:
        raise Mismatch(f"the vector in {places[fault[0]]} {fault[1]}, and a job writes no such vector; {MEND}")


def _check_list(table: Finished) -> None:
    """Points would be deleted that should stay."""
    said = table.manifest.deleted_sha256
    with table.storage.open(DELETED) as file:
        if said and of_file(file) != said:
            raise Mismatch(f"{DELETED} in {table.storage.url!r} is not what the manifest says of it; {MEND}")


def _previous(table: Finished) -> str | None:
    if not table.manifest.deleted:
        return None
    try:
        return load_plan(open_storage(table.plan.wish.since)).digest if table.plan.wish.since else ""
    except EmbedstackError:  # it may lie on another machine, or be gone: that is for the loader to tell
        return ""


def _digest(table: Finished, how: How) -> str:
    manifest = table.manifest
    parts = [(part.key, part.bytes, part.sha256) for part in manifest.parts]
    return digest_of("job", [*parts, ("plan", 0, manifest.plan), (manifest.deleted, 0, manifest.deleted_sha256)], how)


def _unasked(model: str, origin: Origin) -> list[str]:
    return [f"model {model!r} is not opened: the table says that its vectors are of {origin.name}"] if model else []
