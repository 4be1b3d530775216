"""Source system E's acceptance: 1,000 documents without an error, killed and gone on with, read by its consumers."""

import asyncio
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb
import polars
import pyarrow.parquet as pq
import pytest

from embedstack.chunks.chunk import Chunking
from embedstack.jobs.consuming import Embedding, EmbeddingsInterface, to_pandas
from embedstack.jobs.contracts import CheckpointState, EmbeddingInterface, ParquetFile
from embedstack.jobs.opening import open_here
from embedstack.jobs.plan import Wish
from embedstack.settings import DEFAULT_MODEL, read_settings
from embedstack.storage.storage import Missing

pytestmark = [pytest.mark.faults, pytest.mark.weights, pytest.mark.timeout(300)]

DOCUMENTS = 1000
PATIENCE_S = 110.0
FIELDS = ("source_url", "title", "author", "date", "language", "doc_type", "word_count", "content_hash")
"""Of the front matter, as its `StorageInterface` has them."""
PROGRAM = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from test_acceptance import interface, paths_of
interface(Path(sys.argv[2]) / "out").batch_process(paths_of(Path(sys.argv[2]) / "pages"))
"""


def interface(out: Path) -> EmbeddingInterface:
    """With the default model; a shard is a tenth of all."""
    wish = Wish(inputs=(), model=DEFAULT_MODEL, chunking=Chunking(tokens=256), shard_docs=100, checkpoint_docs=200)
    return EmbeddingInterface(out, wish, partial(open_here, settings=read_settings(env_file=None)))


def paths_of(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@dataclass(frozen=True)
class Accepted:
    """What was seen of the job."""

    out: Path
    at_kill: CheckpointState
    table: ParquetFile
    at_end: CheckpointState


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory, minilm_folder: Path) -> Iterator[Accepted]:
    """The job is killed in a process of its own once some of its shards are committed, and ends in this one."""
    folder = tmp_path_factory.mktemp("acceptance")
    (folder / "pages").mkdir()
    for number in range(DOCUMENTS):
        (folder / f"pages/{number:04d}.md").write_text(_page(number))
    here = str(Path(__file__).parent)
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, here, str(folder)])
    with interface(folder / "out") as resumed:
        state = _once_begun(resumed, child)
        table = resumed.resume_from_checkpoint(state)
        yield Accepted(folder / "out", state, table, resumed.get_checkpoint())


def _page(number: int) -> str:
    told = (f"Lamp {number} of street {place} was lit at {place} and burnt for {number} hours." for place in range(6))
    words = " ".join(told)
    said = {
        "source_url": f"https://example.org/{number}",
        "title": f"Report {number}",
        "author": "The lamplighter",
        "date": "1901-02-03",
        "language": "en",
        "doc_type": "report",
        "word_count": len(words.split()),
        "content_hash": hashlib.sha256(words.encode()).hexdigest(),
    }
    front = "".join(f"{name}: {json.dumps(value)}\n" for name, value in said.items())
    return f"---\n{front}---\n\n# Report {number}\n\n{words}\n"


def _once_begun(looked: EmbeddingInterface, child: "subprocess.Popen[bytes]") -> CheckpointState:
    """The child is killed when two or more of ten shards are done; what was committed then."""
    until = time.monotonic() + PATIENCE_S
    while child.poll() is None and _done(looked) < 2:
        assert time.monotonic() < until, "nothing was committed"
        time.sleep(0.02)
    child.kill()
    child.wait()
    return looked.get_checkpoint()


def _done(looked: EmbeddingInterface) -> int:
    try:
        return looked.get_checkpoint().shards_done
    except Missing:  # it is not planned yet
        return 0


def test_the_job_was_killed_in_the_middle(accepted: Accepted) -> None:
    assert 2 <= accepted.at_kill.shards_done < accepted.at_kill.shards == 10


def test_all_documents_are_in_the_table_without_an_error(accepted: Accepted) -> None:
    manifest = json.loads((accepted.out / "_manifest.json").read_text())

    assert (manifest["docs"], manifest["docs_out"], manifest["docs_dead"]) == (DOCUMENTS, DOCUMENTS, 0)
    assert (accepted.at_end.documents_done, accepted.at_end.is_complete) == (DOCUMENTS, True)


def test_its_files_have_the_columns_that_it_was_promised(accepted: Accepted) -> None:
    first = pq.read_schema(accepted.out / accepted.table.files[0])

    assert {"doc_id", "chunk_id", "embedding_vector", "metadata"} <= set(first.names)
    assert accepted.table.dim == 384


def test_every_row_has_the_fields_of_its_front_matter(accepted: Accepted) -> None:
    rows = _streamed(accepted)

    assert all(row.metadata.keys() >= set(FIELDS) for row in rows)
    assert len({row.document_id for row in rows}) == DOCUMENTS


def test_its_importer_reads_every_row(accepted: Accepted) -> None:
    rows = _streamed(accepted)

    assert len(rows) == accepted.table.rows == len({row.chunk_id for row in rows})
    assert {len(row.vector) for row in rows} == {384}


def test_duckdb_and_polars_read_as_many(accepted: Accepted) -> None:
    files = [str(accepted.out / key) for key in accepted.table.files]
    counted = duckdb.sql("select count(*) from read_parquet($files)", params={"files": files}).fetchall()

    assert counted == [(accepted.table.rows,)]
    assert polars.read_parquet(files).height == accepted.table.rows


def _streamed(accepted: Accepted) -> list[Embedding]:
    async def all_of_it() -> list[Embedding]:
        importer = EmbeddingsInterface(accepted.out, to_pandas)
        return [row async for rows in importer.stream_embeddings() for row in rows]

    return asyncio.run(all_of_it())
