"""Segments become shards, and a table of shards is read line by line."""

from pathlib import Path

import pytest

from embedstack.documents.document import Segment
from embedstack.errors import BadRequest, ConfigError, Mismatch
from embedstack.jobs import layout, shards
from embedstack.jobs.plan import Shard
from embedstack.jobs.shards import cut, shards_of, write_table
from support.small_job import small_job


def one(key: str, docs: int = 1, size: int = 10, first: int = 0, start: int = 0, stop: int = 0) -> Segment:
    return Segment(key, size, "v", docs, first, start, stop)


def test_small_files_are_joined_in_order() -> None:
    made = list(cut([one("a"), one("b"), one("c")], 2))

    assert [[segment.key for segment in shard.segments] for shard in made] == [["a", "b"], ["c"]]


def test_numbers_count_from_zero() -> None:
    assert [shard.number for shard in cut([one("a"), one("b")], 1)] == [0, 1]


def test_a_segment_is_never_divided() -> None:
    made = list(cut([one("a", docs=3), one("b", docs=3)], 4))

    assert [shard.docs for shard in made] == [3, 3]


def test_a_segment_that_is_too_large_stands_alone() -> None:
    made = list(cut([one("a"), one("b", docs=9), one("c")], 4))

    assert [shard.docs for shard in made] == [1, 9, 1]


def test_files_without_documents_are_in_no_shard() -> None:
    (shard,) = cut([one("a", docs=0), one("b")], 4)

    assert [segment.key for segment in shard.segments] == ["b"]


def test_large_files_are_not_joined() -> None:
    made = list(cut([one("a", size=6), one("b", size=6), one("c", size=4)], 9, most_bytes=10))

    assert [shard.bytes for shard in made] == [6, 10]


def test_bytes_of_a_file_are_shared_by_where_its_segments_end() -> None:
    made = list(cut([one("a", docs=1, size=10, stop=9), one("a", docs=1, size=10, start=9, stop=10)], 1))

    assert [shard.bytes for shard in made] == [9, 1]


def test_bytes_of_a_file_whose_segments_do_not_say_are_shared_by_documents() -> None:
    made = list(cut([one("a", docs=2, size=9), one("a", docs=1, size=9, first=2)], 2))

    assert [shard.bytes for shard in made] == [6, 3]


def test_no_byte_of_a_file_is_lost() -> None:
    made = list(cut([one("a", docs=1, size=100, first=number) for number in range(7)], 1))

    assert sum(shard.bytes for shard in made) == 100


def test_a_shard_of_no_documents_is_refused() -> None:
    with pytest.raises(BadRequest, match="below 1"):
        list(cut([one("a")], 0))


def test_more_shards_than_numbers_are_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MOST_SHARDS", 1)

    with pytest.raises(ConfigError, match="--shard-docs"):
        list(cut([one("a"), one("b"), one("c")], 1))


# ------------------------------------------------------------------------------------------------ the table


def test_totals_are_those_of_all_lines(tmp_path: Path) -> None:
    totals = write_table(cut([one("a", 2), one("a", 2, first=2), one("b")], 2), tmp_path / "table")

    assert (totals.shards, totals.docs, totals.files, totals.bytes) == (3, 5, 2, 20)


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    table = shards_of(job.storage, job.planned())

    assert [table[number] for number in range(len(table))] == list(table)
    assert [shard.number for shard in table] == [0, 1, 2, 3, 4, 5]


def test_a_line_longer_than_a_block_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "BLOCK", 7)
    job = small_job(tmp_path)

    assert [shard.docs for shard in shards_of(job.storage, job.planned())] == [2] * 6


def test_numbers_of_a_shard_are_known_without_reading_it(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    table = shards_of(job.storage, job.planned())

    assert [(table.docs_of(n), table.bytes_of(n)) for n in range(6)] == [(s.docs, s.bytes) for s in table]


def test_a_slice_of_a_table_is_a_list(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    table = shards_of(job.storage, job.planned())

    assert table[1:3] == [table[1], table[2]]


def test_another_table_is_refused(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    made = job.planned()
    job.storage.put(made.table, b'[0,1,1,[["x",1,"v",1]]]\n')

    with pytest.raises(Mismatch, match="not the table of this plan"):
        shards_of(job.storage, made)


def test_a_line_that_is_torn_is_refused(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    made = job.planned()
    job.storage.put(made.table, job.storage.get(made.table)[:-5])

    with pytest.raises(Mismatch, match="not the table of this plan"):
        shards_of(job.storage, made)


def test_segments_are_those_of_all_shards(tmp_path: Path) -> None:
    job = small_job(tmp_path)
    table = shards_of(job.storage, job.planned())

    assert [segment.key for segment in table.segments()] == [f"{number:02d}.txt" for number in range(12)]
    assert isinstance(table[0], Shard)


def test_a_packed_file_is_weighed_by_what_it_is_unpacked() -> None:
    segments = [Segment("a.jsonl.gz", 30, "1", 1, first=at, start=at * 60, stop=at * 60 + 60) for at in range(3)]
    shards = list(cut(segments, 1000, 100))

    assert [shard.docs for shard in shards] == [1, 1, 1]
    assert sum(shard.bytes for shard in shards) == 30
