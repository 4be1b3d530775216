"""Planning a job, and planning it again."""

import asyncio
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from embedstack.chunks.chunk import Chunking
from embedstack.errors import BadRequest, ConfigError, Mismatch, Unsupported
from embedstack.jobs.layout import PLAN
from embedstack.jobs.planning import load_plan, plan
from embedstack.storage.capability import SingleWriter
from embedstack.storage.local import LocalStorage
from embedstack.storage.storage import Missing
from embedstack.testing.fake import HashEncoder, hash_spec
from support.small_job import Passing, SmallJob, small_job, write_files


def test_a_plan_says_what_there_is_to_do(tmp_path: Path) -> None:
    made = small_job(tmp_path).planned()

    assert (made.docs, made.files, made.shards) == (12, 12, 6)
    assert made.bytes == sum(path.stat().st_size for path in (tmp_path / "in").iterdir())


def test_a_plan_is_read_as_it_was_made(tmp_path: Path) -> None:
    job = small_job(tmp_path)

    assert job.planned().digest == load_plan(job.storage).digest


def test_planning_the_same_again_changes_nothing(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    first = job.planned()
    before = job.keys()

    assert job.planned() == first
    assert job.keys() == before


def test_another_wish_is_refused_with_what_differs(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    job.planned()
    job.wish = msgspec.structs.replace(job.wish, chunking=Chunking(strategy="window", tokens=20))

    with pytest.raises(Mismatch, match=r"chunking\.tokens 16 -> 20"):
        job.planned()


def test_another_model_is_refused_with_what_differs(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    job.planned()
    job.encoder = HashEncoder([hash_spec(dim=16)])

    with pytest.raises(Mismatch, match="dim 32 -> 16"):
        job.planned()


def test_another_input_is_refused_with_how_much_there_is(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    job.planned()
    (tmp_path / "in" / "99.txt").write_text("one more")

    with pytest.raises(Mismatch, match="12 documents in 12 files, now 13 in 13"):
        job.planned()


def test_an_input_without_documents_is_refused(tmp_path: Path) -> None:
    job = small_job(tmp_path, 1)
    (tmp_path / "in" / "00.txt").rename(tmp_path / "in" / "00.jsonl")
    (tmp_path / "in" / "00.jsonl").write_text("")

    with pytest.raises(ConfigError, match="no document"):
        job.planned()


def test_an_output_within_the_input_is_refused(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    job.storage = LocalStorage(tmp_path / "in" / "out")

    with pytest.raises(ConfigError, match="lies in the input"):
        job.planned()


def test_a_folder_without_a_job_is_named(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="there is no job"):
        load_plan(LocalStorage(tmp_path))


@pytest.mark.parametrize("data", [b'{"schema": 2, "wishes": []}', b'{"table": "\xff"}'])
def test_a_plan_of_another_version_is_refused(tmp_path: Path, data: bytes) -> None:
    storage = LocalStorage(tmp_path)
    storage.put(PLAN, data)

    with pytest.raises(Mismatch, match="another version"):
        load_plan(storage)


def test_a_store_that_lets_a_second_writer_create_is_refused(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    job.storage = Forgetful(job.storage)

    with pytest.raises(ConfigError, match="--single-writer"):
        job.planned()


def test_such_a_store_can_be_used_by_one_writer(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    job.storage = SingleWriter(Forgetful(job.storage))

    assert job.planned().docs == 12


def test_two_that_plan_the_same_at_once_get_one_plan(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    other = small_job(tmp_path)
    job.storage = Overtaken(job.storage, other)

    assert job.planned().digest == load_plan(other.storage).digest


@pytest.mark.parametrize(
    ("wished", "message"),
    [
        ({"shard_docs": 0}, "--shard-docs 0"),
        ({"shard_docs": 10, "checkpoint_docs": 9}, "--checkpoint-docs 9"),
        ({"late_chunking": True, "sparse": True}, "no sparse"),
        ({"late_chunking": True, "chunking": Chunking(strategy="window", tokens=16, overlap=2)}, "without --overlap"),
    ],
)
def test_a_wish_that_is_not_sound_is_refused(tmp_path: Path, wished: dict[str, object], message: str) -> None:
    job = small_job(tmp_path)
    here = asyncio.run(job.opened())
    job.wish = msgspec.structs.replace(job.wish, **wished)

    with pytest.raises(ConfigError, match=message):
        plan(job.wish, job.source, here, job.storage)


# ------------------------------------------------------------------------------------------------ the model


def test_the_identity_is_that_of_the_vectors(tmp_path: Path) -> None:
    identity = small_job(tmp_path, dim=8).planned().identity

    assert (identity.dim, identity.fingerprint) == (8, hash_spec().fingerprint("float32", 8))


def test_late_chunking_is_another_identity(tmp_path: Path) -> None:
    plain, late = small_job(tmp_path / "a"), small_job(tmp_path / "b", late_chunking=True)

    assert plain.planned().identity.fingerprint != late.planned().identity.fingerprint


def test_probes_are_kept_with_their_vectors(tmp_path: Path) -> None:
    probes = small_job(tmp_path).planned().probes

    assert [probe.name for probe in probes] == ["short", "d-yeast", "d-refund", "cyrillic", "past-128"]


def test_chunks_that_the_model_cannot_take_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    job = small_job(tmp_path, chunking=Chunking(strategy="window", tokens=300))

    with pytest.raises(BadRequest, match="the model takes 256"):
        job.planned()


def test_vectors_that_the_model_does_not_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="sparse"):
        small_job(tmp_path, sparse=True).planned()


class Forgetful(Passing):
    """A store that ignores conditions."""

    def put_new(self, key: str, data: bytes) -> bool:
        self.inner.put(key, data)
        return True


class Overtaken(Passing):
    """Somebody else plans right before this one creates its plan."""

    def __init__(self, inner: Passing | LocalStorage, other: SmallJob) -> None:
        super().__init__(inner)
        self.other = other

    def put_new(self, key: str, data: bytes) -> bool:
        if key == PLAN:
            self.other.planned()
        return super().put_new(key, data)


def test_a_file_that_changed_changes_the_plan(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    first = job.planned()
    write_files(tmp_path / "in", ["another text"])
    job.storage = LocalStorage(tmp_path / "other")

    assert job.planned().table_sha256 != first.table_sha256


def test_the_machine_is_in_the_plan(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    here = asyncio.run(job.opened())
    made = plan(job.wish, job.source, replace(here, exact=msgspec.structs.replace(here.exact, threads=9)), job.storage)

    assert made.exact.threads == 9
