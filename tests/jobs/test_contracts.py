"""Source system E's `EmbeddingInterface` makes a table, tells how far it is, and goes on after a stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from embedstack.chunks.chunk import Chunking
from embedstack.documents.source import open_source
from embedstack.errors import BadRequest, Mismatch, TooManyDead
from embedstack.jobs.contracts import CheckpointState, EmbeddingInterface
from embedstack.jobs.opened import Opened, opened
from embedstack.jobs.plan import Exact, Wish
from embedstack.jobs.planning import plan as plan_job
from embedstack.storage.local import LocalStorage
from embedstack.storage.storage import Missing
from embedstack.testing.fake import HashEncoder, WordRuler

WISH = Wish(inputs=(), model="hash", chunking=Chunking(strategy="window", tokens=20), shard_docs=2)
TEXTS = {f"{name}.md": f"# {name}\n\n{'some words of it ' * 8}" for name in ("ant", "bee", "cow", "dog", "elk")}


@asynccontextmanager
async def opener(wish: Wish) -> AsyncIterator[Opened]:
    yield await opened(HashEncoder(), wish, WordRuler(), Exact(where="here", version="1"))


class Store:
    """Files of an application, as its `StorageInterface` has them."""

    def list_files(self) -> list[str]:
        return list(TEXTS)

    def download(self, name: str) -> bytes:
        return TEXTS[name].encode()


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    return sorted(folder.iterdir())


@pytest.fixture
def interface(tmp_path: Path) -> EmbeddingInterface:
    return EmbeddingInterface(tmp_path / "out", WISH, opener)


def test_texts_become_an_array(interface: EmbeddingInterface) -> None:
    made = interface.generate_embeddings(["one bird", "two birds"])

    assert (made.shape, made.dtype) == ((2, 32), np.float32)


def test_files_become_a_table(interface: EmbeddingInterface, paths: list[Path]) -> None:
    file = interface.batch_process(paths)

    assert (len(file.files), file.rows, file.dim) == (3, 10, 32)


def test_a_table_can_be_read(interface: EmbeddingInterface, paths: list[Path]) -> None:
    table = interface.read_parquet(interface.batch_process(paths))

    assert table.column("doc_id").to_pylist() == [name for name in sorted(TEXTS) for _ in range(2)]


def test_vectors_of_a_table_are_those_of_its_texts(interface: EmbeddingInterface, paths: list[Path]) -> None:
    table = interface.read_parquet(interface.batch_process(paths))
    vectors = np.array(table.column("embedding_vector").to_pylist(), np.float32)

    assert np.array_equal(vectors, interface.generate_embeddings(table.column("text").to_pylist()))


def test_a_table_without_rows_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.md").write_text(" \n")
    interface = EmbeddingInterface(tmp_path / "out", WISH, opener)
    table = interface.read_parquet(interface.batch_process([tmp_path / "empty.md"]))

    assert (table.num_rows, "embedding_vector" in table.column_names) == (0, True)


def test_the_same_files_again_are_not_done_again(interface: EmbeddingInterface, paths: list[Path]) -> None:
    first = interface.batch_process(paths)

    assert interface.batch_process(paths) == first


def test_other_files_need_another_place(interface: EmbeddingInterface, paths: list[Path]) -> None:
    interface.batch_process(paths)

    with pytest.raises(Mismatch, match="there is another plan already"):
        interface.batch_process(paths[:2])


def test_no_files_are_refused(interface: EmbeddingInterface) -> None:
    with pytest.raises(BadRequest, match="file_paths is empty"):
        interface.batch_process([])


def test_a_checkpoint_says_how_far_it_is(interface: EmbeddingInterface, paths: list[Path]) -> None:
    interface.batch_process(paths)
    state = interface.get_checkpoint()

    assert (state.shards, state.shards_done, state.documents_done, state.is_complete) == (3, 3, 5, True)


def test_without_a_plan_there_is_no_checkpoint(interface: EmbeddingInterface) -> None:
    with pytest.raises(Missing, match="no job"):
        interface.get_checkpoint()


def test_a_job_that_was_only_planned_is_done_from_its_checkpoint(tmp_path: Path, paths: list[Path]) -> None:
    state = planned(tmp_path / "out", paths)
    interface = EmbeddingInterface(tmp_path / "out", WISH, opener)

    assert (state.shards_done, interface.resume_from_checkpoint(state).rows) == (0, 10)


def test_a_shard_that_was_lost_is_done_again_and_the_others_are_not(
    interface: EmbeddingInterface, paths: list[Path], tmp_path: Path
) -> None:
    before = interface.batch_process(paths)
    (tmp_path / "out" / before.files[1]).unlink()
    after = interface.resume_from_checkpoint(interface.get_checkpoint())

    assert [one == other for one, other in zip(before.files, after.files, strict=True)] == [True, False, True]
    assert after.rows == before.rows


@pytest.mark.parametrize("changed", [{"plan": "0" * 64}, {"out": "file:///elsewhere"}, {"interface_version": "2.0.0"}])
def test_a_checkpoint_of_something_else_is_refused(
    interface: EmbeddingInterface, paths: list[Path], changed: dict[str, str]
) -> None:
    interface.batch_process(paths)

    with pytest.raises(Mismatch, match="the checkpoint is of"):
        interface.resume_from_checkpoint(replace(interface.get_checkpoint(), **changed))


def test_files_can_be_those_of_an_object(tmp_path: Path) -> None:
    interface = EmbeddingInterface(tmp_path / "out", WISH, opener, Store())
    file = interface.batch_process(["ant.md", "elk.md"])

    assert set(interface.read_parquet(file).column("doc_id").to_pylist()) == {"ant.md", "elk.md"}


def test_a_file_that_the_object_has_not_is_named(tmp_path: Path) -> None:
    interface = EmbeddingInterface(tmp_path / "out", WISH, opener, Store())

    with pytest.raises(BadRequest, match=r"'yak\.md' is no file"):
        interface.batch_process(["ant.md", "yak.md"])


def test_a_job_over_an_object_goes_on_only_with_it(tmp_path: Path) -> None:
    state = _checkpoint_over_an_object(tmp_path)

    with pytest.raises(BadRequest, match="handed over as an object"):
        EmbeddingInterface(tmp_path / "out", WISH, opener).resume_from_checkpoint(state)


def test_too_many_dead_documents_are_an_error(interface: EmbeddingInterface, paths: list[Path]) -> None:
    for path in paths[:2]:
        path.write_bytes(b"caf\xe9")

    with pytest.raises(TooManyDead, match="2 of 5 documents failed"):
        interface.batch_process(paths)


def test_a_closed_interface_opens_the_model_again() -> None:
    with EmbeddingInterface("unused", WISH, opener) as interface:
        first = interface.generate_embeddings(["a bird"])

    assert np.array_equal(interface.generate_embeddings(["a bird"]), first)


def planned(out: Path, paths: list[Path]) -> CheckpointState:
    async def plan() -> None:
        wish = replace(WISH, inputs=tuple(map(str, paths)))
        async with opener(wish) as model:
            plan_job(wish, open_source(wish.inputs, wish.reading), model, LocalStorage(out))

    asyncio.run(plan())
    return EmbeddingInterface(out, WISH, opener).get_checkpoint()


def _checkpoint_over_an_object(tmp_path: Path) -> CheckpointState:
    interface = EmbeddingInterface(tmp_path / "out", WISH, opener, Store())
    interface.batch_process(["ant.md"])
    return interface.get_checkpoint()
