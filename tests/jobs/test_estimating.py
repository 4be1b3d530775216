"""An estimate from real files holds what the whole input then comes to, and leaves nothing behind."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from embedstack.chunks.chunk import Chunking
from embedstack.chunks.chunking import chunk
from embedstack.documents.document import Document
from embedstack.documents.reading import Reader
from embedstack.documents.source import open_source
from embedstack.errors import BadRequest
from embedstack.jobs.calibrating import How
from embedstack.jobs.estimated import Estimate
from embedstack.jobs.estimating import check, estimate
from embedstack.jobs.opened import Opened, opened
from embedstack.jobs.plan import Exact, Plan, Shard, Wish
from embedstack.jobs.planning import plan as plan_job
from embedstack.jobs.planning import write_plan
from embedstack.jobs.running import Runner
from embedstack.jobs.sampling import draw, sample
from embedstack.jobs.shards import shards_of
from embedstack.jobs.surveying import survey, totals
from embedstack.storage.local import LocalStorage
from embedstack.testing.fake import HashEncoder, WordRuler

DOCS = 120
QUICK = How(seconds=0.03, rounds=3)


def words(count: int, *names: int) -> str:
    """None comes twice: chunks that are alike would have vectors that are alike, and those shrink."""
    return " ".join(f"w{'.'.join(map(str, names))}.{place}" for place in range(count))


def page(number: int) -> str:
    parts = (words(4 * (5 + number % 9), number, part) for part in range(1 + number % 5))
    body = "\n\n".join(f"## Part {part}\n\n{text}" for part, text in enumerate(parts))
    return f"---\ntitle: Page {number}\n---\n# Page {number}\n\n{body}\n"


def wish_for(folder: Path) -> Wish:
    return Wish(inputs=(str(folder),), model="hash", chunking=Chunking(tokens=40), shard_docs=20)


class Job:
    """A planned job over a small library: pages, rows, a file that is no text."""

    def __init__(self, root: Path) -> None:
        (root / "in/pages").mkdir(parents=True)
        for number in range(DOCS):
            (root / f"in/pages/{number:03d}.md").write_text(page(number))
        rows = [json.dumps({"id": f"r{n}", "text": words(n % 50 + 1, n)}) for n in range(80)]
        (root / "in/rows.jsonl").write_text("\n".join(rows) + "\n")
        (root / "in/broken.txt").write_bytes(b"caf\xe9")
        (root / "spool").mkdir()
        self.spool = root / "spool"
        self.wish = wish_for(root / "in")
        self.source = open_source(self.wish.inputs, self.wish.reading)
        self.storage = LocalStorage(root / "out")
        self.opened: Opened = asyncio.run(_opened(self.wish))
        self.plan = plan_job(self.wish, self.source, self.opened, self.storage)
        self.shards = shards_of(self.storage, self.plan)

    def estimate(
        self, docs: int = 60, plan: Plan | None = None, shards: Sequence[Shard] = (), **asked: float
    ) -> Estimate:
        with Reader(self.source, self.wish.reading) as reader:
            return asyncio.run(
                estimate(
                    plan or self.plan,
                    shards or self.shards,
                    reader,
                    self.opened,
                    self.storage,
                    self.spool,
                    docs=docs,
                    how=QUICK,
                    **asked,
                )  # type: ignore[arg-type]
            )

    def truth(self) -> tuple[int, int]:
        """Tokens and chunks of everything."""
        tokens = chunks = 0
        with Reader(self.source, self.wish.reading) as reader:
            for segment in self.shards.segments():
                for document in reader.read(segment):
                    if isinstance(document, Document):
                        made = chunk(document.text, document.kind, self.wish.chunking, self.opened.ruler)
                        tokens, chunks = tokens + sum(one.tokens for one in made), chunks + len(made)
        return tokens, chunks


async def _opened(wish: Wish) -> Opened:
    return await opened(HashEncoder(), wish, WordRuler(), Exact(where="here", version="1"))


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return Job(tmp_path_factory.mktemp("job"))


def run(job: Job, plan: Plan, storage: LocalStorage) -> None:
    ended = asyncio.run(Runner(plan, job.source, storage, job.opened, spool=job.spool).run())
    assert ended.error == ""


def test_a_sample_holds_the_truth(job: Job) -> None:
    found, (tokens, chunks) = job.estimate(), job.truth()

    assert found.tokens.holds(tokens)
    assert found.chunks.holds(chunks)


def test_all_documents_are_the_truth(job: Job) -> None:
    found, (tokens, chunks) = job.estimate(docs=1000), job.truth()

    assert (found.tokens.likely, found.chunks.likely) == (tokens, chunks)
    assert (found.tokens.low, found.tokens.high) == (tokens, tokens)


@pytest.mark.slow
@pytest.mark.parametrize("shard_docs", [200, 20, 5])
def test_the_table_has_the_bytes_that_were_estimated(job: Job, tmp_path: Path, shard_docs: int) -> None:
    """However small its parts are."""
    storage = LocalStorage(tmp_path)
    plan = plan_job(replace(job.wish, shard_docs=shard_docs), job.source, job.opened, storage)
    run(job, plan, storage)

    parts = [entry.size for entry in storage.list("data/")]
    assert job.estimate(1000, plan, shards_of(storage, plan)).output_bytes.holds(sum(parts))


def test_the_survey_alone_needs_no_device(job: Job) -> None:
    with Reader(job.source, job.wish.reading) as reader:
        found = totals(survey(draw(job.shards, 1000), reader, job.wish, job.opened.ruler))

    assert (found.tokens, found.dead) == (job.truth()[0], 1)


def test_nothing_is_left_of_an_estimate(job: Job) -> None:
    before = [entry.key for entry in job.storage.list()]
    job.estimate()

    assert [entry.key for entry in job.storage.list()] == before
    assert list(job.spool.iterdir()) == []


def test_the_time_to_open_is_part_of_the_hours(job: Job) -> None:
    assert job.estimate(open_s=3600.0).hours.likely > 1


@pytest.mark.slow
def test_late_chunking_can_be_estimated(job: Job) -> None:
    plan = replace(job.plan, wish=replace(job.wish, late_chunking=True))
    model = asyncio.run(_opened(plan.wish))
    with Reader(job.source, job.wish.reading) as reader:
        found = asyncio.run(estimate(plan, job.shards, reader, model, job.storage, job.spool, docs=60, how=QUICK))

    assert any("With late chunking the model reads 1.00 tokens" in sentence for sentence in found.assumptions)


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"price_per_hour": -1.0}, "a price of -1.0"), ({"for_bytes": 0}, "0 bytes"), ({"docs": 1}, "1 documents")],
)
def test_what_makes_no_sense_is_refused(job: Job, asked: dict[str, float], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        check(job.plan, **{"price_per_hour": None, "for_bytes": None, **asked})  # type: ignore[arg-type]


def test_an_input_of_nothing_is_refused(job: Job) -> None:
    with pytest.raises(BadRequest, match="nothing to estimate"):
        check(replace(job.plan, bytes=0), price_per_hour=None, for_bytes=None)


@pytest.mark.slow
def test_a_sample_is_a_job_that_can_be_done(job: Job, tmp_path: Path) -> None:
    below = LocalStorage(tmp_path)
    plan = write_plan(below, *sample(job.plan, job.shards, 50))
    run(job, plan, below)

    assert (plan.docs, below.entry("_SUCCESS") is not None) == (50, True)
