"""Parquet files of any origin become rows; what cannot be loaded is named by its file and row."""

import asyncio
import datetime
import decimal
import os
import shutil
import uuid
from pathlib import Path

import duckdb
import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedstack.cli.vectors import Parquet
from embedstack.errors import BadRequest, ConfigError, Mismatch
from embedstack.jobs.finished import finished
from embedstack.loading.asserted import MOST
from embedstack.loading.ids import id_at, id_of
from embedstack.loading.job_table import JobTable
from embedstack.loading.source import BadRow, How
from embedstack.testing.fake import HashEncoder
from embedstack.types import Encode, Text
from support.loadable import (
    DIM,
    SPEC,
    TEXTS,
    columns_of,
    dense_of,
    flat,
    ids_of,
    parquet,
    payloads_of,
    vectors_of,
    written_parquet,
)
from support.tables import IDENTITY, WISH, job, probe

KINDS = {
    "list": pa.list_(pa.float32()),
    "large list": pa.large_list(pa.float32()),
    "fixed": pa.list_(pa.float32(), DIM),
    "halves": pa.list_(pa.float16(), DIM),
    "doubles": pa.list_(pa.float64()),
}


def table(tmp_path: Path, texts: list[str] | None = None, **others: object) -> Path:
    return written_parquet(tmp_path / "a.parquet", columns_of(texts or TEXTS, **others))


def vector_column(rows: list[object], kind: pa.DataType = KINDS["list"]) -> pa.Array:
    return pa.array(rows, kind)


def lists_of(texts: list[str]) -> list[object]:
    return vectors_of(texts).tolist()


def said(dim: int = DIM, **others: object) -> bytes:
    identity = {"model": "m", "revision": "1", "space": "s" * 32, "fingerprint": "f" * 64, "dim": dim, **others}
    return msgspec.json.encode(identity)


# ------------------------------------------------------------------------------------------------ rows


@pytest.mark.parametrize("name", ["vector", "embedding", "embedding_vector"])
def test_columns_become_rows_in_order(tmp_path: Path, name: str) -> None:
    columns = columns_of()
    columns[name] = columns.pop("vector")
    source = parquet(written_parquet(tmp_path / "a.parquet", columns))

    np.testing.assert_array_equal(dense_of(source), vectors_of(TEXTS))
    assert ids_of(source) == [id_of(text.split()[0])[0] for text in TEXTS]
    assert payloads_of(source) == [{"id": text.split()[0], "text": text} for text in TEXTS]
    assert source.total == len(TEXTS)


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_lists_of_any_floats(tmp_path: Path, kind: str) -> None:
    rows = vectors_of(TEXTS).astype(np.float16 if kind == "halves" else np.float32)
    source = parquet(table(tmp_path, vector=vector_column(list(rows), KINDS[kind])))

    made = dense_of(source)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, rows.astype(np.float32))


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_reading_may_begin_at_any_row_of_any_file(tmp_path: Path, size: int) -> None:
    for place, name in enumerate(("a", "b", "below/c")):
        ids = pa.array([10 * place + row for row in range(len(TEXTS))])
        written_parquet(tmp_path / f"{name}.parquet", columns_of(id=ids))
    source = parquet(tmp_path)
    whole = flat(source.batches(0, 4))

    assert len(whole) == source.total == 15
    for start in range(17):
        assert flat(source.batches(start, size)) == whole[start:]


def test_row_groups_and_files_that_are_passed_over_are_not_read(tmp_path: Path) -> None:
    path = table(tmp_path, id=pa.array(range(5)))
    source = parquet(path)
    before = path.stat()
    data = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).file_offset or 0
    first = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data[4 : max(start, first) - 40] = bytes(len(data[4 : max(start, first) - 40]))
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert [point for points in source.batches(2, 9) for point in points.ids] == [2, 3, 4]
    with pytest.raises(BadRow, match=r"'a.parquet' is damaged at row 0 or behind it"):
        next(source.batches(0, 9))


