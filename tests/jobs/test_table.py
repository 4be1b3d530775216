"""Parts of a table: judged by what other people's readers find in them."""

import importlib.util
import json
import sys
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from embedstack.errors import ConfigError, Mismatch
from embedstack.jobs import arrow
from embedstack.jobs.digests import of_file
from embedstack.jobs.plan import Plan, Wish
from embedstack.jobs.table import PartReader, read_rows, schema, write_part
from embedstack.storage.local import LocalStorage
from support.golden_parts import DOCS, GOLDEN, HALF, WISHES, write_golden
from support.tables import DIM, WISH, planned, rows_of, vectors_of

TEXTS = [text for texts in DOCS.values() for text in texts]
WRITTEN = {
    **WISHES,
    "half_zstd": replace(HALF, compression="zstd"),
    "uncompressed": replace(WISH, compression="none"),
}
COLUMNS = ["doc_id", "chunk_id", "chunk_index", "text", "embedding_vector", "metadata", "tokens", "content_hash"]
POLARS = {"float32": pl.Float32, "float16": pl.Float16}


def plan_of(tmp_path: Path, wish: Wish) -> Plan:
    return planned(LocalStorage(tmp_path / "job"), [DOCS], wish)


def written(tmp_path: Path, wish: Wish = WISH, name: str = "part.parquet") -> Path:
    path = tmp_path / name
    write_part(path, rows_of(DOCS, wish), plan_of(tmp_path, wish), 0)
    return path


# ------------------------------------------------------------------------------------------------ our own reading


@pytest.mark.parametrize("name", WRITTEN)
def test_rows_come_back_as_they_were_written(tmp_path: Path, name: str) -> None:
    wish = WRITTEN[name]
    rows = rows_of(DOCS, wish)

    back = read_rows(written(tmp_path, wish), "part")

    assert back.digest == rows.digest
    assert back.vectors_digest(wish.storing) == rows.vectors_digest(wish.storing)
    assert np.array_equal(back.vectors, rows.vectors)
    assert back.texts == (rows.texts if wish.with_text else None)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_shard_that_is_done_again_is_the_same_file(tmp_path: Path, name: str) -> None:
    one, other = written(tmp_path, WRITTEN[name], "one"), written(tmp_path, WRITTEN[name], "other")

    assert of_file(one) == of_file(other)


def test_another_number_of_a_vector_is_another_digest() -> None:
    rows = rows_of(DOCS)
    before = rows.vectors_digest("float32")

    rows.vectors[2, 3] = np.nextafter(rows.vectors[2, 3], np.float32(9))

    assert rows.vectors_digest("float32") != before


@pytest.mark.parametrize("column", ["doc_ids", "chunk_ids", "metadata", "content_hashes"])
def test_another_word_of_a_row_is_another_digest(column: str) -> None:
    rows = rows_of(DOCS)
    before = rows.digest

    getattr(rows, column)[1] += "x"

    assert rows.digest != before


@pytest.mark.parametrize("column", ["indexes", "tokens"])
def test_another_number_of_a_row_is_another_digest(column: str) -> None:
    rows = rows_of(DOCS)
    before = rows.digest

    getattr(rows, column)[1] += 1

    assert rows.digest != before


def test_a_border_between_two_fields_that_moves_is_another_digest() -> None:
    rows = rows_of(DOCS)
    before = rows.digest

    rows.doc_ids[0], rows.chunk_ids[0] = rows.doc_ids[0] + rows.chunk_ids[0][:1], rows.chunk_ids[0][1:]

    assert rows.digest != before


@pytest.mark.slow
def test_row_groups_hold_at_most_ten_thousand_rows(tmp_path: Path) -> None:
    docs = {"long": [f"text {number}" for number in range(10_001)]}
    write_part(tmp_path / "part", rows_of(docs), plan_of(tmp_path, WISH), 0)

    assert PartReader(tmp_path / "part", "part").starts.tolist() == [0, 10_000, 10_001]


def test_the_footer_names_model_plan_shard_and_probes(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, WISH)

    said = json.loads(pq.read_metadata(written(tmp_path)).metadata[b"embedstack"])

    assert (said["plan"], said["shard"], said["storing"]) == (plan.digest, 0, "float32")
    assert (said["identity"]["fingerprint"], said["identity"]["dim"]) == (plan.identity.fingerprint, DIM)
    assert said["probes"][0]["vector"] == plan.probes[0].vector
    assert said["chunking"]["strategy"] == "semantic"


@pytest.mark.parametrize("keep", [0, 3, 100, -20])
def test_a_torn_part_is_named(tmp_path: Path, keep: int) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(Mismatch, match=r"'data/part' cannot be read as a part"):
        read_rows(path, "data/part")


