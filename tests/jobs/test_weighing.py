"""Parts that are weighed are like those of the job, and nothing is left of them."""

from itertools import count
from pathlib import Path

import pytest
from msgspec.structs import replace

from embedstack.chunks.chunk import Chunk, Chunking
from embedstack.documents.document import Document
from embedstack.jobs.plan import Plan
from embedstack.jobs.surveying import Cluster, Looked, Survey
from embedstack.jobs.weighing import PARTS, ROWS, Beside, Weighed
from embedstack.storage.local import LocalStorage
from embedstack.testing.fake import WordRuler
from support.tables import EXACT, IDENTITY, WISH

PLAN = Plan(
    wish=replace(WISH, chunking=Chunking(strategy="window", tokens=8, overlap=0)), identity=IDENTITY, exact=EXACT,
    probes=(), shards=10, docs=100, files=100, bytes=100_000, table="", table_sha256="",
)  # fmt: skip


def looked(name: str, chunks: int) -> Looked:
    texts = [f"{name} has its place {place}" for place in range(chunks)]
    made = tuple(Chunk(place, text, 0, len(text), 5) for place, text in enumerate(texts))
    return Looked("", 100, 5 * chunks, chunks, 120 * chunks, 0.0, Document(name, " ".join(texts)), made)


def weighed(tmp_path: Path, documents: list[Looked], shards: int = 10) -> tuple[Weighed, ...]:
    survey = Survey(tuple(Cluster(1.0, 100, 1, 100, (one,)) for one in documents), (), True, True)
    storage = LocalStorage(tmp_path / "out")
    now = count()
    beside = Beside(replace(PLAN, shards=shards), survey, WordRuler(), storage, tmp_path)
    parts = beside.weigh(lambda: float(next(now)))
    beside.work(100, 50)

    assert list(storage.list()) == []
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []
    return parts


def test_a_part_has_as_many_rows_as_one_of_the_job(tmp_path: Path) -> None:
    """100 documents of 3 chunks in 10 shards."""
    assert [part.rows for part in weighed(tmp_path, [looked(f"d{n}", 3) for n in range(100)])] == [30] * PARTS


def test_a_large_part_is_weighed_by_its_first_rows(tmp_path: Path) -> None:
    parts = weighed(tmp_path, [looked(f"d{n}", 10) for n in range(ROWS // 5)], shards=1)

    assert [part.rows for part in parts] == [ROWS, ROWS]


def test_parts_come_from_all_over_the_sample(tmp_path: Path) -> None:
    short, long = (
        [looked(f"d{n}", 3) for n in range(50)],
        [looked(f"a document of a long name {n}", 3) for n in range(50)],
    )
    parts = weighed(tmp_path, [*short, *long])

    assert parts[-1].bytes > parts[0].bytes


def test_a_part_has_a_document_even_if_that_is_larger_than_a_part(tmp_path: Path) -> None:
    assert [part.rows for part in weighed(tmp_path, [looked("d", 40)])] == [40]


@pytest.mark.parametrize("documents", [[], [Looked("bad_utf8")]])
def test_where_nothing_has_rows_the_part_has_none(tmp_path: Path, documents: list[Looked]) -> None:
    assert [part.rows for part in weighed(tmp_path, documents)] == [0]
