import gc
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice, pairwise, product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from embedstack.databases.database import (
    Collection,
    Column,
    Condition,
    Distance,
    Field,
    Json,
    PointId,
    Points,
    Query,
    Where,
    order_of,
)
from embedstack.databases.embedded.connections import FILE
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.databases.embedded.matrix import Matrix
from embedstack.databases.embedded.scoring import BLOCK, Vectors, lengths_of, nearest, question
from embedstack.databases.embedded.sparse import inverted, nearest_sparse
from embedstack.databases.embedded.where import part
from embedstack.errors import BadRequest
from embedstack.testing.promises import IDS, sparse
from embedstack.types import Floats

DISTANCES: Sequence[Distance] = ("cosine", "dot", "l2")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[EmbeddedDatabase]:
    with closing(EmbeddedDatabase(tmp_path / "vectors")) as database:
        yield database


def _rows(count: int, dim: int, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).standard_normal((count, dim), dtype=np.float32)


def _kept(rows: Floats) -> Vectors:
    return Vectors(rows, lengths_of(rows))


# ------------------------------------------------------------------------------------------------ the plain loop


def _plain(rows: Floats, query: Floats, distance: Distance) -> NDArray[np.float32]:
    """By the book, one after the other, in float64; then as scores are given."""
    return np.array([_score(row.astype(float), query.astype(float), distance) for row in rows], np.float32)


def _score(row: NDArray[np.float64], query: NDArray[np.float64], distance: Distance) -> float:
    if distance == "l2":
        return 0.0 - float(np.sqrt(np.sum((row - query) ** 2)))
    product = float(np.sum(row * query))
    return (
        product / float(np.sqrt(np.sum(row * row)) * np.sqrt(np.sum(query * query)))
        if distance == "cosine"
        else product
    )


def _best(scores: Floats, places: Sequence[int], limit: int) -> list[int]:
    return sorted(places, key=lambda place: (-scores[place], place))[:limit]


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize(("count", "dim"), [(1, 1), (50, 3), (3000, 33)])
def test_the_nearest_are_those_of_a_plain_loop(count: int, dim: int, distance: Distance) -> None:
    rows, query = _rows(count, dim), _rows(1, dim, seed=2)[0]
    scores = _plain(rows, query, distance)
    some = sorted({*range(0, count, 7), count - 1})
    most = sorted({*range(0, count, 3), *range(1, count, 3)} or {0})
    for places, limit in product((None, some, most), (1, 10, count)):
        given, theirs = nearest(
            _kept(rows), question(query, distance), limit=limit, least=None,
            places=None if places is None else np.array(places),
        )  # fmt: skip

        wanted = _best(scores, range(count) if places is None else places, limit)
        assert given.tolist() == wanted
        assert np.allclose(theirs, scores[wanted], rtol=2e-7, atol=1e-7)


@pytest.mark.parametrize("distance", DISTANCES)
def test_least_cuts_off_as_scores_are_rounded(distance: Distance) -> None:
    rows, query = _rows(200, 5), _rows(1, 5, seed=2)[0]
    asked = question(query, distance)
    all_of_them, scores = nearest(_kept(rows), asked, limit=200, least=None, places=None)

    given, _ = nearest(_kept(rows), asked, limit=200, least=float(scores[20]), places=None)

    assert given.tolist() == all_of_them[:21].tolist()


@pytest.mark.parametrize("distance", DISTANCES)
def test_equal_vectors_have_equal_scores_wherever_they_lie(distance: Distance) -> None:
    """Fast products differ in their last digits at the ends of blocks."""
    rows = np.repeat(_rows(1, 37), BLOCK + 4099, axis=0)
    rows[::5] = -rows[0]
    near = [place for place in range(len(rows)) if place % 5]

    given, scores = nearest(
        _kept(rows), question(_rows(1, 37, seed=2)[0] + 10 * rows[1], distance), limit=500, least=None, places=None
    )

    assert given.tolist() == near[:500]
    assert len(set(scores.tolist())) == 1


def test_vectors_of_one_direction_have_equal_cosines() -> None:
    rows = _rows(1, 37) * np.geomspace(1e-3, 1e3, 100, dtype=np.float32)[:, None]

    given, scores = nearest(
        _kept(rows), question(_rows(1, 37, seed=2)[0], "cosine"), limit=100, least=None, places=None
    )

    assert np.ptp(scores) <= np.spacing(np.abs(scores).max())
    assert given.tolist() == _best(scores[np.argsort(given)], range(100), 100)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("size", [1e-36, 1e-20, 1e20, 1e30])
