"""A whole job after another: what is reused, what is gone, and that the table is the one that it would be anyway."""

from dataclasses import replace
from pathlib import Path

import pytest

from embedstack.errors import Mismatch
from embedstack.jobs.deletions import read_deleted
from embedstack.jobs.verifying import verify
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
