"""Rows from all over what a user named: collections, a job's table, Parquet files, JSON lines."""

import gzip
import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedstack.databases.database import Collection, Field, Points, UnknownCollection
from embedstack.databases.opening import open_database
from embedstack.errors import BadRequest, ConfigError
from embedstack.identifying.collection import ALL
from embedstack.identifying.opening import Place, open_pool
from embedstack.identifying.rows import Pool
from embedstack.loading.source import BadRow
from support.kept_vectors import collection, lines, parquet, qdrant, rows
from support.tables import job

TEXTS = [f"text {number}" for number in range(100)]
VECTORS = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
MOST = 20


def numbers(pool: Pool, key: str = "text") -> list[int]:
    """Which of the texts they are."""
    return [int(row.fields[key].split()[-1]) for row in pool.rows]


def store(root: Path, **fields: Field) -> str:
    """A folder with a collection `docs` of these fields, with one point."""
    with closing(open_database(f"{root}/store")) as database:
        database.create(Collection(name="docs", fields=fields))
        vectors = {name: np.ones((1, field.dim), np.float32) for name, field in fields.items() if field.kind == "dense"}
        database.write("docs", Points(ids=[1], vectors=vectors, payloads=[{"text": "a"}]))
    return f"{root}/store"


# ------------------------------------------------------------------------------------------------ collections


def test_points_of_a_small_collection_are_from_all_over(tmp_path: Path) -> None:
    pool = open_pool(collection(f"{tmp_path}/store", TEXTS, VECTORS), MOST)

    assert numbers(pool, "page_content") == list(range(0, 100, 5))
    assert np.array_equal(pool.rows[1].vector, VECTORS[5])
    assert (pool.total, pool.rows[1].place, pool.rows[1].fields["metadata.source"]) == (100, "point 5", "a.md")


@pytest.mark.slow
def test_points_of_a_large_collection_are_from_all_over(tmp_path: Path) -> None:
    count = ALL + 1000
    vectors = np.ones((count, 1), np.float32)
    place = collection(f"{tmp_path}/store", [f"text {number}" for number in range(count)], vectors)

    found = numbers(open_pool(place, 128), "page_content")

    gaps = np.diff([*found, count])
    assert (found[0], len(found), max(gaps) < 3 * count / 64) == (0, 128, True)


def test_a_collection_is_named_behind_a_sign_or_by_itself(tmp_path: Path) -> None:
    place = collection(f"{tmp_path}/store", TEXTS, VECTORS)
    url, _, name = place.named.rpartition("#")

    assert numbers(open_pool(Place(named=url, collection=name), 5), "page_content") == [0, 20, 40, 60, 80]


def test_a_database_without_a_collections_name_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    collection(f"{tmp_path}/store", TEXTS, VECTORS)

    with pytest.raises(BadRequest, match="is a database; name one of its collections behind a #: docs"):
        open_pool(Place(named=f"{tmp_path}/store"), MOST)


def test_a_collection_that_is_not_there_is_refused(tmp_path: Path) -> None:
    url = store(tmp_path, a=Field(dim=2))

    with pytest.raises(UnknownCollection):
        open_pool(Place(named=f"{url}#other"), MOST)


def test_of_several_vectors_one_must_be_named(tmp_path: Path) -> None:
    url = store(tmp_path, a=Field(dim=2), b=Field(dim=3), words=Field(kind="sparse", distance="dot"))

    with pytest.raises(BadRequest, match="has several dense vectors; it has: 'a', 'b'; name one as"):
        open_pool(Place(named=f"{url}#docs"), MOST)
    assert len(open_pool(Place(named=f"{url}#docs", vector="b"), MOST).rows[0].vector) == 3
    assert len(open_pool(Place(named=f"{url}#docs/b"), MOST).rows[0].vector) == 3


def test_a_collection_without_vectors_is_refused(tmp_path: Path) -> None:
    place = collection(f"{tmp_path}/store", [], np.zeros((0, 4), np.float32))

    with pytest.raises(BadRequest, match="has no point with a vector"):
        open_pool(place, MOST)


@pytest.mark.slow
def test_qdrant_is_known_to_change_lengths_of_cosine_fields_and_of_no_others(tmp_path: Path) -> None:
    """Its local mode does so only until it is opened again, so that nothing can be said of lengths there."""
    place = qdrant(tmp_path, TEXTS, VECTORS)
    url = place.named.partition("#")[0]
    product = collection(url, TEXTS, VECTORS, field=Field(dim=4, distance="dot"), name="product")

    pools = [open_pool(one, MOST) for one in (place, product)]

    assert [bool(pool.reshaped) for pool in pools] == [True, False]
    assert np.array_equal(pools[1].rows[1].vector, VECTORS[5])