def test_every_other_column_becomes_payload(tmp_path: Path) -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    cells = {
        "day": pa.array([datetime.date(2024, 5, 1)]),
        "at": pa.array([datetime.datetime(2024, 5, 1, 12, tzinfo=zone)], pa.timestamp("ns", "+02:00")),
        "nested": pa.array([{"a": 1, "b": [{"c": None}]}]),
        "words": pa.array([["x", "y"]]),
        "kind": pa.array(["k"]).dictionary_encode(),
        "price": pa.array([decimal.Decimal("1.50")]),
        "odd": pa.array([float("nan")]),
        "flag": pa.array([True]),
        "null": pa.array([None], pa.int32()),
        "large": pa.array([2**64 - 1], pa.uint64()),
    }
    (payload,) = payloads_of(parquet(table(tmp_path, TEXTS[:1], id=pa.array([1]), **cells)))

    assert payload == {
        "text": TEXTS[0],
        "day": "2024-05-01",
        "at": "2024-05-01T10:00:00+00:00",
        "nested": {"a": 1, "b": [{"c": None}]},
        "words": ["x", "y"],
        "kind": "k",
        "price": "1.50",
        "odd": None,
        "flag": True,
        "null": None,
        "large": str(2**64 - 1),
    }


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([b"x"]),
        pa.array([[b"x"]]),
        pa.array([{"a": b"x"}]),
        pa.array([b"x" * 4], pa.binary(4)),
        pa.array([b"x"], pa.large_binary()),
    ],
)
def test_bytes_are_refused_with_their_column(tmp_path: Path, cells: pa.Array) -> None:
    with pytest.raises(BadRequest, match=r"column 'picture' of 'a.parquet' holds bytes"):
        parquet(table(tmp_path, TEXTS[:1], picture=cells))


def test_texts_that_are_not_marked_as_texts_are_texts(tmp_path: Path) -> None:
    path = table(tmp_path, TEXTS[:1], id=pa.array([b"a"]), text=pa.array([TEXTS[0].encode()]))

    assert payloads_of(parquet(path)) == [{"id": "a", "text": TEXTS[0]}]


def test_a_text_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = table(tmp_path, TEXTS[:2], text=pa.array([TEXTS[0].encode(), b"\xff"]))

    with pytest.raises(BadRow, match=r"row 1 of 'a.parquet': a text of the row is not UTF-8"):
        parquet(path)


def test_a_payload_of_a_table_is_made_as_asked_for(tmp_path: Path) -> None:
    path = table(tmp_path, TEXTS[:1], id=pa.array([1]), metadata=pa.array([{"k": 1}]))

    assert payloads_of(parquet(path, How(text_key="content", is_flat=True))) == [{"content": TEXTS[0], "k": 1}]


def test_a_text_key_that_is_a_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="'id' is another key"):
        parquet(table(tmp_path), How(text_key="id"))


def test_what_other_writers_write_is_read(tmp_path: Path) -> None:
    rows = {"id": ["a", "b"], "vector": lists_of(TEXTS[:2]), "n": [1, None]}
    pl.DataFrame(rows, schema={"id": pl.String, "vector": pl.Array(pl.Float32, DIM), "n": pl.Int8}).write_parquet(
        tmp_path / "polars.parquet"
    )
    values = ", ".join(f"(uuid(), {row}::float[], {{'x': 1}})" for row in lists_of(TEXTS[:2]))
    duckdb.sql(f"copy (select * from (values {values}) t(id, vector, s)) to '{tmp_path}/duck.parquet' (format parquet)")

    assert payloads_of(parquet(tmp_path / "polars.parquet")) == [{"id": "a", "n": 1}, {"id": "b", "n": None}]
    duck = parquet(tmp_path / "duck.parquet")
    assert payloads_of(duck) == [{"s": {"x": 1}}] * 2
    assert all(str(uuid.UUID(str(point))) == point for point in ids_of(duck))
    np.testing.assert_array_equal(dense_of(duck), vectors_of(TEXTS[:2]))


# ------------------------------------------------------------------------------------------------ ids


