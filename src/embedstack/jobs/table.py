"""Rows become one Parquet file and are read from it again; the schema of the table and what its footer says."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from embedstack.jobs.arrow import mapped, pa, pc, pq
from embedstack.jobs.digests import Written, written
from embedstack.jobs.plan import Plan, Wish
from embedstack.jobs.rows import Rows, stored
from embedstack.jobs.scratch import unwritten
from embedstack.origin import Identity
from embedstack.types import Sparse

ROW_GROUP = 10_000  # rows; a reader of one holds that many vectors
BATCH = 1000  # rows that are in memory as Python objects at a time
FOOTER = b"embedstack"  # the key in the file's metadata
VECTOR = "embedding_vector"
NUMBERS = f"{VECTOR}.list.element"  # as Parquet names the column of its numbers
REPEATED = ["doc_id", "metadata"]  # columns whose values come again and again
WITH_STATISTICS = ["doc_id", "chunk_id", "chunk_index", "tokens"]  # nobody looks for the smallest number of vectors


def schema(wish: Wish, identity: Identity) -> pa.Schema:
    """The columns, in order; none may be null."""
    number = pa.float32() if wish.storing == "float32" else pa.float16()
    weight = pa.struct([_field("id", pa.int32()), _field("weight", pa.float32())])
    text = [_field("text", pa.string())] if wish.with_text else []
    sparse = [_field("sparse", pa.list_(_field("element", weight)))] if wish.sparse else []
    return pa.schema([
        _field("doc_id", pa.string()),
        _field("chunk_id", pa.string()),
        _field("chunk_index", pa.int32()),
        *text,
        _field(VECTOR, pa.list_(_field("element", number), identity.dim)),
        *sparse,
        _field("metadata", pa.string()),
        _field("tokens", pa.int32()),
        _field("content_hash", pa.string()),
    ])  # fmt: skip


def footer(plan: Plan, shard: int) -> bytes:
    """What stands under `embedstack`: no attempt and no time, so that a shard that is done again has the same bytes."""
    said = {
        "identity": plan.identity,
        "probes": plan.probes,
        "plan": plan.digest,
        "shard": shard,
        "storing": plan.wish.storing,
        "role": plan.wish.role,
        "chunking": plan.wish.chunking,
    }
    return msgspec.json.encode(said, order="sorted")


def write_part(path: Path, rows: Rows, plan: Plan, shard: int) -> Written:
    """All rows of a shard in one file. Equal rows of one plan give equal bytes with one version of pyarrow.

    Raises:
        ConfigError: the file cannot be written.
    """
    wanted = schema(plan.wish, plan.identity)
    arrays = [_array(rows, field, plan.wish) for field in wanted]
    table = pa.Table.from_arrays(arrays, schema=wanted.with_metadata({FOOTER: footer(plan, shard)}))
    try:
        pq.write_table(
            table,
            path,
            row_group_size=ROW_GROUP,
            compression=plan.wish.compression,
            use_dictionary=REPEATED,
            write_statistics=WITH_STATISTICS,
            use_byte_stream_split=[NUMBERS] if is_split(plan.wish) else False,
            write_page_checksum=True,
        )
        return written(path)
    except OSError as error:
        raise unwritten(path, error) from error


def is_split(wish: Wish) -> bool:
    """Whether the first bytes of all numbers stand together, then the second ones, ...: that is what zstd shrinks.

    Vectors of all-MiniLM-L6-v2 become 0.85 of their size so, 0.92 with zstd alone and 1.00 with snappy; in float16 they
    are 0.50 and with zstd 0.46.
    Not for float16: BYTE_STREAM_SPLIT was for float and double alone until Parquet 2.11, and few readers know more.
    https://github.com/apache/parquet-format/blob/apache-parquet-format-2.11.0/Encodings.md#byte-stream-split-byte_stream_split--9
    """
    return wish.compression == "zstd" and wish.storing == "float32"


def read_rows(file: Path | BinaryIO, key: str) -> Rows:
    """All rows of one part.

    Args:
        key: what messages call it.
    Raises:
        Mismatch: this is no part of a table. ConfigError: it cannot be read.
    """
    return PartReader(file, key).read()


class PartReader:
    """A part that is open: its footer, all rows or those of a group, single columns."""

    def __init__(self, file: Path | BinaryIO, key: str) -> None:
        """Raises: as `read_rows`."""
        self._key = key
        with mapped(key):
            self._file = pq.ParquetFile(file, page_checksum_verification=True)
            meta = self._file.metadata
            groups = [meta.row_group(number).num_rows for number in range(meta.num_row_groups)]
            self.schema: pa.Schema = self._file.schema_arrow.remove_metadata()
        self.rows: int = sum(groups)
        self.starts: NDArray[np.int64] = np.cumsum([0, *groups], dtype=np.int64)  # of the row groups, and the end
        self.footer: bytes = (meta.metadata or {}).get(FOOTER, b"")

    def read(self) -> Rows:
        """All of it."""
        with mapped(self._key):
            return _rows(self._file.read(use_threads=False))

    def groups(self) -> Iterator[Rows]:
        """All of it, some hundred rows at a time."""
        yield from map(_rows, self._batches(None))

    def sparse(self) -> Iterator[list[Sparse]]:
        """The sparse vectors alone, some hundred at a time."""
        yield from (_weights(table.column("sparse")) for table in self._batches(["sparse"]))

    def vectors(self, group: int) -> NDArray[np.floating]:
        """(rows, dim) of one row group, as they are stored."""
        with mapped(self._key):
            return _matrix(self._file.read_row_group(group, columns=[VECTOR], use_threads=False).column(VECTOR))

    def texts(self, names: Sequence[str]) -> Iterator[tuple[list[str], ...]]:
        """Some columns of texts, some hundred rows at a time."""
        for table in self._batches(names):
            yield tuple(table.column(name).to_pylist() for name in names)

    def documents(self) -> Iterator[tuple[str, str]]:
        """doc_id and chunk_id of each document's first row."""
        for table in self._batches(["doc_id", "chunk_id", "chunk_index"]):
            first = table.filter(pc.equal(table.column("chunk_index"), 0))
            yield from zip(first.column("doc_id").to_pylist(), first.column("chunk_id").to_pylist(), strict=True)

    def _batches(self, names: Sequence[str] | None) -> Iterator[pa.Table]:
        """Some columns, or all."""
        with mapped(self._key):
            batches = self._file.iter_batches(BATCH, columns=names and list(names), use_threads=False)
        while batch := self._next(batches):
            yield batch

    def _next(self, batches: Iterator[pa.RecordBatch]) -> pa.Table | None:
        with mapped(self._key):
            batch = next(batches, None)
            return None if batch is None else pa.Table.from_batches([batch])