def test_lengths_that_float32_cannot_multiply_are_compared_all_the_same(size: float, distance: Distance) -> None:
    rows, query = _rows(300, 8) * np.float32(size), _rows(1, 8, seed=2)[0]
    with np.errstate(over="ignore"):
        scores = _plain(rows, query, distance)

    given, _ = nearest(_kept(rows), question(query, distance), limit=20, least=None, places=None)

    assert given.tolist() == _best(scores, range(300), 20)


def test_what_lies_close_together_and_far_away_is_told_apart() -> None:
    """All digits of a float32 product are lost there."""
    rows = (3000 + _rows(2000, 16) * np.float32(0.05)).astype(np.float32)
    query = rows[7] + np.float32(0.01)

    given, _ = nearest(_kept(rows), question(query, "l2"), limit=20, least=None, places=None)

    assert given.tolist() == _best(_plain(rows, query, "l2"), range(2000), 20)


@pytest.mark.parametrize("distance", ["cosine", "dot"])
def test_many_vectors_of_a_point_are_scored_as_by_a_plain_loop(distance: Distance) -> None:
    counts = np.random.default_rng(3).integers(1, 9, 400)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    rows, queries = _rows(int(offsets[-1]), 11), _rows(5, 11, seed=2)
    each = np.stack([_plain(rows, query, distance).astype(float) for query in queries])
    best = [each[:, start:stop].max(axis=1).sum() for start, stop in pairwise(offsets)]
    scores = np.array(best, np.float32)
    kept = Vectors(rows, lengths_of(rows), offsets)
    for places, limit in product((None, range(0, 400, 9), range(1, 400)), (1, 10, 400)):
        given, theirs = nearest(
            kept, question(queries, distance), limit=limit, least=None,
            places=None if places is None else np.array(places),
        )  # fmt: skip

        wanted = _best(scores, range(400) if places is None else places, limit)
        assert np.allclose(theirs, scores[wanted], atol=1e-6)
        assert np.allclose(scores[given], scores[wanted], atol=1e-6)


def test_a_field_without_points_gives_nothing() -> None:
    nothing = np.empty((0, 3), np.float32)
    multi = Vectors(nothing, lengths_of(nothing), np.zeros(1, np.int64))
    for vectors in (_kept(nothing), multi):
        given, scores = nearest(vectors, question(_rows(1, 3)[0], "cosine"), limit=5, least=None, places=None)

        assert (len(given), len(scores)) == (0, 0)


# ------------------------------------------------------------------------------------------------ terms


def test_a_point_is_found_by_its_terms_alone_though_they_weigh_nothing() -> None:
    index = inverted(
        *zip(*((one.ids, one.weights) for one in (sparse({1: 1.0}), sparse({2: 0.0}), sparse({}))), strict=True)
    )

    given, scores = nearest_sparse(index, sparse({2: 1.0, 9: 1.0}), idf=False, limit=9, least=None, places=None)

    assert (given.tolist(), scores.tolist()) == ([1], [0.0])


def test_a_field_without_terms_gives_nothing() -> None:
    given, _ = nearest_sparse(inverted([], []), sparse({2: 1.0}), idf=True, limit=9, least=None, places=None)

    assert len(given) == 0


# ------------------------------------------------------------------------------------------------ what is kept


def _write(database: EmbeddedDatabase, ids: Sequence[PointId], vectors: Mapping[str, Column]) -> None:
    database.write("docs", Points(ids=ids, vectors=vectors, payloads=[{}] * len(ids)))


def _nearest_ids(database: EmbeddedDatabase, query: Floats, field: str = "", limit: int = 10) -> list[PointId]:
    return [hit.id for hit in database.query("docs", Query(vector=query, field=field, limit=limit))]


