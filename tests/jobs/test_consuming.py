"""Source system E's importer reads a table by the method names that it knows, and sees only what is committed."""

import asyncio
import json
from pathlib import Path

import polars
import pyarrow
import pytest

from embedstack.errors import BadRequest, ConfigError
from embedstack.jobs.consuming import Embedding, EmbeddingsInterface, InterfaceVersion, to_pandas
from embedstack.jobs.ledger import Ledger
from embedstack.storage.local import LocalStorage
from embedstack.storage.storage import Missing
from support.tables import DIM, commit, job, planned, vectors_of

SHARDS = [
    {"a": ["one bird", "two birds", "three birds"], "b": ["a stone"]},
    {"c": [], "bad": [], "d": ["a river", "a bridge"]},
]
Interface = EmbeddingsInterface[polars.DataFrame]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Interface:
    root = tmp_path_factory.mktemp("table")
    job(root, SHARDS)
    return EmbeddingsInterface(root, polars.from_arrow)  # type: ignore[arg-type]


@pytest.fixture
def half(tmp_path: Path) -> Interface:
    """The first of two shards is committed."""
    storage = LocalStorage(tmp_path)
    plan = planned(storage, SHARDS)
    commit(storage, Ledger(storage, plan), plan, 0, SHARDS[0])
    return EmbeddingsInterface(tmp_path, polars.from_arrow)  # type: ignore[arg-type]


async def streamed(interface: Interface, batch_size: int) -> list[list[Embedding]]:
    return [batch async for batch in interface.stream_embeddings(batch_size)]


def test_files_are_listed_in_the_order_of_the_table(table: Interface) -> None:
    files = asyncio.run(table.list_embedding_files())

    assert [name[:16] for name in files] == ["data/part-000000", "data/part-000001"]


def test_files_are_listed_by_prefix(table: Interface) -> None:
    assert len(asyncio.run(table.list_embedding_files("data/part-000001"))) == 1


def test_a_file_has_the_three_columns_of_the_contract(table: Interface) -> None:
    first = asyncio.run(table.list_embedding_files())[0]
    frame = asyncio.run(table.get_embedding_batch(first))

    assert (frame.columns, frame.height) == (["chunk_id", "embedding", "metadata"], 4)
    assert json.loads(frame["metadata"][0])["title"] == "a"


def test_a_file_has_the_vectors_that_were_made(table: Interface) -> None:
    first = asyncio.run(table.list_embedding_files())[0]
    frame = asyncio.run(table.get_embedding_batch(first))

    assert frame["embedding"].to_list()[3] == vectors_of(["a stone"])[0].tolist()


def test_a_file_that_is_not_of_the_table_is_missing(table: Interface) -> None:
    with pytest.raises(Missing, match="no file of the table"):
        asyncio.run(table.get_embedding_batch("data/other.parquet"))


@pytest.mark.parametrize(("size", "sizes"), [(1000, [6]), (4, [4, 2]), (1, [1] * 6)])
def test_rows_come_in_lists_of_the_size_that_was_asked_for(table: Interface, size: int, sizes: list[int]) -> None:
    assert [len(batch) for batch in asyncio.run(streamed(table, size))] == sizes


def test_a_row_knows_its_document_and_how_many_chunks_that_has(table: Interface) -> None:
    rows = [row for batch in asyncio.run(streamed(table, 4)) for row in batch]

    assert [(row.document_id, row.chunk_index, row.total_chunks) for row in rows] == [
        ("a", 0, 3), ("a", 1, 3), ("a", 2, 3), ("b", 0, 1), ("d", 0, 2), ("d", 1, 2),
    ]  # fmt: skip


def test_a_row_has_its_vector_and_its_metadata(table: Interface) -> None:
    row = asyncio.run(streamed(table, 10))[0][0]

    assert (row.vector, row.metadata["title"]) == (vectors_of(["one bird"])[0].tolist(), "a")


def test_batches_of_none_are_refused(table: Interface) -> None:
    with pytest.raises(BadRequest, match="batch_size=0"):
        asyncio.run(streamed(table, 0))


def test_stats_say_how_many_and_whose(table: Interface) -> None:
    stats = asyncio.run(table.get_embedding_stats())

    assert (stats["count"], stats["dimensions"], stats["model"], stats["fingerprint"]) == (6, DIM, "hash", "f" * 32)
    assert (stats["is_complete"], stats["interface_version"]) == (True, "1.0.0")


def test_coverage_leaves_out_what_was_skipped_on_purpose(table: Interface) -> None:
    """Of five documents one is empty, and one of the four others is broken."""
    assert asyncio.run(table.get_embedding_stats())["embedding_coverage"] == pytest.approx(3 / 4)


def test_of_a_job_that_runs_only_what_is_committed_is_seen(half: Interface) -> None:
    rows = [row for batch in asyncio.run(streamed(half, 10)) for row in batch]

    assert {row.document_id for row in rows} == {"a", "b"}
    assert not asyncio.run(half.get_embedding_stats())["is_complete"]


def test_a_checkpoint_says_how_far_it_is(half: Interface) -> None:
    checkpoint = asyncio.run(half.get_checkpoint())

    assert checkpoint is not None
    assert (checkpoint["shards"], checkpoint["shards_done"], checkpoint["documents"]) == (2, 1, 2)


def test_a_job_of_which_nothing_is_done_has_no_checkpoint(tmp_path: Path) -> None:
    planned(LocalStorage(tmp_path), SHARDS)

    assert asyncio.run(EmbeddingsInterface(tmp_path, to_pandas).get_checkpoint()) is None


def test_a_place_without_a_job_has_no_checkpoint(tmp_path: Path) -> None:
    assert asyncio.run(EmbeddingsInterface(tmp_path, to_pandas).get_checkpoint()) is None


def test_a_place_without_a_job_is_said(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no job"):
        asyncio.run(EmbeddingsInterface(tmp_path, to_pandas).list_embedding_files())


@pytest.mark.parametrize(("required", "fits"), [("1.0.0", True), ("1.0.9", True), ("1.1.0", False), ("2.0.0", False)])
def test_versions_fit_by_their_first_two_numbers(required: str, fits: bool) -> None:
    assert InterfaceVersion.check_compatibility(required) is fits


@pytest.mark.parametrize("wrong", ["1.0", "one.0.0", "1.0.0.0", ""])
def test_what_is_no_version_is_refused(wrong: str) -> None:
    with pytest.raises(BadRequest, match="three numbers"):
        InterfaceVersion.check_compatibility(wrong)


def test_without_pandas_a_data_frame_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)

    with pytest.raises(ConfigError, match="pip install pandas"):
        to_pandas(pyarrow.table({"a": [1]}))