@pytest.mark.parametrize(
    ("ids", "points"),
    [
        (pa.array([3, 4], pa.int64()), [3, 4]),
        (pa.array([3, 4], pa.uint8()), [3, 4]),
        (pa.array(["0" * 32, "1" * 32]), [str(uuid.UUID("0" * 32)), str(uuid.UUID("1" * 32))]),
        (pa.array(["a", "b"], pa.large_string()), [id_of("a")[0], id_of("b")[0]]),
        (pa.array(["a", "b"]).dictionary_encode(), [id_of("a")[0], id_of("b")[0]]),
        (pa.array([bytes(16), bytes(15) + b"\1"], pa.binary(16)), [str(uuid.UUID(int=0)), str(uuid.UUID(int=1))]),
        (pa.array(["a", None]), [id_of("a")[0], id_at("a.parquet", 1)]),
        (pa.array([None, None]), [id_at("a.parquet", 0), id_at("a.parquet", 1)]),
        (None, [id_at("a.parquet", 0), id_at("a.parquet", 1)]),
    ],
)
def test_ids_are_numbers_texts_or_the_rows_places(tmp_path: Path, ids: object, points: list[object]) -> None:
    source = parquet(table(tmp_path, TEXTS[:2], id=ids))

    assert ids_of(source) == points
    assert [point for some in source.ids() for point in some] == points


@pytest.mark.parametrize("name", ["id", "chunk_id"])
def test_ids_have_one_of_two_names(tmp_path: Path, name: str) -> None:
    columns = {"id": None, name: pa.array([bytes(16)], pa.binary(16))}
    source = parquet(table(tmp_path, TEXTS[:1], **columns))

    assert ids_of(source) == [str(uuid.UUID(int=0))]
    kept = {"chunk_id": str(uuid.UUID(int=0))} if name == "chunk_id" else {}
    assert payloads_of(source) == [{"text": TEXTS[0], **kept}]


def test_how_many_ids_of_each_kind_a_table_begins_with_is_told(tmp_path: Path) -> None:
    source = parquet(table(tmp_path, id=pa.array(["a", None, "0" * 32, "b", "c"])))

    assert source.notes[0].startswith("ids: 1 UUIDs, 3 made of texts")


def test_an_id_twice_in_a_batch_of_a_table_is_refused(tmp_path: Path) -> None:
    source = parquet(table(tmp_path, id=pa.array([1, 2, 3, 2, 5])))

    assert len(next(source.batches(0, 3))) == 3
    with pytest.raises(BadRow, match=r"row 3 of 'a.parquet' has the same id as row 1 of 'a.parquet': 2"):
        next(source.batches(0, 4))


@pytest.mark.parametrize("ids", [pa.array([1.5]), pa.array([True]), pa.array([[1]])])
def test_a_column_of_other_ids_is_refused(tmp_path: Path, ids: pa.Array) -> None:
    with pytest.raises(BadRequest, match="in column 'id'; ids are texts or whole numbers"):
        parquet(table(tmp_path, TEXTS[:1], id=ids))


def test_an_id_out_of_range_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRow, match=r"row 1 of 'a.parquet': id -1 is outside"):
        parquet(table(tmp_path, TEXTS[:2], id=pa.array([1, -1])))


# ------------------------------------------------------------------------------------------------ bad rows


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (None, "row 3 of 'a.parquet' has no vector"),
        ([1.0] * (DIM - 1), f"row 3 of 'a.parquet': the vector has {DIM - 1} numbers, and the others have {DIM}"),
        ([], "row 3 of 'a.parquet': the vector has 0 numbers"),
        ([0.0] * DIM, "row 3 of 'a.parquet': the vector is all zeros"),
        ([None] * DIM, "row 3 of 'a.parquet': the vector has a number that is not finite"),
        ([float("nan")] * DIM, "row 3 of 'a.parquet': the vector has a number that is not finite"),
        ([1e300] * DIM, "row 3 of 'a.parquet': the vector has a number that is not finite"),
    ],
)
def test_a_vector_that_cannot_be_loaded_is_named(tmp_path: Path, changed: object, problem: str) -> None:
    rows = [*lists_of(TEXTS[:3]), changed, *lists_of(TEXTS[4:])]
    path = table(tmp_path, vector=vector_column(rows, KINDS["doubles"]), text=None)

    with pytest.raises(BadRow, match=problem):
        list(parquet(path).batches(0, 9))


