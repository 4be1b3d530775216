"""The table of the job before and this one's parts -> a file of the chunks that are gone."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from embedstack.jobs.arrow import mapped, pa, pq
from embedstack.jobs.commit import Manifest, Part
from embedstack.jobs.dead import DUPLICATE, read_dead
from embedstack.jobs.digests import Written, written
from embedstack.jobs.finished import Finished, finished, texts
from embedstack.jobs.keys import Keys, build, ids_of
from embedstack.jobs.scratch import scratch, unwritten
from embedstack.storage.storage import Storage

DELETED = "_deleted.parquet"
SCHEMA = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("doc_id", "chunk_id")])


def write_deleted(previous: Storage, storage: Storage, now: Manifest, folder: Path) -> Written:
    """Write doc_id and chunk_id of the chunks that the job before has and this table lacks.

    The file is there with no rows, too: then nothing is to be deleted. Chunks whose text changed in its place keep
    their id, so they are in both tables and not in this file. Neither are those of documents that failed: they are
    not gone, and may be read again tomorrow.

    Args:
        now: of the new table.
        folder: where the ids lie while they are compared, 24 bytes each.
    Raises:
        Missing, Mismatch: the job before is not there, not finished or damaged. ConfigError: no room in `folder`.
    """
    before = finished(previous)
    with scratch(folder, "deleted") as made:
        path = made / DELETED
        try:
            _write(path, before, chunk_keys(storage, now.parts, made), failed(storage, now))
            wrote = written(path)
        except OSError as error:
            raise unwritten(path, error) from error
        storage.put_file(DELETED, path)
    return wrote


def read_deleted(storage: Storage) -> Iterator[tuple[str, str]]:
    """doc_id and chunk_id of each chunk that is gone.

    Raises:
        Missing: the job has no such file. Mismatch: it cannot be read.
    """
    with storage.open(DELETED) as file, mapped(DELETED):
        for batch in pq.ParquetFile(file, page_checksum_verification=True).iter_batches(use_threads=False):
            yield from zip(batch.column("doc_id").to_pylist(), batch.column("chunk_id").to_pylist(), strict=True)


def chunk_keys(storage: Storage, parts: Sequence[Part], folder: Path) -> Keys:
    """All chunk ids of some parts, sorted on disk in a folder that has no other keys.

    Raises:
        Mismatch: a part is not as stated.
    """
    columns = texts(storage, parts, ["chunk_id"])
    return build(folder, (ids_of(chunk_ids) for (chunk_ids,) in columns), sum(part.rows for part in parts))


def failed(storage: Storage, table: Manifest) -> set[str]:
    """Ids of the documents that should have rows and have none, also of another document of that id.

    Raises:
        Missing, Mismatch: a part or a file of dead letters is not as stated.
    """
    letters = (letter for key in table.dead for letter in read_dead(storage.get(key), key))
    found = {letter.doc_id for letter in letters if not letter.skipped and letter.code != DUPLICATE}
    for (doc_ids,) in texts(storage, table.parts, ["doc_id"]) if found else ():
        found.difference_update(doc_ids)
    return found


def _write(path: Path, before: Finished, now: Keys, failed: set[str]) -> None:
    with pq.ParquetWriter(path, SCHEMA, write_page_checksum=True) as writer:
        for doc_ids, chunk_ids in before.texts(["doc_id", "chunk_id"]):
            gone = now.find(ids_of(chunk_ids)) < 0
            gone &= [doc_id not in failed for doc_id in doc_ids]
            rows = pa.table({"doc_id": doc_ids, "chunk_id": chunk_ids}, schema=SCHEMA)
            writer.write_table(rows.filter(pa.array(gone)))