@pytest.mark.parametrize("storing", ["float32", "float16"])
@pytest.mark.parametrize("distance", DISTANCES)
def test_points_written_in_any_order_are_found_as_by_a_plain_loop(
    distance: Distance, storing: str, database: EmbeddedDatabase
) -> None:
    field = Field(dim=6, distance=distance, storing=storing)  # type: ignore[arg-type]
    database.create(Collection(name="docs", fields={"": field, "other": field}))
    ids: list[PointId] = [*dict.fromkeys((*IDS, *range(100, 400)))]
    order = np.random.default_rng(4).permutation(len(ids))
    rows, query = _rows(len(ids), 6), _rows(1, 6, seed=2)[0]
    for places in (order[:150], order[150:]):
        _write(database, [ids[place] for place in places], {"": rows[places]})
    _write(database, range(500, 520), {"other": _rows(20, 6)})
    database.delete("docs", ids[:40:3])
    scores = dict(zip(ids, _plain(rows.astype(storing).astype(np.float32), query, distance).tolist(), strict=True))
    left = [one for one in ids if one not in ids[:40:3]]

    assert _nearest_ids(database, query, limit=1000) == sorted(left, key=lambda one: (-scores[one], order_of(one)))


def _sql(database: EmbeddedDatabase, statement: str) -> None:
    with closing(sqlite3.connect(database.root / FILE, isolation_level=None)) as connection:
        connection.execute(statement)


def test_vectors_stay_in_memory_until_one_of_the_field_changes(database: EmbeddedDatabase) -> None:
    database.create(Collection(name="docs", fields={"": Field(dim=2), "other": Field(dim=2)}))
    database.create(Collection(name="more", fields={"": Field(dim=2)}))
    axes = np.eye(2, dtype=np.float32)
    _write(database, [1, 2], {"": axes})
    assert _nearest_ids(database, axes[0]) == [1, 2]
    _sql(database, "UPDATE vectors1 SET vector = (SELECT vector FROM vectors1 WHERE point = 2)")  # behind its back
    changes: Sequence[Callable[[], None]] = (
        lambda: database.mark("docs", None),
        lambda: _write(database, [1], {"other": axes[:1]}),
        lambda: _write(database, [2], {}),
        lambda: database.write("more", Points(ids=[1], vectors={"": axes[:1]}, payloads=[{}])),
        lambda: database.delete("docs", [77]),
        lambda: database.write("docs", Points(ids=[1], vectors={"": axes[:1]}, payloads=[{}]), only_new=True),
    )
    for change in changes:
        change()
        assert [hit.score for hit in database.query("docs", Query(vector=axes[0]))] == [1, 0]

    _write(database, [3], {"": axes[1:]})

    assert [hit.score for hit in database.query("docs", Query(vector=axes[0]))] == [0, 0, 0]


def test_what_another_handle_changed_is_in_the_next_answer(database: EmbeddedDatabase) -> None:
    axes = np.eye(2, dtype=np.float32)
    with closing(EmbeddedDatabase(database.root)) as other:
        other.create(Collection(name="docs", fields={"": Field(dim=2), "words": Field(kind="sparse", distance="dot")}))
        for change, wanted in (
            (lambda: _write(other, [1, 2], {"": axes, "words": [sparse({1: 1.0})] * 2}), [1, 2]),
            (lambda: _write(other, [1, 2], {"": axes[::-1], "words": [sparse({1: 1.0}), sparse({1: 2.0})]}), [2, 1]),
            (lambda: other.delete("docs", [2]), [1]),
            (lambda: other.drop("docs"), None),
        ):
            change()
            if wanted is None:
                assert database.names() == []
            else:
                assert _nearest_ids(database, axes[0]) == wanted
                found = database.query("docs", Query(vector=sparse({1: 1.0}), field="words"))
                assert [hit.id for hit in found] == wanted


def test_what_another_handle_dropped_is_no_longer_in_memory_once_something_is_read(database: EmbeddedDatabase) -> None:
    """A new collection in the place of the old one, behind an alias, again and again."""
    before, axes = _in_memory(), np.eye(2, dtype=np.float32)
    with closing(EmbeddedDatabase(database.root)) as other:
        for name in ("first", "second", "third"):
            other.create(Collection(name=name, fields={"": Field(dim=2)}))
            other.write(name, Points(ids=[1], vectors={"": axes[:1]}, payloads=[{}]))
            database.query(name, Query(vector=axes[0]))
            assert _in_memory() == before + 1
            other.drop(name)


def _in_memory() -> int:
    gc.collect()
    return sum(isinstance(one, Matrix) for one in gc.get_objects())


def test_a_collection_that_was_made_again_is_not_taken_for_the_one_before(database: EmbeddedDatabase) -> None:
    for dim in (2, 3):
        database.create(Collection(name="docs", fields={"": Field(dim=dim)}))
        _write(database, [dim], {"": _rows(1, dim)})
        assert _nearest_ids(database, _rows(1, dim)[0]) == [dim]
        database.drop("docs")


