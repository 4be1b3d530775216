"""Documents for a trial and for an estimate lie evenly over the whole input."""

from collections import Counter

import pytest

from embedstack.documents.document import Segment
from embedstack.errors import BadRequest
from embedstack.jobs.plan import Plan, Shard
from embedstack.jobs.sampling import CLUSTERS, SHARDS, draw, is_file, sample
from support.tables import EXACT, IDENTITY, WISH


def files(count: int, size: int = 100, folder: str = "a") -> list[Segment]:
    return [Segment(f"{folder}/{number:05d}.md", size, "1", 1) for number in range(count)]


def rows(count: int, docs: int = 50, key: str = "rows.jsonl") -> list[Segment]:
    """So many segments of one file; a row has 10 bytes."""
    step = docs * 10
    return [Segment(key, step * count, "1", docs, n * docs, n * step, (n + 1) * step) for n in range(count)]


def shards(*segments: Segment, docs: int = 10) -> list[Shard]:
    made: list[Shard] = []
    for at in range(0, len(segments), docs):
        run = segments[at : at + docs]
        sizes = [one.size if is_file(one) else one.stop - one.start for one in run]
        made.append(Shard(len(made), sum(one.docs for one in run), sum(sizes), tuple(run)))
    return made


def plan_of(cut: list[Shard]) -> Plan:
    return Plan(
        wish=WISH,
        identity=IDENTITY,
        exact=EXACT,
        probes=(),
        shards=len(cut),
        docs=sum(shard.docs for shard in cut),
        files=1,
        bytes=sum(shard.bytes for shard in cut),
        tokens=10_000,
        table="",
        table_sha256="",
    )


# ------------------------------------------------------------------------------------------------ a job of its own


@pytest.mark.parametrize("docs", [1, 7, 100, 499, 500])
def test_a_sample_has_as_many_documents_as_were_asked_for(docs: int) -> None:
    cut = shards(*files(300), *rows(4))
    small, taken = sample(plan_of(cut), cut, docs)

    assert (small.docs, sum(shard.docs for shard in taken)) == (docs, docs)


def test_a_sample_of_more_than_there_are_is_all_of_them() -> None:
    cut = shards(*files(30))

    assert sample(plan_of(cut), cut, 1000)[0].docs == 30


def test_every_tenth_of_the_input_has_a_tenth_of_a_sample() -> None:
    cut = shards(*files(1000))
    _, taken = sample(plan_of(cut), cut, 50)
    tenths = Counter(int(segment.key[2:7]) // 100 for shard in taken for segment in shard.segments)

    assert set(tenths.values()) == {5}


def test_of_rows_a_sample_takes_the_first_of_each_segment() -> None:
    cut = shards(*rows(4, docs=50))
    _, taken = sample(plan_of(cut), cut, 20)

    assert [(one.first, one.docs) for shard in taken for one in shard.segments] == [(0, 5), (50, 5), (100, 5), (150, 5)]


def test_a_sample_has_several_shards_with_numbers_from_0() -> None:
    cut = shards(*files(400))
    small, taken = sample(plan_of(cut), cut, 100)

    assert ([shard.number for shard in taken], small.shards) == (list(range(SHARDS)), SHARDS)


def test_the_bytes_of_a_sample_are_those_of_its_documents() -> None:
    cut = shards(*files(400, size=100), *rows(2, docs=50))
    small, _ = sample(plan_of(cut), cut, 50)

    assert small.bytes == 40 * 100 + 10 * 10


def test_large_documents_do_not_come_together_in_one_shard_of_a_sample() -> None:
    cut = shards(*files(40, size=10 << 20))

    assert [shard.docs for shard in sample(plan_of(cut), cut, 40)[1]] == [1] * 40


def test_the_same_plan_has_the_same_sample() -> None:
    cut = shards(*files(300), *rows(4))

    assert sample(plan_of(cut), cut, 77) == sample(plan_of(cut), cut, 77)


def test_a_sample_of_nothing_is_refused() -> None:
    cut = shards(*files(3))

    with pytest.raises(BadRequest, match="a sample of 0 documents"):
        sample(plan_of(cut), cut, 0)


# ------------------------------------------------------------------------------------------------ for an estimate


def test_few_documents_are_all_drawn_once() -> None:
    drawn = draw(shards(*files(30)), 30)

    assert (len(drawn.files), drawn.all_files, {one.weight for one in drawn.files}) == (30, True, {1.0})


def test_what_is_drawn_stands_for_all_bytes() -> None:
    cut = shards(*files(900, size=100), *files(30, size=5000, folder="b"))
    drawn = draw(cut, 100)

    assert sum(one.weight * one.segment.size for one in drawn.files) == pytest.approx(900 * 100 + 30 * 5000)


def test_a_file_is_drawn_in_proportion_to_its_bytes() -> None:
    cut = shards(*files(1000, size=100), *files(10, size=10_000, folder="b"))
    drawn = draw(cut, 100)

    assert sum(one.segment.key.startswith("b/") for one in drawn.files) == 10  # half of all bytes, each of them hit


def test_a_file_that_points_fall_on_again_is_looked_at_once() -> None:
    cut = shards(*files(100, size=100), *files(1, size=100_000, folder="b"))
    drawn = draw(cut, 20)

    assert [one.segment.key for one in drawn.files].count("b/00000.md") == 1


def test_an_empty_file_is_never_drawn() -> None:
    drawn = draw(shards(*files(50, size=0), *files(5, folder="b")), 20)

    assert all(one.segment.size for one in drawn.files)


def test_rows_are_read_of_so_many_segments_and_no_more() -> None:
    drawn = draw(shards(*rows(400)), 1000)

    assert (len(drawn.rows), drawn.docs) == (CLUSTERS, 1000)


def test_the_segments_that_are_drawn_stand_for_the_bytes_of_all_rows() -> None:
    drawn = draw(shards(*rows(400, docs=50), *rows(1, docs=7, key="z.jsonl")), 1000)

    assert sum(one.weight * one.size for one in drawn.rows) == pytest.approx((400 * 50 + 7) * 10)


def test_long_rows_are_drawn_as_often_as_they_have_bytes() -> None:
    """3 of 100 segments have 50 times the bytes of the others, so three fifths of all."""
    ends = [0]
    for place in range(100):
        ends.append(ends[-1] + (50_000 if place % 33 == 1 else 1000))
    long = [Segment("r.jsonl", ends[-1], "1", 50, 50 * n, ends[n], ends[n + 1]) for n in range(100)]
    drawn = draw(shards(*long), 1000)

    assert sum(one.docs for one in drawn.rows if one.size == 50_000) > 0.1 * drawn.docs
    assert sum(one.weight * one.size for one in drawn.rows) == pytest.approx(ends[-1])


def test_a_file_that_is_too_large_takes_no_place() -> None:
    drawn = draw(shards(*files(1000), *files(1, size=10**9, folder="b")), 100)

    assert (len(drawn.files), drawn.too_large) == (100, 1)
    assert all(one.segment.size == 100 for one in drawn.files)


def test_files_and_rows_have_their_share() -> None:
    drawn = draw(shards(*files(1000), *rows(20, docs=50)), 200)

    assert (len(drawn.files), sum(one.docs for one in drawn.rows)) == (100, 100)


def test_another_seed_draws_others() -> None:
    cut = shards(*files(1000))

    assert draw(cut, 50, seed=1) != draw(cut, 50, seed=2)


def test_the_same_seed_draws_the_same() -> None:
    cut = shards(*files(1000))

    assert draw(cut, 50, seed=1) == draw(cut, 50, seed=1)