def test_a_table_of_others_is_no_part(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "other")

    with pytest.raises(Mismatch, match="cannot be read as a part"):
        read_rows(tmp_path / "other", "part")


def test_a_part_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere/part' cannot be written: .*--spool"):
        write_part(tmp_path / "nowhere" / "part", rows_of(DOCS), plan_of(tmp_path, WISH), 0)


def test_without_the_packages_the_command_that_gets_them_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    spec = importlib.util.spec_from_file_location("arrow_again", arrow.__file__)
    assert spec is not None
    assert spec.loader is not None

    with pytest.raises(ConfigError, match=r"pip install 'embedstack\[jobs\]'"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


# ------------------------------------------------------------------------------------------------ other readers


def golden(name: str) -> Path:
    return GOLDEN / f"part-{name}.parquet"


def columns_of(wish: Wish) -> list[str]:
    return [name for name in COLUMNS if wish.with_text or name != "text"]


@pytest.mark.parametrize("name", WISHES)
def test_pyarrow_reads_a_golden_part(name: str) -> None:
    wish, table = WISHES[name], pq.read_table(golden(name))

    number = pa.float32() if wish.storing == "float32" else pa.float16()
    vectors = np.stack(table["embedding_vector"].to_numpy(zero_copy_only=False))
    assert [column for column in table.column_names if column != "sparse"] == columns_of(wish)
    assert table.schema.field("embedding_vector").type == pa.list_(pa.field("element", number, nullable=False), DIM)
    assert not any(field.nullable for field in table.schema)
    assert np.array_equal(vectors.astype(np.float32), vectors_of(TEXTS, wish))
    assert table["doc_id"].to_pylist() == ["a.md", "a.md", "б.md"]


@pytest.mark.parametrize("name", WISHES)
def test_polars_reads_a_golden_part(name: str) -> None:
    wish, frame = WISHES[name], pl.read_parquet(golden(name))

    vectors = np.array(frame["embedding_vector"].to_list(), np.float32)
    assert [column for column in frame.columns if column != "sparse"] == columns_of(wish)
    assert frame.schema["embedding_vector"] == pl.Array(POLARS[wish.storing], DIM)
    assert np.array_equal(vectors, vectors_of(TEXTS, wish))
    assert frame["chunk_index"].to_list() == [0, 1, 0]


@pytest.mark.parametrize("name", WISHES)
def test_duckdb_reads_a_golden_part(name: str) -> None:
    wish, path = WISHES[name], str(golden(name))
    with duckdb.connect() as base:
        found = base.execute("select embedding_vector, tokens, metadata ->> 'title' from read_parquet(?)", [path])
        rows = found.fetchall()
        kinds = base.execute("describe select * from read_parquet(?)", [path]).fetchall()
        footer = base.execute("select decode(value) from parquet_kv_metadata(?) where key = 'embedstack'", [path])
        said = footer.fetchall()

    assert [kind[0] for kind in kinds if kind[0] != "sparse"] == columns_of(wish)
    assert {kind[0]: kind[1] for kind in kinds}["embedding_vector"] == "FLOAT[]"
    assert np.array_equal(np.array([row[0] for row in rows], np.float32), vectors_of(TEXTS, wish))
    assert [row[1:] for row in rows] == [(3, "a.md"), (4, "a.md"), (1, "б.md")]
    assert json.loads(said[0][0])["identity"]["dim"] == DIM


def test_duckdb_and_polars_read_sparse_weights() -> None:
    path = str(golden("sparse"))
    rows = rows_of(DOCS, WISHES["sparse"])
    assert rows.sparse is not None
    with duckdb.connect() as base:
        found = base.execute("select unnest(sparse).id, unnest(sparse).weight from read_parquet(?)", [path]).fetchall()

    weights = [pair for row in rows.sparse for pair in zip(row.ids.tolist(), row.weights.tolist(), strict=True)]
    by_polars = [(one["id"], one["weight"]) for row in pl.read_parquet(path)["sparse"].to_list() for one in row]
    assert found == by_polars == weights


@pytest.mark.parametrize("name", WISHES)
def test_this_version_writes_what_the_golden_parts_hold(tmp_path: Path, name: str) -> None:
    then, now = PartReader(golden(name), name), PartReader(write_golden(tmp_path / "part", WISHES[name]), name)

    assert now.schema.equals(then.schema)
    assert now.read().digest == then.read().digest


def test_the_schema_has_sparse_and_text_only_where_wished(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, WISH)

    assert schema(replace(WISH, sparse=True), plan.identity).names[4:6] == ["embedding_vector", "sparse"]
    assert schema(HALF, plan.identity).names == columns_of(HALF)