def test_a_fixed_list_that_is_null_is_named(tmp_path: Path) -> None:
    path = table(tmp_path, text=None, vector=vector_column([*lists_of(TEXTS[:4]), None], KINDS["fixed"]))

    with pytest.raises(BadRow, match=r"row 4 of 'a.parquet' has no vector"):
        list(parquet(path).batches(0, 9))


@pytest.mark.parametrize("first", [None, []])
def test_the_first_row_has_a_vector(tmp_path: Path, first: object) -> None:
    with pytest.raises(BadRow, match=r"row 0 of 'a.parquet' has no vector"):
        parquet(table(tmp_path, TEXTS[:1], vector=vector_column([first])))


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"vector": None}, "must have one column of vectors.*none of them, but: id, text"),
        ({"embedding": pa.array([[1.0]] * 5)}, "it has vector and embedding"),
        ({"vector": pa.array([[1, 2]] * 5)}, "list<.*int64> in column 'vector'"),
        ({"vector": pa.array([1.0] * 5)}, "double in column 'vector'"),
        ({"vector": pa.array(["AAAA"] * 5)}, "string in column 'vector'"),
    ],
)
def test_a_table_without_one_column_of_vectors_is_refused(
    tmp_path: Path, columns: dict[str, object], problem: str
) -> None:
    with pytest.raises(BadRequest, match=f"'a.parquet' .*{problem}"):
        parquet(table(tmp_path, **columns))


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    made = pa.table(columns_of())
    pq.write_table(made.append_column("text", made.column("text")), tmp_path / "a.parquet")

    with pytest.raises(BadRequest, match="has two columns 'text'"):
        parquet(tmp_path)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"not a table at all"])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(data)

    with pytest.raises(ConfigError, match=r"'a.parquet' is no Parquet file, or a damaged one"):
        parquet(tmp_path)


def test_a_table_of_no_rows_and_no_width_is_refused(tmp_path: Path) -> None:
    empty = {"id": pa.array([], pa.int64()), "vector": pa.array([], KINDS["list"])}

    with pytest.raises(BadRequest, match="there is no row in"):
        parquet(written_parquet(tmp_path / "a.parquet", empty))


def test_an_empty_table_beside_others_has_no_rows(tmp_path: Path) -> None:
    written_parquet(tmp_path / "a.parquet", {"vector": pa.array([], KINDS["list"])})
    written_parquet(tmp_path / "b.parquet", columns_of(vector=vector_column(lists_of(TEXTS))))

    assert len(ids_of(parquet(tmp_path))) == len(TEXTS)


def test_tables_of_two_widths_are_refused(tmp_path: Path) -> None:
    written_parquet(tmp_path / "a.parquet", columns_of())
    written_parquet(tmp_path / "b.parquet", columns_of(vector=pa.array([[1.0, 2.0]] * 5, pa.list_(pa.float32(), 2))))

    with pytest.raises(BadRequest, match=r"'b.parquet' have 2 numbers, and those of 'a.parquet' 8"):
        parquet(tmp_path)


# ------------------------------------------------------------------------------------------------ sparse


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([[{"id": 7, "weight": 0.5}, {"id": 3, "weight": 1.0}]]),
        pa.array([{"indices": [7, 3], "values": [0.5, 1.0]}]),
        pa.array([[(7, 0.5), (3, 1.0)]], pa.map_(pa.int32(), pa.float32())),
    ],
)
def test_sparse_vectors_of_a_table_are_read_in_all_shapes(tmp_path: Path, cells: pa.Array) -> None:
    source = parquet(table(tmp_path, TEXTS[:1], id=pa.array([1]), sparse=cells))

    (point,) = flat(source.batches(0, 9))
    assert point[1]["sparse"] == ([3, 7], [1.0, 0.5])  # type: ignore[index]
    assert point[2] == {"text": TEXTS[0]}
    assert source.fields["sparse"].kind == "sparse"


