"""A commit and the files that it names -> what of them is not as it was written: numbers, bytes, rows, every vector."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from embedstack.jobs.commit import Commit
from embedstack.jobs.dead import Letter
from embedstack.jobs.digests import add_fields, content_hash, of_file
from embedstack.jobs.plan import Plan
from embedstack.jobs.rows import Rows, add_sparse, stored
from embedstack.jobs.shard_work import lengths_of
from embedstack.jobs.table import PartReader, footer, schema
from embedstack.origin import vector_of
from embedstack.types import Floats

Fault: TypeAlias = tuple[str, str]
"""A code and a sentence about the file."""
UNIT = 2e-3  # of a length: 1e-3 when it was made, and half of that for the rounding to float16


def number_faults(commit: Commit, docs: int, size: int) -> Iterator[Fault]:
    """A commit by itself.

    Args:
        docs: of the shard, as planned.
        size: bytes of its input, as planned.
    """
    sums = (
        ("documents", commit.docs, "planned", docs),
        ("documents", commit.docs, "of them with rows or dead", commit.docs_out + commit.docs_dead),
        ("chunks", commit.chunks, "of them rows or dead", commit.rows + commit.chunks_dead),
        ("rows", commit.rows, "of them of some length", sum(commit.lengths.values())),
        ("dead documents", commit.docs_dead, "of them with a reason", sum(commit.reasons.values())),
        ("bytes of input", commit.input_bytes, "planned", size),
    )
    for what, count, other, stated in sums:
        if count != stated:
            yield "numbers", f"it says {count} {what}, {stated} {other}"
    if commit.docs_failed > commit.docs_dead or commit.reused > commit.rows:
        yield "numbers", "it says that more documents failed than are dead, or more rows were reused than there are"
    if bool(commit.rows) != bool(commit.part) or bool(commit.docs_dead) != bool(commit.dead):
        yield "numbers", "it has rows and no part, or dead documents and no letters, or the other way round"


def part_faults(file: BinaryIO, plan: Plan, commit: Commit) -> tuple[list[Fault], Sequence[str]]:
    """What is wrong with a part, the likeliest cause first; and its chunk ids. It is read twice.

    Raises:
        Mismatch: it cannot be read as a part.
    """
    if digest_differs := _other_bytes(of_file(file), commit.part_sha256):
        return [digest_differs], ()
    file.seek(0)
    reader = PartReader(file, commit.part)
    if not reader.schema.equals(schema(plan.wish, plan.identity)):
        return [("other_columns", f"its columns are not the plan's: {', '.join(reader.schema.names)}")], ()
    found: list[Fault] = []
    if reader.footer != footer(plan, commit.shard):
        found.append(("other_footer", "its footer does not name this plan, model and shard"))
    read = _Read(plan)
    for rows in reader.groups():
        read.add(rows)
    if plan.wish.sparse:
        for sparse in reader.sparse():
            add_sparse(read.vectors_digest, sparse)
    return [*found, *read.faults(commit)], read.chunk_ids


def letters_faults(data: bytes, letters: Sequence[Letter], commit: Commit) -> Iterator[Fault]:
    """Dead letters beside what the commit says of them.

    Args:
        data: that they were read from.
    """
    if digest_differs := _other_bytes(hashlib.sha256(data).hexdigest(), commit.dead_sha256):
        yield digest_differs
        return
    if Counter(letter.code for letter in letters) != Counter(commit.reasons):
        yield "other_count", f"its {len(letters)} dead letters have other codes than the commit counts"
    failed = sum(not letter.skipped for letter in letters)
    if failed != commit.docs_failed:
        yield "other_count", f"{failed} of its documents failed, the commit says {commit.docs_failed}"
    if any(letter.shard != commit.shard for letter in letters):
        yield "other_rows", "it holds letters of another shard"


def bad_lengths(vectors: Floats, *, is_unit: bool) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows that are not finite, and those of another length than 1 where it should be that."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    is_finite = np.isfinite(lengths)
    is_off = is_finite & (np.abs(np.where(is_finite, lengths, 1) - 1) > UNIT) & is_unit
    return np.flatnonzero(~is_finite), np.flatnonzero(is_off)


def has_unit_probes(plan: Plan) -> bool:
    """Whether the model gives vectors of length 1, as those of the plan show."""
    lengths = [float(np.linalg.norm(vector_of(probe))) for probe in plan.probes]
    return bool(lengths) and all(abs(length - 1) < UNIT for length in lengths)


def _other_bytes(digest: str, stated: str) -> Fault | None:
    """Whatever else is wrong comes of that."""
    same = digest == stated
    return None if same else ("other_bytes", f"its sha256 is {digest[:12]}, the commit says {stated[:12]}")


# ------------------------------------------------------------------------------------------------ the rows of a part


@dataclass(slots=True)
class _Bad:
    """How many rows, and the first of them."""

    count: int = 0
    first: int = -1

    def add(self, start: int, rows: NDArray[np.intp]) -> None:
        if not self.count and len(rows):
            self.first = start + int(rows[0])
        self.count += len(rows)


class _Read:
    """Rows that go by, some hundred at a time, and what of them a commit states."""

    def __init__(self, plan: Plan) -> None:
        self._wish, self._is_unit = plan.wish, has_unit_probes(plan)
        self._rows_digest, self.vectors_digest = hashlib.sha256(), hashlib.sha256()
        self._tokens: list[int] = []
        self._docs = 0
        self._ends = ["", ""]  # ids of the first and of the last document
        self._last_index = -1
        self._texts, self._infinite, self._off = _Bad(), _Bad(), _Bad()
        self.chunk_ids: list[str] = []

    def add(self, rows: Rows) -> None:
        """The next ones; of their sparse vectors nothing, since all dense ones come first in the digest."""
        start = len(self.chunk_ids)
        add_fields(self._rows_digest, rows.fields())
        self.vectors_digest.update(stored(rows.vectors, self._wish.storing).tobytes())
        infinite, off = bad_lengths(rows.vectors, is_unit=self._is_unit)
        self._infinite.add(start, infinite)
        self._off.add(start, off)
        self._texts.add(start, _other_texts(rows, self._wish.role))
        self._count(rows)
        self._tokens += rows.tokens
        self.chunk_ids += rows.chunk_ids

    def _count(self, rows: Rows) -> None:
        """Documents; neighbours may have the same id."""
        for doc_id, index in zip(rows.doc_ids, rows.indexes, strict=True):
            self._docs += not self._docs or doc_id != self._ends[1] or index <= self._last_index
            self._ends = [doc_id if self._docs == 1 else self._ends[0], doc_id]
            self._last_index = index

    def faults(self, commit: Commit) -> Iterator[Fault]:
        """Beside what the commit says of them."""
        counts = [(len(self.chunk_ids), commit.rows, "rows"), (self._docs, commit.docs_out, "documents")]
        if not commit.reused:  # nothing is read for what is reused
            counts.append((sum(self._tokens), commit.tokens, "tokens"))
        for count, stated_count, what in counts:
            if count != stated_count:
                yield "other_count", f"it has {count} {what}, the commit says {stated_count}"
        if self._ends != [commit.first_id, commit.last_id] or lengths_of(self._tokens) != commit.lengths:
            yield "other_rows", "its first or last id, or the lengths of its texts, are not those that were committed"
        if self._rows_digest.hexdigest() != commit.rows_digest:
            yield "other_rows", "its ids, texts or metadata are not those that were committed"
        if self.vectors_digest.hexdigest() != commit.vectors_digest:
            yield "other_vectors", "its vectors are not those that were committed"
        for code, bad, what in (
            ("other_texts", self._texts, "texts have not the content hash beside them"),
            ("bad_vector", self._infinite, "vectors are not finite"),
            ("bad_vector", self._off, "vectors are not of length 1"),
        ):
            if bad.count:
                yield code, f"{bad.count} {what}, the first in row {bad.first}"


def _other_texts(rows: Rows, role: str) -> NDArray[np.intp]:
    if rows.texts is None:
        return np.zeros(0, np.intp)
    pairs = zip(rows.texts, rows.content_hashes, strict=True)
    return np.flatnonzero([content_hash(text, role) != said for text, said in pairs])
