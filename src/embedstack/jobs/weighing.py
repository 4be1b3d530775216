"""Documents of a survey -> the work beside the device: texts cut again, and parts written, stored and taken away."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from math import ceil
from pathlib import Path

import numpy as np

from embedstack.chunks.chunk import Chunk, Ruler
from embedstack.chunks.chunking import chunk
from embedstack.documents.document import Document
from embedstack.jobs.digests import content_hash
from embedstack.jobs.plan import Plan
from embedstack.jobs.rows import Rows, as_json
from embedstack.jobs.surveying import Looked, Survey, totals
from embedstack.jobs.table import write_part
from embedstack.storage.storage import Storage
from embedstack.types import Sparse

ROWS = 1000  # of a part that is weighed at most: over a megabyte of texts, and more do not shrink otherwise
PARTS = 4  # that are weighed at most, each of neighbours in the input, to see how they differ
PROBE = "_probe/"  # what is written below it is taken away again
TERMS = 0.6  # sparse weights for each token of a chunk: of words that come twice only one is kept
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Weighed:
    """A part that was written for its size."""

    rows: int
    row_bytes: int  # of what the rows hold beside vectors, before compression
    bytes: int  # of the file
    empty_bytes: int  # of a file beside its rows: schema, identity, probes, where each column begins
    write_s: float  # for all rows
    store_s: float


def vector_share(plan: Plan, parts: Sequence[Weighed]) -> float:
    """What of parts is dense vectors, which no compression shrinks by much."""
    rows, size = sum(part.rows for part in parts), sum(part.bytes for part in parts)
    return min(1.0, rows * vector_bytes(plan) / max(1, size))


class Beside:
    """What a job's host does while the device works. Blocks; for one thread at a time.

    Args:
        spool: a folder for files that are being written.
    """

    def __init__(self, plan: Plan, survey: Survey, ruler: Ruler, storage: Storage, spool: Path) -> None:
        self._plan, self._ruler, self._storage, self._spool = plan, ruler, storage, spool
        looked = [one for one in survey.looked if one.document is not None and one.chunks]
        self._parts = [_rows(plan, some) for some in _parts(looked, _part_rows(plan, survey))]
        self._documents: Iterator[Document] = cycle([one.document for one in looked if one.document is not None])
        self._has_documents = bool(looked)
        self._ahead = 0  # tokens that were cut beyond what was asked for

    def work(self, tokens: int, rows: int) -> None:
        """As much as a job has to do for so many tokens and rows."""
        self._cut(tokens)
        part = self._parts[0][0]
        while rows > 0 and len(part):
            self._put(self._write(part.first(rows)))
            rows -= len(part)

    def weigh(self, clock: Clock = time.perf_counter) -> tuple[Weighed, ...]:
        """Write parts as the job will, and one with a single row: all but that row is in every file."""
        rows, row_bytes = self._parts[0]
        single = self._write(rows.first(1))
        held = (row_bytes / len(rows) + vector_bytes(self._plan)) if len(rows) else 0
        empty_bytes = single.stat().st_size - round(held)
        single.unlink()
        return tuple(self._weighed(rows, size, empty_bytes, clock) for rows, size in self._parts)

    def _weighed(self, rows: Rows, row_bytes: int, empty_bytes: int, clock: Clock) -> Weighed:
        began = clock()
        path = self._write(rows)
        write_s, size = clock() - began, path.stat().st_size
        began = clock()
        self._put(path)
        return Weighed(len(rows), row_bytes, size, empty_bytes, write_s, clock() - began)

    def _cut(self, tokens: int) -> None:
        wanted = tokens - self._ahead
        while wanted > 0 and self._has_documents:
            document = next(self._documents)
            wanted -= sum(one.tokens for one in self._chunks(document))
        self._ahead = -min(wanted, 0)

    def _chunks(self, document: Document) -> list[Chunk]:
        return chunk(document.text, document.kind, self._plan.wish.chunking, self._ruler)

    def _write(self, rows: Rows) -> Path:
        path = self._spool / f"weighed-{uuid.uuid4().hex}.parquet"
        write_part(path, rows, self._plan, 0)
        return path

    def _put(self, path: Path) -> None:
        key = f"{PROBE}{path.name}"
        try:
            self._storage.put_file(key, path)
        finally:
            self._storage.delete(key)
            path.unlink(missing_ok=True)


def vector_bytes(plan: Plan) -> int:
    """Of the dense vector of one row."""
    return plan.identity.dim * (4 if plan.wish.storing == "float32" else 2)


def _part_rows(plan: Plan, survey: Survey) -> int:
    """As many as a part of the job will have, or `ROWS`: what a file has beside its rows weighs more in a small one."""
    return max(1, min(ROWS, ceil(totals(survey).chunks / max(1, plan.shards))))


def _parts(looked: Sequence[Looked], rows: int) -> list[Sequence[Looked]]:
    """Documents of up to so many rows, from places that lie evenly over all; one part at least."""
    count = max(1, min(PARTS, len(looked), sum(len(one.chunks) for one in looked) // rows))
    starts = [len(looked) * number // count for number in range(count)]
    return [_filled(looked[start:stop], rows) for start, stop in zip(starts, [*starts[1:], len(looked)], strict=True)]


def _filled(looked: Sequence[Looked], rows: int) -> Sequence[Looked]:
    """The first ones, as many as fit, or one."""
    held = 0
    for place, one in enumerate(looked):
        held += len(one.chunks)
        if place and held > rows:
            return looked[:place]
    return looked


def _rows(plan: Plan, looked: Sequence[Looked]) -> tuple[Rows, int]:
    """All of them, and the bytes of their rows. Vectors are drawn: real ones cannot be compressed either, and these are
    here before the device has made any."""
    wish, chance = plan.wish, np.random.default_rng(0)
    taken = [(one.document, chunk) for one in looked if one.document is not None for chunk in one.chunks]
    size = sum(one.row_bytes for one in looked)
    dense = chance.standard_normal((len(taken), plan.identity.dim)).astype(np.float32)
    dense /= np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-9)
    rows = Rows(
        doc_ids=[document.doc_id for document, _ in taken],
        chunk_ids=[chunk.id_in(document.doc_id, wish.chunking) for document, chunk in taken],
        indexes=[chunk.index for _, chunk in taken],
        texts=[chunk.text for _, chunk in taken] if wish.with_text else None,
        vectors=dense,
        metadata=[as_json({**document.metadata, **chunk.metadata}) for document, chunk in taken],
        tokens=[chunk.tokens for _, chunk in taken],
        content_hashes=[content_hash(chunk.text, wish.role) for _, chunk in taken],
        sparse=[_sparse(chunk, chance) for _, chunk in taken] if wish.sparse else None,
    )
    return rows, size


def _sparse(chunk: Chunk, chance: np.random.Generator) -> Sparse:
    count = max(1, round(TERMS * chunk.tokens))
    ids = np.sort(chance.choice(1 << 18, count, replace=False)).astype(np.int32)
    return Sparse(ids, chance.random(count, np.float32))
