"""A job from its plan to its table: alone, with others, interrupted, and with things that fail."""

import asyncio
import base64
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from embedstack.errors import BadRequest, ConfigError, RuntimeFailed, Upstream
from embedstack.jobs.events import Did, Ended, Lost, Progress, Started, Took, Trying
from embedstack.jobs.finishing import finish
from embedstack.jobs.layout import MANIFEST, PLAN, SUCCESS
from embedstack.jobs.planning import load_plan
from embedstack.jobs.rows import Rows
from embedstack.jobs.table import read_rows
from embedstack.origin import Probe
from embedstack.storage.capability import SingleWriter
from embedstack.storage.storage import Entry, Storage
from embedstack.testing.fake import HashEncoder, hash_spec
from embedstack.types import Encode, Encoded, Text
from support.small_job import EXACT, Passing, SmallJob, small_job, texts_of


def digests(job: SmallJob) -> tuple[str, str]:
    return job.manifest().rows_digest, job.manifest().vectors_digest


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """What an uninterrupted run of the usual job makes."""
    job = small_job(tmp_path_factory.mktemp("undisturbed"))
    job.planned()
    job.run()
    return digests(job)


@pytest.fixture(autouse=True)
def no_power_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for the disk is nine tenths of a small job."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


@pytest.fixture
def job(tmp_path: Path) -> SmallJob:
    made = small_job(tmp_path)
    made.planned()
    return made


class Failing(HashEncoder):
    """Fails over texts with a word in them."""

    def __init__(self, word: str, error: Callable[[], BaseException] = lambda: BadRequest("no token")) -> None:
        super().__init__([hash_spec()])
        self.word, self.error = word, error

    async def encode(self, request: Encode) -> Encoded:
        if any(self.word in item.text.split() for item in request.items):  # type: ignore[union-attr]
            raise self.error()
        return await super().encode(request)

    async def fail(self, request: Encode) -> Encoded:
        raise self.error()


class Held(HashEncoder):
    """Keeps every request of a job until it is let go."""

    def __init__(self) -> None:
        super().__init__([hash_spec()])
        self.inside, self.most = 0, 0
        self.is_open = asyncio.Event()
        self.arrived = asyncio.Event()

    async def encode(self, request: Encode) -> Encoded:
        if any("word" in item.text for item in request.items):  # type: ignore[union-attr]
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.arrived.set()
            await self.is_open.wait()
            self.inside -= 1
        return await super().encode(request)


# ------------------------------------------------------------------------------------------------ alone


def test_every_document_is_in_the_table_once(job: SmallJob) -> None:
    ended = job.run()
    rows = [_rows_of(job, part.key) for part in job.manifest().parts]

    assert (ended.done, ended.lost, ended.error) == (6, 0, "")
    assert list(dict.fromkeys(name for part in rows for name in part.doc_ids)) == [f"{n:02d}.txt" for n in range(12)]


def _rows_of(job: SmallJob, key: str) -> Rows:
    with job.storage.open(key) as file:
        return read_rows(file, key)


def test_no_two_shards_say_that_their_vectors_were_made_at_once(job: SmallJob) -> None:
    job.run()
    commits = sorted(job.commits(), key=lambda one: one.made)

    assert all(one.began_at <= one.made[0] <= one.made[1] <= one.began_at + one.took_s for one in commits)
    assert all(one.made[1] <= other.made[0] + 1e-6 for one, other in pairwise(commits))


def test_the_sums_of_every_commit_agree(tmp_path: Path) -> None:
    job = small_job(tmp_path, [*texts_of(5), "", "a poison text", "\n"], encoder=Failing("poison"))
    job.planned()
    job.run(error_budget=9)

    assert [(c.docs, c.docs_out, c.docs_dead, c.docs_failed) for c in job.commits()] == [
        (2, 2, 0, 0), (2, 2, 0, 0), (2, 1, 1, 0), (2, 0, 2, 1),
    ]  # fmt: skip
    assert all(c.chunks == c.rows + c.chunks_dead for c in job.commits())
    assert job.manifest().docs == 8