# ------------------------------------------------------------------------------------------------ rows to columns


def _array(rows: Rows, field: pa.Field, wish: Wish) -> pa.Array:
    match field.name:
        case "embedding_vector":
            numbers = pa.array(stored(rows.vectors, wish.storing).reshape(-1))
            return pa.FixedSizeListArray.from_arrays(numbers, type=field.type)
        case "sparse":
            return _lists(rows.sparse or (), field.type)
        case name:
            return pa.array(_plain(rows)[name], field.type)


def _plain(rows: Rows) -> dict[str, Sequence[str] | Sequence[int]]:
    return {
        "doc_id": rows.doc_ids,
        "chunk_id": rows.chunk_ids,
        "chunk_index": rows.indexes,
        "text": rows.texts or (),
        "metadata": rows.metadata,
        "tokens": rows.tokens,
        "content_hash": rows.content_hashes,
    }


def _lists(sparse: Sequence[Sparse], kind: pa.DataType) -> pa.Array:
    ends = np.cumsum([0, *(len(row.ids) for row in sparse)], dtype=np.int32)
    ids = np.concatenate([np.zeros(0, np.int32), *(row.ids for row in sparse)])
    weights = np.concatenate([np.zeros(0, np.float32), *(row.weights for row in sparse)])
    both = pa.StructArray.from_arrays([pa.array(ids), pa.array(weights)], fields=list(kind.value_type))
    return pa.ListArray.from_arrays(pa.array(ends), both, type=kind)


def _field(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


# ------------------------------------------------------------------------------------------------ columns to rows


def _rows(table: pa.Table) -> Rows:
    columns = {name: table.column(name) for name in table.column_names}
    return Rows(
        doc_ids=columns["doc_id"].to_pylist(),
        chunk_ids=columns["chunk_id"].to_pylist(),
        indexes=columns["chunk_index"].to_pylist(),
        texts=columns["text"].to_pylist() if "text" in columns else None,
        vectors=np.asarray(_matrix(columns[VECTOR]), np.float32),
        metadata=columns["metadata"].to_pylist(),
        tokens=columns["tokens"].to_pylist(),
        content_hashes=columns["content_hash"].to_pylist(),
        sparse=_weights(columns["sparse"]) if "sparse" in columns else None,
    )


def _matrix(column: pa.ChunkedArray) -> NDArray[np.floating]:
    """(rows, dim), as they are stored."""
    numbers = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(numbers).reshape(-1, column.type.list_size)


def _weights(column: pa.ChunkedArray) -> list[Sparse]:
    whole = column.combine_chunks()
    ids, weights = (part.to_numpy(zero_copy_only=False) for part in whole.flatten().flatten())
    ends = np.cumsum([0, *whole.value_lengths().to_pylist()])
    pairs = pairwise(ends)
    return [Sparse(np.asarray(ids[a:b], np.int32), np.asarray(weights[a:b], np.float32)) for a, b in pairs]
