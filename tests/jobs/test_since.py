"""Vectors of the job before: found by what a text says, and only where they would be made the same way again."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from embedstack.errors import ConfigError, Mismatch, Unsupported
from embedstack.jobs import layout, since, table
from embedstack.jobs.digests import content_hash
from embedstack.jobs.ledger import Ledger
from embedstack.jobs.plan import Plan, Wish
from embedstack.jobs.planning import load_plan
from embedstack.jobs.since import Index, changes, check_since, drop_index, lenders, open_index
from embedstack.origin import Identity
from embedstack.storage.local import LocalStorage
from embedstack.storage.storage import Entry, Missing
from support.tables import DIM, IDENTITY, WISH, commit, job, planned, probe, vectors_of

SHARDS = [
    {"a.md": ["a red bird", "on every page"], "b.md": ["two grey birds"]},
    {"bad.md": []},
    {"c.md": ["three birds", "on every page"]},
]
OTHER = replace(IDENTITY, model="other", fingerprint="0" * 32)
FOREIGN = replace(IDENTITY, fingerprint="")  # an endpoint that does not say whose vectors it makes
PROBES = (probe("a bird"),)


@pytest.fixture
def before(tmp_path: Path) -> LocalStorage:
    return job(tmp_path / "before", SHARDS)


def plan_after(tmp_path: Path, wish: Wish = WISH, identity: Identity = IDENTITY) -> Plan:
    return planned(LocalStorage(tmp_path / "after"), [{}], wish, identity)


def index_of(before: LocalStorage, tmp_path: Path, wish: Wish = WISH) -> Index:
    return open_index(before, plan_after(tmp_path, wish), tmp_path / "spool")


def hashed(*texts: str, role: str = "document") -> list[str]:
    return [content_hash(text, role) for text in texts]


# ------------------------------------------------------------------------------------------------ looking up


def test_vectors_are_found_by_text_and_come_in_the_order_that_was_asked(before: LocalStorage, tmp_path: Path) -> None:
    asked = ["three birds", "never seen", "a red bird", "two grey birds", "three birds"]

    found = index_of(before, tmp_path).lookup(hashed(*asked))

    assert found.found.tolist() == [True, False, True, True, True]
    assert np.array_equal(found.vectors, vectors_of([asked[0], *asked[2:]]))


def test_nothing_is_found_where_nothing_is_asked_or_known(before: LocalStorage, tmp_path: Path) -> None:
    index = index_of(before, tmp_path)

    assert index.lookup([]).vectors.shape == (0, DIM)
    assert index.lookup(hashed("never seen")).vectors.shape == (0, DIM)


def test_the_same_text_in_another_role_is_another_text(before: LocalStorage, tmp_path: Path) -> None:
    assert index_of(before, tmp_path).lookup(hashed("a red bird", role="query")).found.tolist() == [False]


def test_each_text_is_known_once(before: LocalStorage, tmp_path: Path) -> None:
    assert index_of(before, tmp_path).rows == 4


def test_rows_past_the_first_group_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "ROW_GROUP", 10)
    texts = [f"text {number}" for number in range(33)]
    before = job(tmp_path / "before", [{"other": ["other"]}, {"long": texts}])
    asked = [texts[32], texts[0], texts[9], texts[10], "other"]

    assert np.array_equal(index_of(before, tmp_path).lookup(hashed(*asked)).vectors, vectors_of(asked))


def test_halves_are_reused_bit_for_bit(tmp_path: Path) -> None:
    wish = replace(WISH, storing="float16")
    before = job(tmp_path / "before", SHARDS, wish)

    found = index_of(before, tmp_path, wish).lookup(hashed("a red bird"))

    assert np.array_equal(found.vectors.astype(np.float16).astype(np.float32), vectors_of(["a red bird"], wish))


def test_groups_are_read_again_where_few_are_kept(
    before: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(since, "CACHE_BYTES", 1)
    index, asked = index_of(before, tmp_path), ["three birds", "a red bird"]

    assert all(np.array_equal(index.lookup(hashed(*asked)).vectors, vectors_of(asked)) for _ in range(2))


def test_the_index_is_built_once(before: LocalStorage, tmp_path: Path) -> None:
    index_of(before, tmp_path)
    built = {path: path.stat().st_mtime_ns for path in (tmp_path / "spool").glob("since-*/*")}

    index_of(before, tmp_path)

    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "spool").glob("since-*/*")} == built
    assert {path.name for path in built} == {"high", "low", "place", ".lock"}


def test_what_a_killed_process_left_of_an_index_is_not_read(before: LocalStorage, tmp_path: Path) -> None:
    index_of(before, tmp_path)
    (built,) = (tmp_path / "spool").glob("since-*")
    left = built.rename(built.with_name(f".{built.name}.partial"))
    (left / "high").write_bytes(b"half")

    assert index_of(before, tmp_path).lookup(hashed("a red bird")).found.tolist() == [True]
    assert not left.exists()


def test_an_index_that_is_dropped_leaves_nothing_and_can_still_be_asked(before: LocalStorage, tmp_path: Path) -> None:
    index, plan = index_of(before, tmp_path), plan_after(tmp_path)
    open_index(before, replace(plan, docs=5), tmp_path / "spool")

    drop_index(plan, tmp_path / "spool")

    assert len(list((tmp_path / "spool").glob("since-*"))) == 1
    assert not list((tmp_path / "spool").glob(f".since-{plan.digest[:16]}*"))
    assert index.lookup(hashed("a red bird")).found.tolist() == [True]


def test_a_part_that_is_gone_is_named(before: LocalStorage, tmp_path: Path) -> None:
    index = index_of(before, tmp_path)
    before.delete(layout.part_key(2, "0000aaaa"))

    with pytest.raises(Mismatch, match=r"'data/part-000002-0000aaaa.parquet' is missing"):
        index.lookup(hashed("three birds"))


def test_a_part_of_another_size_is_named(before: LocalStorage, tmp_path: Path) -> None:
    index = index_of(before, tmp_path)
    before.put(layout.part_key(2, "0000aaaa"), b"short")

    with pytest.raises(Mismatch, match=r"part-000002-0000aaaa.parquet' has 5 bytes, its commit says \d+"):
        index.lookup(hashed("three birds"))


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_a_bit_that_changed_in_the_job_before_is_not_taken_over(tmp_path: Path, compression: str) -> None:
    wish = replace(WISH, compression=compression)
    before = job(tmp_path / "before", [{"a.md": [f"text {number}" for number in range(50)]}], wish)
    index, key = index_of(before, tmp_path, wish), layout.part_key(0, "0000aaaa")
    column = next(one for one in columns_of(before.root / key) if one.path_in_schema.startswith("embedding_vector"))
    data = bytearray(before.get(key))
    data[column.data_page_offset + column.total_compressed_size - 9] ^= 0x10
    before.put(key, bytes(data))

    with pytest.raises(Mismatch, match=r"cannot be read as a part of the table: .*CRC"):
        index.lookup(hashed("text 7"))


def columns_of(path: Path) -> list[pq.ColumnChunkMetaData]:
    group = pq.read_metadata(path).row_group(0)
    return [group.column(number) for number in range(group.num_columns)]


def test_an_index_that_cannot_be_written_is_named(before: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(b"a file")

    with pytest.raises(ConfigError, match=r"spool/since-[0-9a-f-]{33}' cannot be written"):
        index_of(before, tmp_path)


# ------------------------------------------------------------------------------------------------ not finished


def unfinished(root: Path, done: int, wish: Wish = WISH) -> LocalStorage:
    """The first shards are committed."""
    storage = LocalStorage(root)
    plan = planned(storage, SHARDS, wish)
    for number in range(done):
        commit(storage, Ledger(storage, plan), plan, number, SHARDS[number])
    return storage


def half(storage: LocalStorage, tmp_path: Path) -> Index:
    return open_index(storage, replace(plan_after(tmp_path), lends_part=True), tmp_path / "spool")


@pytest.mark.parametrize(("done", "known"), [(0, [False, False]), (1, [True, False]), (3, [True, True])])
def test_a_job_that_is_not_finished_lends_what_it_has(tmp_path: Path, done: int, known: list[bool]) -> None:
    storage = unfinished(tmp_path / "before", done)
    found = half(storage, tmp_path).lookup(hashed("a red bird", "three birds"))

    assert check_since(storage, WISH, IDENTITY, PROBES) is False
    assert found.found.tolist() == known
    assert np.array_equal(found.vectors, vectors_of(["a red bird", "three birds"][: sum(known)]))


def test_a_job_that_is_finished_says_so(before: LocalStorage) -> None:
    assert check_since(before, WISH, IDENTITY, PROBES) is True


def test_behind_a_job_that_is_not_finished_stands_the_one_that_lends_to_it(tmp_path: Path) -> None:
    first = job(tmp_path / "first", [{"z.md": ["a zebra"]}])
    storage = unfinished(tmp_path / "before", 1, replace(WISH, since=first.url))

    assert [(one.shards, one.is_finished) for one in lenders(storage)] == [(1, False), (1, True)]
    assert half(storage, tmp_path).lookup(hashed("a zebra", "a red bird", "three birds")).found.tolist() == [
        True,
        True,
        False,
    ]


def test_behind_a_job_that_is_finished_nobody_is_asked(tmp_path: Path) -> None:
    storage = job(tmp_path / "before", SHARDS, replace(WISH, since=(tmp_path / "gone").as_uri()))

    assert len(lenders(storage)) == 1


def test_a_lender_that_is_gone_lends_nothing(tmp_path: Path) -> None:
    storage = unfinished(tmp_path / "before", 1, replace(WISH, since=(tmp_path / "gone").as_uri()))

    assert len(lenders(storage)) == 1


def test_jobs_that_lend_to_each_other_are_asked_once(tmp_path: Path) -> None:
    urls = [LocalStorage(tmp_path / name).url for name in ("a", "b")]
    unfinished(tmp_path / "a", 1, replace(WISH, since=urls[1]))

    found = lenders(unfinished(tmp_path / "b", 2, replace(WISH, since=urls[0])))

    assert [one.storage.url for one in found] == [urls[1], urls[0]]


def test_every_lender_must_have_the_same_kind_of_vectors(tmp_path: Path) -> None:
    first = job(tmp_path / "first", SHARDS, replace(WISH, role="query"))
    storage = unfinished(tmp_path / "before", 1, replace(WISH, since=first.url))

    with pytest.raises(Mismatch, match=r"first.* cannot be reused: role 'query' -> 'document'"):
        check_since(storage, WISH, IDENTITY, PROBES)


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("wish", "identity", "said"),
    [
        (WISH, OTHER, "model 'hash' -> 'other'; fingerprint"),
        (WISH, replace(IDENTITY, fingerprint="0" * 32, dim=4), "dim 8 -> 4"),
        (WISH, replace(IDENTITY, dim=4), "dim 8 -> 4"),
        (WISH, FOREIGN, "fingerprint"),
        (replace(WISH, role="query"), IDENTITY, "role 'document' -> 'query'"),
        (replace(WISH, storing="float16"), IDENTITY, "storing 'float32' -> 'float16'"),
    ],
)
def test_vectors_of_another_kind_are_refused(before: LocalStorage, wish: Wish, identity: Identity, said: str) -> None:
    with pytest.raises(Mismatch, match=f"cannot be reused: .*{said}"):
        check_since(before, wish, identity, PROBES)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (replace(WISH, late_chunking=True), "depends on the rest of its document"),
        (replace(WISH, sparse=True), "sparse vectors of a job before are not reused"),
    ],
)
def test_what_cannot_be_reused_is_refused_with_its_reason(before: LocalStorage, wish: Wish, said: str) -> None:
    with pytest.raises(Unsupported, match=said):
        check_since(before, wish, IDENTITY, PROBES)


def test_vectors_of_late_chunking_are_not_reused(tmp_path: Path) -> None:
    before = job(tmp_path / "before", SHARDS, replace(WISH, late_chunking=True))

    with pytest.raises(Mismatch, match="it was made with late chunking"):
        check_since(before, WISH, IDENTITY, PROBES)


def test_another_name_of_the_same_model_is_no_difference(before: LocalStorage) -> None:
    check_since(before, replace(WISH, model="alias"), replace(IDENTITY, model="alias"), PROBES)


@pytest.mark.parametrize(
    ("name", "other"), [("model", "other"), ("revision", "2"), ("space", "7" * 32), ("encoder", "tei")]
)
def test_endpoints_without_a_fingerprint_must_say_the_same_of_all_else(tmp_path: Path, name: str, other: str) -> None:
    before = job(tmp_path / "before", SHARDS, identity=FOREIGN)
    check_since(before, WISH, FOREIGN, PROBES)

    with pytest.raises(Mismatch, match=f"cannot be reused: {name} "):
        check_since(before, WISH, replace(FOREIGN, **{name: other}), PROBES)


@pytest.mark.parametrize("identity", [IDENTITY, FOREIGN])
def test_a_model_that_makes_other_vectors_of_the_probes_is_refused(tmp_path: Path, identity: Identity) -> None:
    before = job(tmp_path / "before", SHARDS, identity=identity)
    other = replace(probe("a bird"), vector=probe("a fish").vector)

    with pytest.raises(Mismatch, match="probe 'bird' has cosine"):
        check_since(before, WISH, identity, [other])
    with pytest.raises(Mismatch, match="probe 'bird' has cosine"):
        open_index(before, replace(plan_after(tmp_path, identity=identity), probes=(other,)), tmp_path / "spool")


def test_without_a_fingerprint_and_a_common_probe_nothing_is_reused(tmp_path: Path) -> None:
    before = job(tmp_path / "before", SHARDS, identity=FOREIGN)

    with pytest.raises(Mismatch, match="was asked for other probes"):
        check_since(before, WISH, FOREIGN, [probe("a fish")])


def test_a_job_that_was_finished_when_it_was_planned_must_be_so_still(before: LocalStorage, tmp_path: Path) -> None:
    before.delete(layout.MANIFEST)

    with pytest.raises(Mismatch, match="is not finished; run: embedstack job run"):
        index_of(before, tmp_path)


def test_a_place_without_a_job_is_named(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="before"):
        check_since(LocalStorage(tmp_path / "before"), WISH, IDENTITY, PROBES)


# ------------------------------------------------------------------------------------------------ the input


def test_files_that_are_new_changed_and_gone_are_told(before: LocalStorage) -> None:
    segments = [one for shard in since.shards_of(before, load_plan(before)) for one in shard.segments]
    same, _, changed = [Entry(one.key, one.size, one.version, 0.0) for one in segments]
    entries = [same, Entry(changed.key, 101, changed.version, 0.0), Entry("zebra.md", 1, "v", 0.0)]

    found = changes(before, entries)

    assert (found.new.first, found.changed.first) == (("zebra.md",), (changed.key,))
    assert found.missing.first == (segments[1].key,)