def test_a_second_run_does_nothing(job: SmallJob) -> None:
    job.run()
    before = job.keys()

    assert job.run().done == 0
    assert job.keys() == before


def test_equal_jobs_make_equal_tables(job: SmallJob, undisturbed: tuple[str, str]) -> None:
    job.run(in_flight=1)

    assert digests(job) == undisturbed


def test_a_shard_without_rows_has_no_part(tmp_path: Path) -> None:
    job = small_job(tmp_path, ["", "\n", "a text"])
    job.planned()
    job.run()

    assert [bool(commit.part) for commit in job.commits()] == [False, True]
    assert len(job.manifest().parts) == 1


@pytest.mark.parametrize(
    "wished", [{"storing": "float16"}, {"late_chunking": True}, {"sparse": True}, {"dim": 8}, {"with_text": False}]
)
def test_every_kind_of_table_is_made(tmp_path: Path, wished: dict[str, object]) -> None:
    job = small_job(tmp_path, encoder=HashEncoder([hash_spec(outputs=("dense", "sparse"))]), **wished)
    job.planned()

    assert (job.run().error, job.manifest().rows) == ("", 36)


def test_an_endpoint_makes_the_same_table(job: SmallJob, undisturbed: tuple[str, str]) -> None:
    job.run(items_per_request=2)

    assert digests(job) == undisturbed


def test_time_in_the_storage_is_measured(job: SmallJob) -> None:
    job.run()

    assert all(0 < commit.store_s < commit.took_s for commit in job.commits())


def test_progress_is_told_with_all_that_was_done(job: SmallJob) -> None:
    job.run()
    told = [event for event in job.events if isinstance(event, Progress)][-1]

    assert (told.docs, told.chunks, told.tokens) == (12, 36, 12 * 40)


def test_a_runner_says_what_was_done_before_it(job: SmallJob) -> None:
    job.run()
    job.ledger().withdraw(5)
    job.events.clear()
    job.run()
    started = next(event for event in job.events if isinstance(event, Started))

    assert (started.shards, started.done, started.docs) == (6, 5, 12)
    assert (started.docs_done, started.bytes_done) == (10, sum(commit.input_bytes for commit in job.commits()[:5]))
    assert job.did() == [5]


def test_another_machine_is_told_and_works(tmp_path: Path, job: SmallJob) -> None:
    async def ran() -> None:
        await job.runner(await job.opened(msgspec.structs.replace(EXACT, threads=9))).run()

    asyncio.run(ran())
    started = next(event for event in job.events if isinstance(event, Started))

    assert "threads 1 -> 9" in started.exact_note
    assert job.storage.entry(SUCCESS)


def test_another_model_does_not_begin(job: SmallJob) -> None:
    job.encoder = HashEncoder([hash_spec(revision="2", dim=16)])
    ended = job.run()

    assert (ended.code, ended.exit_code, job.events) == ("mismatch", 3, [])


def test_a_changed_input_does_not_begin(tmp_path: Path, job: SmallJob) -> None:
    (tmp_path / "in" / "03.txt").write_text("something else")
    ended = job.run()

    assert ended.exit_code == 3
    assert "'03.txt'" in ended.error


def test_a_new_file_is_left_out_and_counted(tmp_path: Path, job: SmallJob, undisturbed: tuple[str, str]) -> None:
    (tmp_path / "in" / "99.txt").write_text("came later")
    job.run()

    assert [event.new_files for event in job.events if isinstance(event, Started)] == [1]
    assert digests(job) == undisturbed