def test_another_column_of_that_name_is_payload(tmp_path: Path) -> None:
    source = parquet(table(tmp_path, TEXTS[:1], sparse=pa.array([True])))

    assert list(source.fields) == [""]
    assert payloads_of(source) == [{"id": "one", "text": TEXTS[0], "sparse": True}]


def test_a_null_sparse_vector_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRow, match=r"row 1 of 'a.parquet': a sparse vector is NoneType"):
        parquet(table(tmp_path, TEXTS[:2], sparse=pa.array([{"indices": [1], "values": [1.0]}, None])))


def test_all_files_have_sparse_vectors_or_none(tmp_path: Path) -> None:
    written_parquet(tmp_path / "a.parquet", columns_of())
    written_parquet(tmp_path / "b.parquet", columns_of(sparse=pa.array([{"indices": [1], "values": [1.0]}] * 5)))

    with pytest.raises(BadRequest, match=r"only one of 'a.parquet' and 'b.parquet' has sparse vectors"):
        parquet(tmp_path)
    assert set(next(parquet(tmp_path, How(sparse=None)).batches(0, 2)).vectors) == {""}


# ------------------------------------------------------------------------------------------------ whose


def test_rows_that_do_not_say_whose_they_are_are_compared(tmp_path: Path) -> None:
    origin = parquet(table(tmp_path)).fields[""].origin

    assert origin is not None
    assert (origin.basis, origin.identity.model) == ("proven", "hash")


def test_a_row_group_of_another_model_is_found(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(200)]
    vectors = vectors_of(texts)
    vectors[150:] = vectors_of(["other"])
    columns = columns_of(texts, id=None, vector=vector_column(list(vectors), KINDS["fixed"]))
    path = written_parquet(tmp_path / "a.parquet", columns, row_group_size=10)

    with pytest.raises(Mismatch, match=r"the vector of row 1[5-9]\d of 'a.parquet' has cosine"):
        parquet(path)


def test_rows_behind_many_empty_tables_are_compared(tmp_path: Path) -> None:
    for number in range(2 * MOST):
        written_parquet(tmp_path / f"{number:02}.parquet", columns_of([]))
    written_parquet(tmp_path / "last.parquet", columns_of(vector=vector_column([[1.0] * DIM] * len(TEXTS))))

    with pytest.raises(Mismatch, match=r"of 'last.parquet' has cosine"):
        parquet(tmp_path)


def test_what_a_file_says_is_believed(tmp_path: Path) -> None:
    source = parquet(written_parquet(tmp_path / "a.parquet", columns_of(), said()), model="other")

    origin = source.fields[""].origin
    assert origin is not None
    assert (origin.basis, origin.identity.space, origin.identity.model) == ("made", "s" * 32, "m")
    assert any("model 'other' is not opened" in note for note in source.notes)


def test_what_the_command_embed_writes_is_loaded_without_a_model(tmp_path: Path) -> None:
    request = Encode(model="hash", items=tuple(map(Text, TEXTS)))
    made = asyncio.run(HashEncoder([SPEC]).encode(request))
    with Parquet(tmp_path / "a.parquet") as writer:
        writer.write(TEXTS, made)
    source = parquet(tmp_path)

    origin = source.fields[""].origin
    assert origin is not None
    assert (origin.identity.fingerprint, origin.identity.dim) == (made.fingerprint, SPEC.dim)
    np.testing.assert_array_equal(dense_of(source), made.dense)
    assert ids_of(source)[0] == id_at("a.parquet", 0)


