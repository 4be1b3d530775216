"""A whole job after another: what is reused, what is gone, and that the table is the one that it would be anyway."""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from embedstack.errors import ConfigError, Mismatch
from embedstack.jobs.deletions import read_deleted
from embedstack.jobs.verifying import verify
from embedstack.loading.job_table import JobTable
from embedstack.loading.source import How
from embedstack.testing.fake import HashEncoder, hash_spec
from embedstack.types import Encode, Encoded
from support.small_job import SmallJob, small_job, texts_of

pytestmark = pytest.mark.slow


class Counting(HashEncoder):
    """Counts the texts that it is asked for."""

    texts = 0

    async def encode(self, request: Encode) -> Encoded:
        self.texts += len(request.items)
        return await super().encode(request)


def done(folder: Path, texts: list[str], **wished: object) -> SmallJob:
    job = small_job(folder, texts, encoder=Counting([hash_spec()]), **wished)
    job.planned()
    assert job.run().error == ""
    return job


def changed() -> list[str]:
    """Of 12 documents one has other words, one is shorter by a chunk."""
    texts = texts_of(12)
    return [*texts[:3], "quite other words", *texts[4:7], " ".join(texts[7].split()[:30]), *texts[8:]]


@pytest.mark.parametrize("storing", ["float32", "float16"])
def test_a_job_after_another_makes_the_table_that_it_would_make_alone(tmp_path: Path, storing: str) -> None:
    before = done(tmp_path / "before", texts_of(12), storing=storing)
    after = done(tmp_path / "after", changed(), storing=storing, since=before.storage.url)
    alone = done(tmp_path / "alone", changed(), storing=storing)

    assert after.manifest().rows_digest == alone.manifest().rows_digest
    assert after.manifest().vectors_digest == alone.manifest().vectors_digest
    assert verify(after.storage, deep=True).problems == ()


def test_only_texts_that_are_new_are_encoded(tmp_path: Path) -> None:
    before = done(tmp_path / "before", texts_of(12))
    after = done(tmp_path / "after", changed(), since=before.storage.url)

    made = after.manifest()
    assert made.reused == made.rows - 2
    assert isinstance(after.encoder, Counting)
    assert after.encoder.texts < made.rows


def test_chunks_that_are_gone_are_listed_in_the_table_of_the_next_job(tmp_path: Path) -> None:
    before = done(tmp_path / "before", texts_of(12))
    after = done(tmp_path / "after", texts_of(11), since=before.storage.url)

    gone = list(read_deleted(after.storage))
    assert after.manifest().deleted == "_deleted.parquet"
    assert len(gone) == before.manifest().rows - after.manifest().rows
    assert {doc_id for doc_id, _ in gone} == {"11.txt"}


class Stopping(Counting):
    """Is broken from a text of the sixth document on."""

    is_broken = True

    async def encode(self, request: Encode) -> Encoded:
        broken = texts_of(7)[6].split()[0]
        if self.is_broken and any(item.text.startswith(broken) for item in request.items):  # type: ignore[union-attr]
            raise ConfigError("the device is gone")
        return await super().encode(request)


def stopped(folder: Path) -> SmallJob:
    """A job of which some of the first 3 of 6 shards are committed."""
    job = small_job(folder, texts_of(12), encoder=Stopping([hash_spec()]))
    job.planned()
    assert job.run(in_flight=1).exit_code
    assert 0 < len(job.commits()) < 4
    return job


def advised(job: SmallJob) -> str:
    """Where the next plan shall take its vectors from, as a run says after a file was saved as it is."""
    os.utime(job.folder / "in" / "04.txt", (1, 1))
    ended = job.run()
    assert ended.exit_code == 3
    (url,) = re.findall(r"embedstack job plan .*--since (\S+)$", ended.error)
    return str(url)


def test_the_advice_after_a_changed_input_leads_to_the_table_and_encodes_nothing_again(tmp_path: Path) -> None:
    half = stopped(tmp_path / "half")
    has = sum(one.rows for one in half.commits())
    after = done(tmp_path / "after", texts_of(12), since=advised(half))
    alone = done(tmp_path / "alone", texts_of(12))

    assert after.manifest().rows_digest == alone.manifest().rows_digest
    assert after.manifest().vectors_digest == alone.manifest().vectors_digest
    assert after.manifest().reused >= has > 0
    assert isinstance(after.encoder, Counting)
    assert isinstance(alone.encoder, Counting)
    assert alone.encoder.texts - after.encoder.texts == after.manifest().reused
    assert verify(after.storage, deep=True).problems == ()


def test_of_a_job_that_was_not_finished_nothing_is_listed_as_gone_and_nothing_deleted(tmp_path: Path) -> None:
    after = done(tmp_path / "after", texts_of(11), since=advised(stopped(tmp_path / "half")))
    table = JobTable(after.storage, How())

    assert after.planned().lends_part
    assert (after.manifest().deleted, after.storage.entry("_deleted.parquet")) == ("", None)
    assert (table.previous, list(table.gone())) == (None, [])


def test_that_stays_so_where_the_job_before_is_finished_meanwhile(tmp_path: Path) -> None:
    half = stopped(tmp_path / "half")
    after = small_job(tmp_path / "after", texts_of(11), since=half.storage.url)
    after.planned()
    assert isinstance(half.encoder, Stopping)
    half.encoder.is_broken = False
    assert [half.run().error, after.run().error] == ["", ""]

    assert (after.manifest().deleted, after.manifest().reused) == ("", after.manifest().rows)


class Foreign(HashEncoder):
    """An endpoint of others, which does not say whose vectors it makes; one may be another model than the other."""

    def __init__(self, *, is_other: bool = False) -> None:
        super().__init__([hash_spec()])
        self._step = -1 if is_other else 1

    async def encode(self, request: Encode) -> Encoded:
        made = await super().encode(request)
        assert made.dense is not None
        return replace(made, fingerprint="", dense=made.dense[:, :: self._step].copy())


def test_vectors_of_an_endpoint_are_reused_only_while_it_makes_the_same_of_the_probes(tmp_path: Path) -> None:
    before = small_job(tmp_path / "before", encoder=Foreign())
    before.planned()
    assert before.run().error == ""

    same = small_job(tmp_path / "same", encoder=Foreign(), since=before.storage.url)
    other = small_job(tmp_path / "other", encoder=Foreign(is_other=True), since=before.storage.url)

    same.planned()
    with pytest.raises(Mismatch, match="cannot be reused: probe"):
        other.planned()


def test_the_plan_of_one_endpoint_is_not_gone_on_with_by_another(tmp_path: Path) -> None:
    job = small_job(tmp_path, encoder=Foreign())
    job.planned()
    job.encoder = Foreign(is_other=True)

    assert job.run().code == Mismatch.code
    assert job.keys("_commits/") == []