def test_a_file_that_had_no_document_when_it_was_planned_is_counted_once_it_has(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    (tmp_path / "in" / "rows.jsonl").write_text("")
    job.planned()
    job.run()
    (tmp_path / "in" / "rows.jsonl").write_text('{"text": "came later"}\n')
    job.run()

    assert [event.new_files for event in job.events if isinstance(event, Started)] == [0, 1]


class Nameless(HashEncoder):
    """Somebody else's endpoint: it does not say whose vectors these are."""

    def __init__(self) -> None:
        super().__init__([hash_spec()])
        self.is_other = False

    async def encode(self, request: Encode) -> Encoded:
        answer = await super().encode(request)
        assert answer.dense is not None
        return replace(answer, fingerprint="", dense=answer.dense[:, ::-1].copy() if self.is_other else answer.dense)


def test_another_space_behind_an_endpoint_does_not_begin(tmp_path: Path) -> None:
    encoder = Nameless()
    job = small_job(tmp_path, encoder=encoder)
    job.planned()
    encoder.is_other = True
    ended = job.run(items_per_request=4)

    assert ended.exit_code == 3
    assert "probe" in ended.error
    assert job.ledger().committed() == set()


def of_another_version(job: SmallJob) -> None:
    """Its plan as one made it that asks for another probe."""
    before = load_plan(job.storage)
    dense = asyncio.run(job.encoder.encode(Encode(model="hash", items=(Text("an older probe"),)))).dense
    assert dense is not None
    probe = Probe("older", "document", "an older probe", base64.b64encode(dense.astype("<f4").tobytes()).decode())
    job.storage.put(PLAN, msgspec.json.encode(msgspec.structs.replace(before, probes=(probe,))))


def test_a_plan_is_held_to_its_own_probes_whichever_this_version_would_choose(job: SmallJob) -> None:
    of_another_version(job)

    assert (job.run().error, len(job.commits())) == ("", 6)


def test_another_space_is_found_by_probes_of_another_version(tmp_path: Path) -> None:
    encoder = Nameless()
    job = small_job(tmp_path, encoder=encoder)
    job.planned()
    of_another_version(job)
    encoder.is_other = True

    assert "probe 'older' has cosine" in job.run(items_per_request=4).error


# ------------------------------------------------------------------------------------------------ bounds


def test_no_more_shards_are_in_memory_than_hands(job: SmallJob) -> None:
    encoder = Held()
    job.encoder = encoder

    async def ran() -> tuple[int, int]:
        running = asyncio.ensure_future(job.runner(await job.opened(), in_flight=1).run())
        while len([event for event in job.events if isinstance(event, Took)]) < 3:
            await asyncio.sleep(0.001)
        for _ in range(20):
            await asyncio.sleep(0.001)
        taken = len([event for event in job.events if isinstance(event, Took)])
        encoder.is_open.set()
        await running
        return taken, encoder.most

    assert asyncio.run(ran()) == (3, 1)


def test_two_shards_are_in_the_engine_at_once(job: SmallJob) -> None:
    encoder = Held()
    job.encoder = encoder

    async def ran() -> int:
        running = asyncio.ensure_future(job.runner(await job.opened(), in_flight=2).run())
        while encoder.inside < 2:
            await asyncio.sleep(0.001)
        encoder.is_open.set()
        await running
        return encoder.most

    assert asyncio.run(ran()) == 2


def test_a_small_spool_lets_one_shard_through_at_a_time(job: SmallJob, undisturbed: tuple[str, str]) -> None:
    watching = MostFiles(job.storage, job.folder / "spool")
    job.storage = watching
    job.run(spool_bytes=1)

    assert watching.most == 1
    assert digests(job) == undisturbed


class MostFiles(Passing):
    """How many parts lay in the spool when one was taken from there."""

    def __init__(self, inner: Storage, spool: Path) -> None:
        super().__init__(inner)
        self.spool, self.most = spool, 0

    def put_file(self, key: str, path: Path) -> None:
        if key.startswith("data/"):
            self.most = max(self.most, len(list(path.parent.glob("part-*"))))
        super().put_file(key, path)


def test_nothing_is_left_in_the_spool(job: SmallJob) -> None:
    job.run()

    assert list((job.folder / "spool").iterdir()) == []


# ------------------------------------------------------------------------------------------------ interrupted


class Breaking(Passing):
    """Fails at one call, by name and count from 1; before or after it is done."""

    def __init__(self, inner: Storage, call: str, at: int, error: Callable[[], Exception], *, after: bool) -> None:
        super().__init__(inner)
        self.call, self.left, self.error, self.after = call, at, error, after
        self.lock = threading.Lock()

    def _is_now(self, call: str) -> bool:
        with self.lock:
            self.left -= call == self.call
            return call == self.call and self.left == 0

    def _around(self, call: str, work: Callable[[], bool | None]) -> bool:
        is_now = self._is_now(call)
        if is_now and not self.after:
            raise self.error()
        found = work()
        if is_now:
            raise self.error()
        return bool(found)

    def put_new(self, key: str, data: bytes) -> bool:
        if not key.startswith(("_commits/", "_checkpoints/")):
            return super().put_new(key, data)
        return self._around("put_new", lambda: Passing.put_new(self, key, data))

    def put_file(self, key: str, path: Path) -> None:
        self._around("put_file", lambda: Passing.put_file(self, key, path))


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", [1, 4, 6])
@pytest.mark.parametrize("call", ["put_new", "put_file"])
def test_a_run_that_breaks_off_is_resumed_to_the_same_table(
    job: SmallJob, undisturbed: tuple[str, str], call: str, at: int, after: bool
) -> None:
    whole = job.storage
    job.storage = Breaking(whole, call, at, lambda: ConfigError("the disk is full"), after=after)
    first = job.run()
    job.storage = whole
    second = job.run()

    assert (second.error, digests(job)) == ("", undisturbed)
    assert first.error in ("", "the disk is full")  # a checkpoint that fails is made later
    assert second.done <= 6 - first.done  # what is committed is not done again


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", ["put_new", "put_file"])
def test_what_passes_is_tried_again(job: SmallJob, undisturbed: tuple[str, str], call: str, after: bool) -> None:
    job.storage = Breaking(job.storage, call, 2, lambda: Upstream("the bucket is away", retry=True), after=after)

    assert (job.run().done, digests(job)) == (6, undisturbed)


def test_an_error_in_the_engine_ends_the_run_with_its_words(job: SmallJob) -> None:
    job.encoder = Failing("word0", lambda: ConfigError("the device is gone"))
    ended = job.run()

    assert (ended.error, ended.code, ended.exit_code) == ("the device is gone", "config", 2)


def test_an_error_of_ours_is_not_swallowed(job: SmallJob) -> None:
    job.encoder = Failing("word0", lambda: ZeroDivisionError("a bug"))

    with pytest.raises(ZeroDivisionError, match="a bug"):
        job.run()


def test_a_full_disk_ends_the_run_with_what_to_do(job: SmallJob, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("embedstack.jobs.storing.write_part", full)

    assert "make room" in job.run().error


def test_a_run_that_is_cancelled_ends_and_is_resumed(job: SmallJob, undisturbed: tuple[str, str]) -> None:
    encoder = Held()
    job.encoder = encoder

    async def cancelled() -> None:
        running = asyncio.ensure_future(job.runner(await job.opened()).run())
        await encoder.arrived.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancelled())
    left = list((job.folder / "spool").iterdir())
    threads = [thread.name for thread in threading.enumerate() if thread.name.startswith("embedstack-job")]
    job.encoder = HashEncoder([hash_spec()])
    job.run()

    assert (left, threads) == ([], [])
    assert digests(job) == undisturbed


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_part_that_is_cut_or_missing_is_made_again(job: SmallJob, undisturbed: tuple[str, str], when: str) -> None:
    job.run()
    commits = job.commits()
    job.storage.delete(commits[2].part)
    job.storage.put(commits[4].part, b"PAR1")
    job.events.clear()
    if when == "after":  # as in a bucket, where nobody looks before the end
        job.storage.delete(SUCCESS)
        job.storage = Elsewhere(job.storage)
    job.run()

    assert sorted(job.did()) == [2, 4]
    assert digests(job) == undisturbed


class Elsewhere(Passing):
    """A storage that is far away, and counts what is asked of it."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.url = "s3://bucket/out"
        self.gets: list[str] = []
        self.lists: list[str] = []

    def get(self, key: str) -> bytes:
        self.gets.append(key)
        return super().get(key)

    def list(self, prefix: str = "", after: str = "") -> Iterator[Entry]:
        self.lists.append(prefix)
        return super().list(prefix, after)


def test_a_resume_far_away_reads_no_record_of_a_shard_but_one(job: SmallJob) -> None:
    job.run()
    far = Elsewhere(job.storage)
    job.storage = far
    job.run()

    assert far.lists == ["_commits/"]
    assert [key for key in far.gets if key.startswith("_commits")] == ["_commits/000000.json"]


# ------------------------------------------------------------------------------------------------ with others


def test_two_runners_at_once_make_one_table(job: SmallJob, undisturbed: tuple[str, str]) -> None:
    async def ran() -> list[int]:
        here = await job.opened()
        ends = await asyncio.gather(job.runner(here).run(), job.runner(here).run())
        assert [end.error for end in ends] == ["", ""]
        return [sum(end.done for end in ends)]

    assert asyncio.run(ran()) == [6]
    assert digests(job) == undisturbed
    assert len(job.keys("data/")) == 6


class Overtaken(Passing):
    """Somebody else does one shard right before it is committed here."""

    def __init__(self, job: SmallJob, shard: int) -> None:
        super().__init__(job.storage)
        self.key, self.other = f"_commits/{shard:06d}.json", replace(job, storage=job.storage, events=[])

    def put_new(self, key: str, data: bytes) -> bool:
        if key == self.key:
            self.key = ""
            threading.Thread(target=self.other.run).start()
            while super().entry(key) is None:
                pass
        return super().put_new(key, data)


def test_who_comes_second_deletes_its_files_and_says_so(job: SmallJob, undisturbed: tuple[str, str]) -> None:
    job.storage = Overtaken(job, 1)
    ended = job.run()
    lost = [event.shard for event in job.events if isinstance(event, Lost)]

    assert (ended.error, 1 in lost) == ("", True)
    assert ended.error == ""
    assert digests(job) == undisturbed
    assert len(job.keys("data/")) == 6


def test_parts_of_a_job_are_done_by_several_and_finished_by_one(job: SmallJob, undisturbed: tuple[str, str]) -> None:
    first = job.run(part=(0, 2))
    is_whole = job.storage.entry(SUCCESS) is not None
    plan = load_plan(job.storage)
    made = finish(job.storage, plan, folder=job.folder)

    assert first.done == 6  # nobody else was there, so it took all
    assert not is_whole
    assert made is not None
    assert digests(job) == undisturbed


def test_a_job_that_is_not_done_cannot_be_finished(job: SmallJob) -> None:
    assert finish(job.storage, load_plan(job.storage), folder=job.folder) is None


def test_a_table_without_its_manifest_is_finished_again(job: SmallJob, undisturbed: tuple[str, str]) -> None:
    job.run()
    job.storage.delete(MANIFEST)
    job.run()

    assert digests(job) == undisturbed


def test_one_writer_at_a_time_holds_a_lease(job: SmallJob) -> None:
    job.storage = SingleWriter(job.storage)
    job.storage.put("_lease.json", b"somebody else")
    second = job.run()
    job.storage.delete("_lease.json")

    assert "another runner" in second.error
    assert (job.run().done, job.storage.entry("_lease.json")) == (6, None)


# ------------------------------------------------------------------------------------------------ documents that fail


def test_too_many_failures_end_the_run_and_what_is_done_stays(tmp_path: Path) -> None:
    job = small_job(tmp_path, [*texts_of(4), *["a poison text"] * 4], encoder=Failing("poison"))
    job.planned()
    ended = job.run(error_budget=1, in_flight=1)

    assert (ended.code, ended.exit_code) == ("too_many_dead", 7)
    assert job.storage.entry(SUCCESS) is None
    assert len(job.ledger().committed()) >= 2


@pytest.mark.parametrize("is_far", [False, True])
def test_failures_of_earlier_runs_count_from_the_start(tmp_path: Path, is_far: bool) -> None:
    job = small_job(tmp_path, ["a poison text"] * 12, encoder=Failing("poison"))
    job.planned()
    job.run(error_budget=12)
    job.ledger().withdraw(5)
    job.storage = Elsewhere(job.storage) if is_far else job.storage
    again = job.run(error_budget=3)

    assert (again.exit_code, again.done) == (7, 0)


def test_a_table_that_is_done_is_still_held_against_a_lower_budget(tmp_path: Path) -> None:
    job = small_job(tmp_path, [*texts_of(4), *["a poison text"] * 2], encoder=Failing("poison"))
    job.planned()

    assert (job.run(error_budget=2).exit_code, job.run(error_budget=1).exit_code) == (0, 7)


def test_with_a_larger_budget_such_a_job_goes_on(tmp_path: Path) -> None:
    job = small_job(tmp_path, [*texts_of(4), *["a poison text"] * 4], encoder=Failing("poison"))
    job.planned()
    job.run(error_budget=1)

    assert job.run(error_budget=0.5).error == ""
    assert job.storage.entry(SUCCESS)


def test_failures_of_earlier_runs_count_at_the_end(tmp_path: Path) -> None:
    job = small_job(tmp_path, [*texts_of(6), *["a poison text"] * 2], encoder=Failing("poison"))
    job.planned()
    job.run(error_budget=9)
    job.storage.delete(SUCCESS)

    assert job.run(error_budget=1).code == "too_many_dead"


def test_empty_documents_do_not_count_as_failures(tmp_path: Path) -> None:
    job = small_job(tmp_path, ["", "", "a text"])
    job.planned()

    assert job.run(error_budget=0).error == ""


def test_a_device_that_fails_over_everything_ends_the_run_and_buries_nothing(job: SmallJob) -> None:
    encoder = Failing("nothing", lambda: RuntimeFailed("the device is broken"))
    job.encoder = encoder

    async def ran() -> Ended:
        here = await job.opened()
        encoder.encode = encoder.fail  # type: ignore[method-assign]
        return await job.runner(here).run()

    assert asyncio.run(ran()).exit_code == 6
    assert job.ledger().committed() == set()


# ------------------------------------------------------------------------------------------------ with care


def test_a_shard_that_kills_is_worked_on_document_by_document(job: SmallJob, undisturbed: tuple[str, str]) -> None:
    job.run(careful={2: frozenset()})
    tried = [(event.place, event.doc_id) for event in job.events if isinstance(event, Trying)]

    assert tried == [(0, ""), (0, "04.txt"), (1, ""), (1, "05.txt"), (-1, "")]
    assert digests(job) == undisturbed


def test_a_shard_that_kills_is_worked_on_alone(job: SmallJob) -> None:
    job.run(careful={2: frozenset()})
    first = [event for event in job.events if isinstance(event, Took | Did)][:2]

    assert isinstance(first[0], Took)
    assert first[0].shard == 2
    assert isinstance(first[1], Did)


def test_a_shard_that_kills_is_worked_on_alone_whosever_part_it_is_of(job: SmallJob) -> None:
    last = load_plan(job.storage).shards - 1
    job.run(careful={last: frozenset()}, part=(0, 2))
    first = [event for event in job.events if isinstance(event, Took | Did)][:2]

    assert isinstance(first[0], Took)
    assert first[0].shard == last
    assert isinstance(first[1], Did)


def test_a_document_that_kills_is_left_out(job: SmallJob) -> None:
    job.run(careful={2: frozenset({1})}, error_budget=1)
    (commit,) = [commit for commit in job.commits() if commit.docs_dead]

    assert (commit.shard, commit.reasons) == (2, {"crashed": 1})
    assert b"05.txt" in job.storage.get(commit.dead)


# ------------------------------------------------------------------------------------------------ after another job


def test_vectors_of_unchanged_texts_are_taken_over(tmp_path: Path) -> None:
    before = small_job(tmp_path / "a")
    before.planned()
    before.run()
    texts = texts_of(12)
    texts[3] = "a text that is new"
    after = small_job(tmp_path / "b", texts, since=str(tmp_path / "a" / "out"))
    after.planned()
    ended = after.run()
    plain = small_job(tmp_path / "c", texts)
    plain.planned()
    plain.run()

    assert ended.error == ""
    assert (after.manifest().reused, after.manifest().tokens) == (33, 5)
    assert digests(after) == digests(plain)
    assert after.manifest().deleted == "_deleted.parquet"
    assert list((tmp_path / "b" / "spool").iterdir()) == []  # the index of the job before is not needed any more


def test_the_machine_is_told_in_every_commit(job: SmallJob) -> None:
    job.run()

    assert len({commit.exact for commit in job.commits()}) == 1