def test_parts_of_a_job_are_loaded_as_the_job_is(tmp_path: Path) -> None:
    shards = [{"a.md": ["one", "two"]}, {"b.md": ["three"]}]
    storage = job(tmp_path, shards, msgspec.structs.replace(WISH, sparse=True))

    source = parquet(tmp_path / "data")

    assert flat(source.batches(0, 2)) == flat(JobTable(storage, How()).batches(0, 2))
    origin = source.fields[""].origin
    assert origin is not None
    assert (origin.identity, origin.probes, origin.basis) == (IDENTITY, (probe("a bird"),), "made")
    assert any("name the job's folder" in note for note in source.notes)


def test_two_attempts_at_one_shard_are_refused(tmp_path: Path) -> None:
    storage = job(tmp_path, [{"a.md": ["one"]}])
    (part,) = finished(storage).manifest.parts
    shutil.copy(tmp_path / part.key, tmp_path / "data" / "part-000000-ffffffff.parquet")

    with pytest.raises(Mismatch, match="are two attempts at one shard of a job"):
        parquet(tmp_path / "data")


def test_files_of_two_spaces_are_refused(tmp_path: Path) -> None:
    written_parquet(tmp_path / "a.parquet", columns_of(), said())
    written_parquet(tmp_path / "b.parquet", columns_of(), said(space="t" * 32))

    with pytest.raises(Mismatch, match=r"'a.parquet' and 'b.parquet'.*holds vectors of"):
        parquet(tmp_path)


def test_files_of_which_only_some_say_whose_they_are_are_refused(tmp_path: Path) -> None:
    written_parquet(tmp_path / "a.parquet", columns_of(), said())
    written_parquet(tmp_path / "b.parquet", columns_of())

    with pytest.raises(BadRequest, match=r"'a.parquet' says whose vectors it holds and 'b.parquet' does not"):
        parquet(tmp_path)


def test_a_file_that_says_another_width_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match="says that its vectors have 9 numbers, and they have 8"):
        parquet(written_parquet(tmp_path / "a.parquet", columns_of(), said(dim=9)))


@pytest.mark.parametrize("footer", [b"{", b"[]", b'{"model": 3}', b'{"identity": {}}', b"\xff"])
def test_what_a_file_says_must_be_readable(tmp_path: Path, footer: bytes) -> None:
    with pytest.raises(Mismatch, match=r"what 'a.parquet' says in its metadata .* cannot be read"):
        parquet(written_parquet(tmp_path / "a.parquet", columns_of(), footer))


# ------------------------------------------------------------------------------------------------ what stays the same


def test_a_table_that_was_written_again_is_not_read_on(tmp_path: Path) -> None:
    path = table(tmp_path)
    source = parquet(path)
    table(tmp_path, TEXTS[:3])

    with pytest.raises(Mismatch, match=r"'a.parquet' in file:.* was written to"):
        next(source.batches(0, 2))


def test_a_table_that_is_written_to_while_it_is_read_never_ends_well(tmp_path: Path) -> None:
    path = table(tmp_path)
    batches = parquet(path).batches(0, 2)
    next(batches)
    os.utime(path, ns=(1, 1))

    with pytest.raises(Mismatch, match="was written to"):
        for _ in batches:
            pass


def test_a_damaged_page_is_named_by_its_row_group(tmp_path: Path) -> None:
    path = table(tmp_path, id=pa.array(range(5)), text=None)
    source = parquet(path)
    before = path.stat()
    data = bytearray(path.read_bytes())
    place = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset
    data[place : place + 30] = bytes(30)
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    batches = source.batches(0, 2)

    assert list(next(batches).ids) == [0, 1]
    with pytest.raises(BadRow, match=r"'a.parquet' is damaged at row 4 or behind it"):
        next(batches)


def test_the_digest_of_tables_is_of_the_files_and_of_what_is_made_of_them(tmp_path: Path) -> None:
    path = table(tmp_path)
    first = parquet(path).digest

    assert parquet(path).digest == first
    assert parquet(path, How(vector="x")).digest != first
    table(tmp_path, TEXTS[:4])
    assert parquet(path).digest != first


def test_a_loose_table_is_no_jobs(tmp_path: Path) -> None:
    source = parquet(table(tmp_path))

    assert (source.plan, source.previous, list(source.gone())) == ("", None, [])
    source.close()
    source.close()