@pytest.mark.faults
def test_a_table_of_postgresql_is_a_collection_with_its_columns_as_texts() -> None:
    from support.postgres import running

    postgres = running()
    with postgres.database() as name:
        with postgres.connection(name) as connection:
            connection.execute("CREATE TABLE notes (id bigint PRIMARY KEY, body text, embedding halfvec(4))")
            for number, (text, row) in enumerate(zip(TEXTS, VECTORS, strict=True)):
                connection.execute("INSERT INTO notes VALUES (%s, %s, %s)", (number, text, str(row.tolist())))

        pool = open_pool(Place(named=f"{postgres.url(name)}#notes"), MOST)

    assert numbers(pool, "body") == list(range(0, 100, 5))
    assert np.array_equal(pool.rows[1].vector, VECTORS[5].astype(np.float16).astype(np.float32))


# ------------------------------------------------------------------------------------------------ files


def test_lines_are_from_all_over_also_where_they_are_packed(tmp_path: Path) -> None:
    plain = Path(lines(tmp_path, TEXTS, VECTORS).named)
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))

    found = [numbers(open_pool(Place(named=str(path)), MOST)) for path in (plain, packed)]

    assert found[0] == found[1]
    assert (found[0][0], len(found[0]), max(np.diff([*found[0], 100])) <= 8) == (0, MOST, True)


def test_lines_have_any_key_for_their_vectors_if_it_is_said(tmp_path: Path) -> None:
    place = rows(tmp_path, [{"text": "a 1", "dense": [1, 2]}])

    with pytest.raises(BadRow, match="name its key with --vector"):
        open_pool(place, MOST)
    assert open_pool(Place(named=place.named, vector="dense"), MOST).rows[0].vector.tolist() == [1, 2]


@pytest.mark.parametrize("vector", ["[1, 2]", [], [1, "2"], {"a": 1}, None])
def test_what_is_no_list_of_numbers_is_refused(vector: object, tmp_path: Path) -> None:
    with pytest.raises(BadRow, match=r"line 1 of 'rows.jsonl' has no list of numbers under 'vector'"):
        open_pool(rows(tmp_path, [{"text": "a", "vector": vector}]), MOST)


def test_a_line_that_is_no_json_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"vector": [1], "text": "a"}\n\n{"vector": [1]')

    with pytest.raises(BadRow, match=r"line 3 of 'rows.jsonl' is no JSON object"):
        open_pool(Place(named=str(path)), MOST)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
def test_a_file_without_rows_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(pa.table({"vector": pa.array([], pa.list_(pa.float32()))}), path)
    else:
        path.write_text("\n")

    with pytest.raises(BadRequest, match="there is no row in"):
        open_pool(Place(named=str(path)), MOST)


def test_rows_of_parquet_are_from_all_its_groups(tmp_path: Path) -> None:
    pool = open_pool(parquet(tmp_path, TEXTS, VECTORS), MOST)

    found = numbers(pool)
    assert {number // 16 for number in found} == set(range(7))
    assert np.array_equal(pool.rows[1].vector, VECTORS[found[1]])
    assert pool.total == 100


def test_whole_numbers_in_parquet_are_vectors_too(tmp_path: Path) -> None:
    pool = open_pool(parquet(tmp_path, ["a"], np.array([[1, -2, 127]], np.int8)), MOST)

    assert pool.rows[0].vector.tolist() == [1, -2, 127]


def test_of_two_columns_of_numbers_one_must_be_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    both = {"title_vector": [[1.0, 2.0]], "body_vector": [[3.0, 4.0]], "text": ["a"], "tags": [["b"]]}
    pq.write_table(pa.table(both), path)

    with pytest.raises(BadRequest, match="in the columns 'title_vector', 'body_vector'; name the one"):
        open_pool(Place(named=str(path)), MOST)
    assert open_pool(Place(named=str(path), vector="body_vector"), MOST).rows[0].vector.tolist() == [3, 4]


def test_a_jobs_table_has_its_texts_and_says_whose_they_are(tmp_path: Path) -> None:
    made = job(tmp_path / "job", [{f"doc-{n}": [f"text {n}"] for n in range(first, first + 10)} for first in (0, 10)])

    pool = open_pool(Place(named=str(made.root)), 10)

    assert numbers(pool) == list(range(0, 20, 2))
    assert (pool.origin.identity.model, len(pool.origin.probes), pool.total) == ("hash", 1, 20)
    assert pool.rows[0].fields["metadata.title"] == "doc-0"


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not there"):
        open_pool(Place(named=f"{tmp_path}/nothing"), MOST)


def test_a_file_may_have_the_sign_in_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a#b.jsonl"
    path.write_text(json.dumps({"vector": [1.0], "text": "a 7"}))

    assert numbers(open_pool(Place(named=str(path)), MOST)) == [7]