@pytest.mark.slow
def test_an_answer_is_of_one_instant_though_others_write(database: EmbeddedDatabase) -> None:
    """The score, the payload and the vector that are given belong together."""
    axes = np.eye(2, dtype=np.float32)
    database.create(Collection(name="docs", fields={"": Field(dim=2)}))
    is_over = threading.Event()

    def write() -> None:
        for turn in range(100):
            some = Points(ids=[1], vectors={"": axes[[turn % 2]]}, payloads=[{"turn": turn % 2}])
            database.write("docs", some)
        is_over.set()

    seen: list[tuple[float, Json, float]] = []

    def ask() -> None:
        while not is_over.is_set():
            for hit in database.query("docs", Query(vector=axes[0], with_vectors=[""])):
                seen.append((hit.score, hit.payload["turn"], float(np.asarray(hit.vectors[""])[0])))

    threads = [threading.Thread(target=act) for act in (write, ask, ask)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(seen) <= {(1.0, 0, 1.0), (0.0, 1, 0.0)}
    assert seen


# ------------------------------------------------------------------------------------------------ where


def _meant(database: EmbeddedDatabase, *conditions: Condition) -> list[PointId]:
    return [point.id for point in database.read("docs", where=Where(all=conditions), payload=False).points]


def _given(database: EmbeddedDatabase, payloads: Sequence[Mapping[str, Json]]) -> None:
    database.create(Collection(name="docs", fields={"": Field(dim=2)}))
    database.write("docs", Points(ids=range(len(payloads)), vectors={}, payloads=payloads))


@pytest.mark.parametrize("key", ['a"b', "a\\b", "a\nb", "a\0b", "a'b", "$", "[0]", "a b", "", "#", "é\U0001f600"])
def test_every_key_can_be_asked_for(key: str, database: EmbeddedDatabase) -> None:
    _given(database, [{key: 1}, {"a": {key: [2, 1]}}, {"other": 1}, {key: "1"}])

    assert _meant(database, Condition(key=key, values=(1,))) == [0]
    assert _meant(database, Condition(key=f"a.{key}", least=1.5)) == [1]


def test_a_key_that_no_text_has_is_in_no_payload(database: EmbeddedDatabase) -> None:
    _given(database, [{"a": 1}])

    assert _meant(database, Condition(key="\ud800", values=(1,))) == []
    assert _meant(database, Condition(key="a", values=("\ud800",))) == []


def test_any_number_of_values_may_be_meant(database: EmbeddedDatabase) -> None:
    _given(database, [{"a": 70_000}, {"a": "b"}, {"a": -1}])

    assert _meant(database, Condition(key="a", values=(*range(69_990, 110_000), "b"))) == [0, 1]


def test_numbers_beyond_those_of_sqlite_are_compared_all_the_same(database: EmbeddedDatabase) -> None:
    _given(database, [{"a": 2**70}, {"a": 2**63 - 1}, {"a": -(2**70)}])

    assert _meant(database, Condition(key="a", values=(2**70,))) == [0]
    assert _meant(database, Condition(key="a", least=2**65)) == [0]
    assert _meant(database, Condition(key="a", most=float("inf"), least=2**63 - 1)) == [0, 1]


@pytest.mark.parametrize("condition", [Condition(key="a"), Condition(key="a", least=float("nan"))])
def test_a_condition_that_means_nothing_is_refused(condition: Condition, database: EmbeddedDatabase) -> None:
    _given(database, [{"a": 1}])

    with pytest.raises(BadRequest, match="the condition about 'a'"):
        _meant(database, condition)


def test_a_part_of_a_payload_is_given_in_json() -> None:
    payload = '{"a": {"b": [1, "é"]}, "a.b": 2, "n": null}'

    assert part(payload, "a.b") == '[[1, "é"]]'
    assert part(payload, "n") == "[null]"
    assert part(payload, "a.c") is None
    assert part(payload, "a.b.c") is None


def test_pages_of_what_is_meant_end_where_nothing_more_is(database: EmbeddedDatabase) -> None:
    _given(database, [{"a": number % 3} for number in range(31)])
    where, after, pages = Where(all=(Condition(key="a", values=(0,)),)), None, []
    for _ in islice(iter(int, 1), 10):
        page = database.read("docs", after=after, limit=4, where=where)
        pages.append([point.id for point in page.points])
        after = page.after
        if after is None:
            break

    assert pages == [[0, 3, 6, 9], [12, 15, 18, 21], [24, 27, 30]]
