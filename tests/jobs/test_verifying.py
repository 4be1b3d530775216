"""What a job says of itself beside its files: every lie is found, and what can be done again is withdrawn."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from embedstack.errors import ConfigError
from embedstack.jobs import layout, table
from embedstack.jobs.commit import Checkpoint, Commit, Manifest
from embedstack.jobs.deletions import DELETED, write_deleted
from embedstack.jobs.digests import of_file
from embedstack.jobs.ledger import Ledger
from embedstack.jobs.planning import load_plan
from embedstack.jobs.rereading import bad_lengths
from embedstack.jobs.rows import Rows
from embedstack.jobs.table import read_rows, write_part
from embedstack.jobs.verifying import Verified, verify
from embedstack.storage.local import LocalStorage
from embedstack.storage.storage import Missing
from support.small_job import Passing, SmallJob, small_job
from support.tables import IDENTITY, WISH, commit, finish, job, planned

SHARDS = [
    {"a.md": ["a red bird", "two birds"], "empty.md": []},
    {"b.md": ["three birds"], "bad.md": []},
    {"bad2.md": []},
]
PART = layout.part_key(1, "0000aaaa")
DEAD = layout.dead_key(1, "0000aaaa")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return job(tmp_path_factory.mktemp("made") / "job", SHARDS).root


@pytest.fixture
def storage(made: Path, tmp_path: Path) -> LocalStorage:
    shutil.copytree(made, tmp_path / "job")
    return LocalStorage(tmp_path / "job")


def codes(found: Verified) -> set[tuple[str, int | None]]:
    return {(problem.code, problem.shard) for problem in found.problems}


def state(storage: LocalStorage, number: int, change: Callable[[Commit], Commit]) -> None:
    """Put another commit into the place of one, in a job without checkpoints and manifest."""
    before = Ledger(storage, load_plan(storage)).commit_of(number)
    assert before is not None
    storage.put(layout.commit_key(number), msgspec.json.encode(change(before)))
    for key in (layout.SUCCESS, layout.MANIFEST, *(entry.key for entry in storage.list(layout.CHECKPOINTS))):
        storage.delete(key)


def write_other(storage: LocalStorage, change: Callable[[Rows], None]) -> None:
    """Another part in the place of one, and a commit that says nothing else of it than its bytes."""
    plan, path = load_plan(storage), storage.root / "unfinished"
    rows = read_rows(storage.root / PART, PART)
    rows = dataclasses.replace(rows, vectors=rows.vectors.copy())
    change(rows)
    made = write_part(path, rows, plan, 1)
    storage.put_file(PART, path)
    state(storage, 1, lambda before: replace(before, part_bytes=made.bytes, part_sha256=made.sha256))


# ------------------------------------------------------------------------------------------------ sound jobs


def test_a_sound_job_has_no_problem(storage: LocalStorage) -> None:
    found = verify(storage, deep=True)

    assert (found.problems, found.withdrawn) == ((), ())
    assert (found.shards, found.committed, found.is_finished) == (3, 3, True)
    assert (found.docs, found.rows) == (5, 3)
    assert found.bytes == sum(path.stat().st_size for path in (storage.root / "data").iterdir())


@pytest.mark.parametrize("name", ["float16", "sparse", "without_text", "zstd"])
def test_a_sound_job_of_any_kind_has_no_problem(tmp_path: Path, name: str) -> None:
    wishes = {
        "float16": replace(WISH, storing="float16"),
        "sparse": replace(WISH, sparse=True),
        "without_text": replace(WISH, with_text=False),
        "zstd": replace(WISH, compression="zstd"),
    }

    assert verify(job(tmp_path / "job", SHARDS, wishes[name]), deep=True).problems == ()


def test_what_is_not_done_yet_is_no_problem(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "job")
    plan = planned(storage, SHARDS)
    commit(storage, Ledger(storage, plan), plan, 1, SHARDS[1])

    found = verify(storage, deep=True)

    assert (found.problems, found.committed, found.is_finished) == ((), 1, False)


def test_neighbours_with_one_name_are_two_documents(tmp_path: Path) -> None:
    storage = job(tmp_path / "job", [{"a.md": ["one"]}, {"b.md": ["two", "three"], "c.md": ["four"]}])

    def rename(rows: Rows) -> None:
        assert isinstance(rows.doc_ids, list)
        rows.doc_ids[2] = "b.md"

    write_other(storage, rename)

    assert codes(verify(storage, deep=True)) == {("other_rows", 1)}


@pytest.mark.parametrize(("bit", "expected"), [(0, set()), (1, {("other_bytes", 1)})])
def test_parts_that_are_far_away_are_read_too(
    storage: LocalStorage, tmp_path: Path, bit: int, expected: set[tuple[str, int | None]]
) -> None:
    data = bytearray(storage.get(PART))
    data[60] ^= bit
    storage.put(PART, bytes(data))
    far = Passing(storage)
    far.url = "s3://bucket/job"

    assert codes(verify(far, deep=True, folder=tmp_path / "spool")) == expected
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_part_of_several_batches_is_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "ROW_GROUP", 20)
    monkeypatch.setattr(table, "BATCH", 7)
    texts = [f"text {number}" for number in range(50)]
    wish = replace(WISH, sparse=True)

    assert verify(job(tmp_path / "job", [{"a.md": texts[:33], "b.md": texts[33:]}], wish), deep=True).problems == ()


def test_it_says_how_far_it_is(storage: LocalStorage) -> None:
    said: list[tuple[int, int]] = []

    verify(storage, say=lambda done, of: said.append((done, of)))

    assert said == [(1, 3), (2, 3), (3, 3)]


def test_nothing_is_left_of_it(storage: LocalStorage, tmp_path: Path) -> None:
    before = sorted(storage.root.rglob("*"))

    verify(storage, deep=True, folder=tmp_path / "spool")

    assert sorted(storage.root.rglob("*")) == before
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_place_without_a_job_is_named(tmp_path: Path) -> None:
    with pytest.raises(Missing):
        verify(LocalStorage(tmp_path / "job"))


def test_a_folder_that_cannot_be_written_is_named(storage: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(b"a file")

    with pytest.raises(ConfigError, match="spool' cannot be written"):
        verify(storage, folder=tmp_path / "spool")


# ------------------------------------------------------------------------------------------------ commits that lie


@pytest.mark.parametrize(
    "lie",
    [
        {"docs": 3},
        {"docs_out": 0},
        {"rows": 2},
        {"chunks": 2},
        {"chunks_dead": 1},
        {"docs_failed": 2},
        {"reused": 2},
        {"reasons": {"bad_json": 2}},
        {"lengths": {"<=16": 2}},
        {"input_bytes": 1},
    ],
)
def test_numbers_that_do_not_add_up_are_found(storage: LocalStorage, lie: dict[str, int]) -> None:
    state(storage, 1, lambda before: replace(before, **lie))

    assert ("numbers", 1) in codes(verify(storage))


def test_rows_without_a_part_are_found(storage: LocalStorage) -> None:
    state(storage, 1, lambda before: replace(before, part=""))

    assert ("numbers", 1) in codes(verify(storage))


@pytest.mark.parametrize("key", [PART, DEAD])
def test_a_missing_file_is_found(storage: LocalStorage, key: str) -> None:
    storage.delete(key)

    assert codes(verify(storage, deep=True)) == {("torn", 1)}


@pytest.mark.parametrize("key", [PART, DEAD])
def test_a_torn_file_is_found(storage: LocalStorage, key: str) -> None:
    storage.put(key, storage.get(key)[:-1])

    assert codes(verify(storage)) == {("torn", 1)}


@pytest.mark.parametrize("data", [b"{", b"{}", b"", b"\xff", b'{"plan": "\xff"}'])
def test_a_commit_that_cannot_be_read_is_found_and_the_others_are_looked_at(storage: LocalStorage, data: bytes) -> None:
    storage.put(layout.commit_key(1), data)
    storage.delete(layout.part_key(0, "0000aaaa"))

    assert codes(verify(storage)) >= {("bad_commit", 1), ("torn", 0)}


@pytest.mark.parametrize(
    ("lie", "code"),
    [
        ({"tokens": 9}, "other_count"),
        ({"first_id": "c.md"}, "other_rows"),
        ({"last_id": "c.md"}, "other_rows"),
        ({"lengths": {"<=32": 1}}, "other_rows"),
    ],
)
def test_numbers_that_only_the_part_gives_away_are_found(
    storage: LocalStorage, lie: dict[str, int | str], code: str
) -> None:
    state(storage, 1, lambda before: replace(before, **lie))

    assert (code, 1) in codes(verify(storage, deep=True))


def test_tokens_of_rows_that_were_reused_are_not_counted(tmp_path: Path) -> None:
    storage = job(tmp_path / "job", SHARDS, is_finished=False)
    state(storage, 1, lambda before: replace(before, reused=1, tokens=0))

    assert verify(storage, deep=True).problems == ()


def test_a_commit_under_the_number_of_another_shard_is_found(storage: LocalStorage) -> None:
    storage.put(layout.commit_key(0), storage.get(layout.commit_key(1)))

    assert ("bad_commit", 0) in codes(verify(storage))


def test_a_commit_of_a_shard_that_the_plan_has_not_is_found(storage: LocalStorage) -> None:
    storage.put(layout.commit_key(7), storage.get(layout.commit_key(1)))

    assert codes(verify(storage)) == {("stray", 7)}


def test_a_plan_that_was_edited_is_one_problem_and_nothing_is_withdrawn(storage: LocalStorage) -> None:
    plan = load_plan(storage)
    storage.put(layout.PLAN, msgspec.json.encode(replace(plan, tokens=5)))
    before = sorted(entry.key for entry in storage.list())

    found = verify(storage, deep=True, repair=True)

    assert codes(found) == {("other_plan", None)}
    assert f"these shards were made by, {plan.digest[:12]}" in found.problems[0].message
    assert (found.withdrawn, sorted(entry.key for entry in storage.list())) == ((), before)
    assert found.left == list(found.problems)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_commit_of_another_plan_is_found(storage: LocalStorage, number: int) -> None:
    state(storage, number, lambda before: replace(before, plan="0" * 64))

    assert codes(verify(storage)) == {("bad_commit", number)}


def test_many_commits_of_one_other_plan_say_that_it_is_the_plan_that_is_another(tmp_path: Path) -> None:
    storage = job(tmp_path / "job", [{f"{number}.md": ["one"]} for number in range(6)])
    for number in range(1, 5):
        state(storage, number, lambda before: replace(before, plan="0" * 64))

    found = verify(storage)

    assert (codes(found), found.problems[0].is_mendable) == ({("other_plan", None)}, False)


def test_a_manifest_that_says_something_else_than_the_commits_is_found(storage: LocalStorage) -> None:
    manifest = finish(storage, load_plan(storage))
    storage.put(layout.MANIFEST, msgspec.json.encode(replace(manifest, rows=4, tokens=0)))

    found = verify(storage)

    assert codes(found) == {("bad_manifest", None)}
    assert "rows, tokens" in found.problems[0].message


def test_a_manifest_of_a_job_that_is_not_done_is_found(storage: LocalStorage) -> None:
    storage.delete(layout.commit_key(2))

    assert codes(verify(storage)) == {("unfinished", None)}


@pytest.mark.parametrize("key", [layout.MANIFEST, layout.SUCCESS])
def test_the_end_of_a_job_that_is_said_by_halves_is_found(storage: LocalStorage, key: str) -> None:
    storage.delete(key)

    assert codes(verify(storage)) == {("unfinished", None)}


@pytest.mark.parametrize("data", [b"{", b'{"plan": "\xff"}'])
def test_a_manifest_that_cannot_be_read_is_found(storage: LocalStorage, data: bytes) -> None:
    storage.put(layout.MANIFEST, data)

    assert codes(verify(storage)) == {("bad_manifest", None)}


# ------------------------------------------------------------------------------------------------ parts that lie


def test_a_byte_that_changed_is_found_only_by_reading(storage: LocalStorage) -> None:
    data = bytearray(storage.get(PART))
    data[60] ^= 1
    storage.put(PART, bytes(data))

    assert codes(verify(storage)) == set()
    assert codes(verify(storage, deep=True)) == {("other_bytes", 1)}


def test_another_vector_is_found(storage: LocalStorage) -> None:
    write_other(storage, lambda rows: rows.vectors[0].sort())

    assert codes(verify(storage, deep=True)) == {("other_vectors", 1)}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3.0])
def test_a_bad_vector_is_found_though_the_digest_says_it_was_so(storage: LocalStorage, value: float) -> None:
    def spoil(rows: Rows) -> None:
        rows.vectors[0, 0] = value
        state(storage, 1, lambda before: replace(before, vectors_digest=rows.vectors_digest("float32")))

    write_other(storage, spoil)

    assert ("bad_vector", 1) in codes(verify(storage, deep=True))


def test_a_length_is_judged_only_where_the_model_gives_unit_vectors(storage: LocalStorage) -> None:
    rows = read_rows(storage.root / PART, PART)

    assert [len(bad) for bad in bad_lengths(rows.vectors * 2, is_unit=False)] == [0, 0]
    assert [len(bad) for bad in bad_lengths(rows.vectors * 2, is_unit=True)] == [0, 1]


@pytest.mark.parametrize("column", ["doc_ids", "metadata"])
def test_another_word_is_found(storage: LocalStorage, column: str) -> None:
    def change(rows: Rows) -> None:
        getattr(rows, column)[0] += " "

    write_other(storage, change)

    assert codes(verify(storage, deep=True)) == {("other_rows", 1)}


def test_another_text_is_found(storage: LocalStorage) -> None:
    def change(rows: Rows) -> None:
        assert isinstance(rows.texts, list)
        rows.texts[0] = "four birds"

    write_other(storage, change)

    assert codes(verify(storage, deep=True)) == {("other_texts", 1)}


def test_a_part_of_another_job_is_found(storage: LocalStorage, tmp_path: Path) -> None:
    other = job(tmp_path / "other", SHARDS, identity=replace(IDENTITY, revision="2"))
    data = other.get(PART)
    storage.put(PART, data)
    state(storage, 1, lambda before: replace(before, part_bytes=len(data), part_sha256=of_file(storage.root / PART)))

    assert codes(verify(storage, deep=True)) == {("other_footer", 1)}


def test_a_part_of_other_columns_is_found(storage: LocalStorage, tmp_path: Path) -> None:
    data = job(tmp_path / "other", SHARDS, replace(WISH, storing="float16")).get(PART)
    storage.put(PART, data)
    state(storage, 1, lambda before: replace(before, part_bytes=len(data), part_sha256=of_file(storage.root / PART)))

    assert codes(verify(storage, deep=True)) == {("other_columns", 1)}


def test_fewer_rows_than_committed_are_found(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "ROW_GROUP", 1)
    state(storage, 1, lambda before: replace(before, rows=2, chunks=2))

    assert ("other_count", 1) in codes(verify(storage, deep=True))


def test_dead_letters_of_other_reasons_are_found(storage: LocalStorage) -> None:
    data = storage.get(DEAD).replace(b"bad_json", b"bad_utf8")
    storage.put(DEAD, data)
    state(storage, 1, lambda before: replace(before, dead_sha256=of_file(storage.root / DEAD)))

    assert ("other_count", 1) in codes(verify(storage, deep=True))


def test_dead_letters_of_other_documents_are_found(storage: LocalStorage) -> None:
    storage.put(DEAD, storage.get(DEAD).replace(b"bad.md", b"dab.md"))

    assert codes(verify(storage, deep=True)) == {("other_bytes", 1)}


@pytest.mark.parametrize("byte", [b"x", b"\xff"])
def test_dead_letters_that_cannot_be_read_are_found(storage: LocalStorage, byte: bytes) -> None:
    storage.put(DEAD, storage.get(DEAD).replace(b"d", byte))

    assert codes(verify(storage, deep=True)) == {("unreadable", 1)}


def test_ids_that_come_twice_in_a_job_are_found_with_their_shards(tmp_path: Path) -> None:
    storage = job(tmp_path / "job", [{"a.md": ["one"]}, {"b.md": ["two"]}, {"a.md": ["three"]}])

    found = verify(storage, deep=True)

    assert codes(found) == {("chunk_id_twice", None)}
    assert "1 chunk ids come twice, the first in shards 0 and 2" in found.problems[0].message


# ------------------------------------------------------------------------------------------------ the list of deletions


@pytest.fixture
def second(storage: LocalStorage, tmp_path: Path) -> LocalStorage:
    """A job after the other, with a list of what is gone."""
    made = job(tmp_path / "second", SHARDS[1:], replace(WISH, since=storage.url))
    manifest = finish(made, load_plan(made), DELETED)
    wrote = write_deleted(storage, made, manifest, tmp_path / "spool")
    made.put(layout.MANIFEST, msgspec.json.encode(replace(manifest, deleted_sha256=wrote.sha256)))
    return made


def test_a_sound_list_of_deletions_is_no_problem(second: LocalStorage) -> None:
    assert verify(second, deep=True).problems == ()


def test_a_list_of_deletions_that_was_edited_is_found_by_reading(second: LocalStorage) -> None:
    second.put(DELETED, second.get(DELETED)[::-1])

    assert codes(verify(second)) == set()
    assert codes(verify(second, deep=True)) == {("bad_deleted", None)}


def test_a_list_of_deletions_that_is_missing_is_found(second: LocalStorage) -> None:
    second.delete(DELETED)

    assert codes(verify(second)) == {("bad_deleted", None)}


@pytest.mark.parametrize(("which", "deleted"), [("second", ""), ("storage", DELETED), ("second", "plan.json")])
def test_a_list_of_deletions_is_named_exactly_where_there_was_a_job_before(
    request: pytest.FixtureRequest, which: str, deleted: str
) -> None:
    storage: LocalStorage = request.getfixturevalue(which)
    manifest = msgspec.json.decode(storage.get(layout.MANIFEST), type=Manifest)
    storage.put(layout.MANIFEST, msgspec.json.encode(replace(manifest, deleted=deleted)))

    assert codes(verify(storage)) == {("bad_deleted", None)}


# ------------------------------------------------------------------------------------------------ mending


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> SmallJob:
    """Three shards of two documents; of the second one has a part and a dead letter."""
    made = small_job(tmp_path_factory.mktemp("done"), ["a red bird", "", "two birds", "", "three birds", "four"])
    (made.folder / "in" / "03.txt").write_bytes(b"bad \xff")
    made.planned()
    assert made.run(error_budget=0.5).error == ""
    return made


@pytest.fixture
def again(done: SmallJob, tmp_path: Path) -> SmallJob:
    """The same job, for one test."""
    shutil.copytree(done.folder / "out", tmp_path / "out")
    return SmallJob(tmp_path, done.wish, LocalStorage(tmp_path / "out"))


def healed(found: SmallJob) -> Verified:
    """What the next run makes of it."""
    assert found.run(error_budget=0.5).error == ""
    assert [found.storage.entry(key) is not None for key in (layout.MANIFEST, layout.SUCCESS)] == [True, True]
    return verify(found.storage, deep=True)


def record(found: SmallJob, number: int = 1) -> Commit:
    commit = found.ledger().commit_of(number)
    assert commit is not None
    return commit


def damage(found: SmallJob, how: str) -> None:
    storage, commit = found.storage, record(found)
    assert isinstance(storage, LocalStorage)
    match how:
        case "torn part":
            storage.put(commit.part, b"short")
        case "unreadable commit":
            storage.put(layout.commit_key(1), b"{")
        case "commit of another plan":
            state(storage, 1, lambda before: replace(before, plan="0" * 64))
        case "commit of another shard":
            storage.put(layout.commit_key(1), storage.get(layout.commit_key(2)))
        case "numbers":
            state(storage, 1, lambda before: replace(before, docs=9))
        case "dead letters":
            storage.put(commit.dead, b"x" * commit.dead_bytes)


@pytest.mark.parametrize(
    "how",
    [
        "torn part",
        "unreadable commit",
        "commit of another plan",
        "commit of another shard",
        "numbers",
        "dead letters",
    ],
)
def test_a_shard_that_is_withdrawn_is_done_again_by_the_next_run(again: SmallJob, how: str) -> None:
    damage(again, how)

    found = verify(again.storage, deep=True, repair=True)

    assert (found.withdrawn, found.left) == ((1,), [])
    assert again.storage.entry(layout.MANIFEST) is None
    assert healed(again).problems == ()


class Killed(Exception):
    """Instead of a call to the storage."""


class Dies(LocalStorage):
    """After so many deletions."""

    left = 0

    def delete(self, key: str) -> None:
        if not self.left:
            raise Killed
        self.left -= 1
        super().delete(key)


@pytest.mark.parametrize("deletions", range(7))
def test_whoever_is_killed_while_a_shard_is_withdrawn_leaves_what_the_next_run_heals(
    again: SmallJob, deletions: int
) -> None:
    damage(again, "torn part")
    dying = Dies(again.folder / "out")
    dying.left = deletions

    with pytest.raises(Killed):
        verify(dying, repair=True)

    assert healed(again).problems == ()


def test_a_shard_that_was_done_again_meanwhile_is_not_said_to_be_withdrawn(again: SmallJob) -> None:
    damage(again, "torn part")
    other = msgspec.json.encode(replace(record(again), attempt="0000bbbb"))

    def meanwhile(done: int, of: int) -> None:
        if done == of:
            again.storage.put(layout.commit_key(1), other)

    found = verify(again.storage, repair=True, say=meanwhile)

    assert (found.withdrawn, [problem.code for problem in found.left]) == ((), ["torn"])


@pytest.mark.parametrize("key", [layout.MANIFEST, layout.SUCCESS])
def test_the_end_of_a_job_that_is_said_by_halves_is_said_again(again: SmallJob, key: str) -> None:
    again.storage.delete(key)

    assert verify(again.storage, repair=True).left == []
    assert healed(again).problems == ()


def test_a_commit_of_a_shard_that_the_plan_has_not_is_taken_away(again: SmallJob) -> None:
    again.storage.put(layout.commit_key(7), again.storage.get(layout.commit_key(1)))

    assert verify(again.storage, repair=True).withdrawn == (7,)
    assert again.storage.entry(layout.commit_key(7)) is None
    assert healed(again).problems == ()


def test_without_repair_nothing_is_changed(storage: LocalStorage) -> None:
    storage.put(PART, b"short")
    before = {path: path.read_bytes() for path in storage.root.rglob("*") if path.is_file()}

    assert verify(storage, deep=True).left

    assert {path: path.read_bytes() for path in storage.root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("data", [b"{", b"{}"])
def test_a_checkpoint_that_cannot_be_read_costs_nothing(again: SmallJob, data: bytes) -> None:
    again.storage.put(layout.checkpoint_key(0), data)

    found = verify(again.storage, deep=True, repair=True)

    assert (codes(found), found.withdrawn) == ({("bad_checkpoint", None)}, ())
    assert healed(again).problems == ()


def test_a_checkpoint_that_says_something_else_than_a_commit_is_found_by_reading_both(again: SmallJob) -> None:
    key = layout.checkpoint_key(0)
    before = msgspec.json.decode(again.storage.get(key), type=Checkpoint)
    first, *rest = before.commits
    lying = replace(before, commits=(replace(first, tokens=first.tokens + 1), *rest))
    again.storage.put(key, msgspec.json.encode(lying))

    found = verify(again.storage, deep=True, repair=True)

    assert codes(found) == {("bad_checkpoint", None)}
    assert list(again.storage.list(layout.CHECKPOINTS)) == []
    assert healed(again).problems == ()


def test_a_checkpoint_of_commits_that_are_gone_is_not_believed(again: SmallJob) -> None:
    stale = again.storage.get(layout.checkpoint_key(0))
    again.ledger().withdraw(1)
    again.storage.put(layout.checkpoint_key(0), stale)

    assert healed(again).problems == ()
    assert {commit.part for commit in again.commits()} == {part.key for part in again.manifest().parts}
    assert verify(again.storage).problems == ()


def test_a_bad_manifest_is_made_again(again: SmallJob) -> None:
    again.storage.put(layout.MANIFEST, b"{")

    found = verify(again.storage, repair=True)

    assert (found.withdrawn, again.storage.entry(layout.SUCCESS)) == ((), None)
    assert healed(again).problems == ()


def test_ids_that_come_twice_are_left_to_the_user(tmp_path: Path) -> None:
    storage = job(tmp_path / "job", [{"a.md": ["one"]}, {"a.md": ["two"]}])

    found = verify(storage, deep=True, repair=True)

    assert (found.withdrawn, len(found.left)) == ((), 1)
