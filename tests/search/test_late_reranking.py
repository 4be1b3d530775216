"""A search whose candidates are put in order by the vectors of their tokens: which, by whose scores, what is said."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import qdrant_edge as edge

from embedstack.databases.database import Hit, Points, Query
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.databases.opening import open_database
from embedstack.errors import BadRequest, Mismatch
from embedstack.search.found import How
from embedstack.search.late_reranking import AT_ONCE
from embedstack.testing.fake import HashEncoder, hash_spec, overlap_spec
from support.searched import DIM, KINDS, TEXTS, Watched, embedded, filled, ids, pairs, search

ASKED = "panda river number7"
PLAIN = How(limit=40, depth=40)
LATE = replace(PLAIN, reranker="late", rerank_top=8)
ROUNDED = 1e-5  # the engine keeps float32 of length 1, and adds up in float32


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedDatabase]:
    """Nobody writes to it."""
    with closing(EmbeddedDatabase(tmp_path_factory.mktemp("store"))) as database:
        filled(database, fields=(*KINDS,))
        filled(database, fields=("late",), name="tokens")
        filled(database, ["panda river"] * 30, fields=(*KINDS,), name="alike")
        filled(database, [], fields=(*KINDS,), name="empty")
        yield database


@pytest.fixture(scope="module")
def max_sim(tmp_path_factory: pytest.TempPathFactory) -> dict[int, float]:
    """Of all texts, by Qdrant's engine."""
    config = edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim)
    params = edge.EdgeVectorParams(DIM, edge.Distance.Cosine, multivector_config=config)
    shard = edge.EdgeShard.create(str(tmp_path_factory.mktemp("shard")), edge.EdgeConfig({"late": params}))
    tokens, asked = embedded(TEXTS).multi, embedded([ASKED], role="query").multi
    assert tokens is not None
    assert asked is not None
    points = [edge.Point(place, {"late": rows.tolist()}) for place, rows in enumerate(tokens)]
    shard.update(edge.UpdateOperation.upsert_points(points))
    hits = shard.query(edge.QueryRequest(limit=len(TEXTS), query=edge.Query.Nearest(asked[0].tolist(), "late")))
    shard.close()
    return {hit.id: hit.score for hit in hits}


# ------------------------------------------------------------------------------------------------ what is asked


def test_several_vectors_of_a_point_are_not_asked_by_themselves(store: EmbeddedDatabase) -> None:
    assert search(store, ASKED, How()).fields == ("dense", "bm25", "sparse")
    assert search(store, ASKED, How(fields=("dense", "late"))).fields == ("dense", "late")


def test_where_there_is_nothing_else_they_are_asked(store: EmbeddedDatabase) -> None:
    assert search(store, ASKED, How(), name="tokens").fields == ("late",)


# ------------------------------------------------------------------------------------------------ in what order


def test_the_first_ones_have_the_scores_and_the_order_of_qdrants_engine(
    store: EmbeddedDatabase, max_sim: dict[int, float]
) -> None:
    before = ids(search(store, ASKED, PLAIN))

    found = search(store, ASKED, LATE)

    wanted = sorted(before[:8], key=lambda one: -max_sim[int(one)])
    assert ids(found) == [*wanted, *before[8:]]
    assert wanted != before[:8]
    scores = [one.scores["rerank"] for one in found.points[:8]]
    assert scores == pytest.approx([max_sim[int(one)] for one in wanted], abs=ROUNDED)
    assert [one.score for one in found.points[:8]] == scores
    assert all("rerank" not in one.scores and "fused" in one.scores for one in found.points[8:])
    assert [*found.took_s] == ["embed", "search", "fuse", "rerank"]
    assert found.fields == ("dense", "bm25", "sparse")


@pytest.mark.slow
def test_qdrant_gives_the_same_behind_its_own_fusion(tmp_path: Path, max_sim: dict[int, float]) -> None:
    with closing(open_database(f"qdrant-local:{tmp_path}")) as qdrant:
        filled(qdrant, TEXTS[:12], fields=("dense", "bm25", "late"))
        found = search(qdrant, ASKED, replace(LATE, limit=12, depth=12))

    first, others = found.points[:8], found.points[8:]
    assert [one.score for one in first] == pytest.approx([max_sim[int(one.id)] for one in first], abs=ROUNDED)
    assert [*first] == sorted(first, key=lambda one: -one.score)
    assert [{*one.scores} for one in (first[0], others[0])] == [{"fused", "rerank"}, {"fused"}]


def test_equal_ones_keep_the_order_that_they_had(store: EmbeddedDatabase) -> None:
    assert ids(search(store, "river", replace(LATE, limit=30, depth=30), name="alike")) == [*range(30)]


def test_more_than_are_compared_at_once_are_all_compared(tmp_path: Path) -> None:
    texts = [f"{TEXTS[place % 40]} number{place}" for place in range(AT_ONCE + 9)]
    how = How(limit=len(texts), depth=len(texts), reranker="late", rerank_top=len(texts))
    with closing(EmbeddedDatabase(tmp_path)) as database:
        filled(database, texts, fields=("dense", "late"))
        found = search(database, ASKED, how)

    scores = [one.scores["rerank"] for one in found.points]
    assert len(scores) == len(texts)
    assert scores == sorted(scores, reverse=True)


def test_points_without_such_a_vector_stand_behind_those_that_have_one_and_that_is_said(tmp_path: Path) -> None:
    lacking = [3, 7]
    with closing(EmbeddedDatabase(tmp_path)) as database:
        filled(database, fields=(*KINDS,))
        before = ids(search(database, ASKED, PLAIN))
        kept = database.get("docs", lacking, vectors=["dense"])
        database.delete("docs", lacking)
        dense = np.stack([one.vectors["dense"] for one in kept])  # type: ignore[misc] # no sparse ones are read
        database.write("docs", Points(ids=lacking, vectors={"dense": dense}, payloads=[{}, {}]))
        found = search(database, ASKED, replace(LATE, rerank_top=40))

    assert sorted(before, key=str) == sorted(ids(found), key=str)
    assert set(ids(found)[38:]) == set(lacking)
    assert found.notes == ("2 of the first 40 points have no vector 'late' to rerank by",)


def test_where_no_point_has_such_a_vector_scores_stay_as_they_are(tmp_path: Path) -> None:
    with closing(EmbeddedDatabase(tmp_path)) as database:
        filled(database, [], fields=("dense", "late"))
        made = embedded(TEXTS[:5]).dense
        assert made is not None
        database.write("docs", Points(ids=range(5), vectors={"dense": made}, payloads=[{}] * 5))
        found, plain = search(database, ASKED, LATE), search(database, ASKED, PLAIN)

    assert pairs(found) == pairs(plain)
    assert found.notes == ("5 of the first 5 points have no vector 'late' to rerank by",)


def test_where_nothing_is_found_nothing_is_reranked(store: EmbeddedDatabase) -> None:
    assert search(store, ASKED, LATE, name="empty").points == ()


# ------------------------------------------------------------------------------------------------ what it takes


def test_the_question_is_read_once_for_all(store: EmbeddedDatabase) -> None:
    by = Watched()

    search(store, ASKED, LATE, by=by)

    (request,) = by.asked
    assert request.outputs == {"dense", "sparse", "multi"}
    assert by.scored == []


def test_of_the_folder_only_candidates_are_read(store: EmbeddedDatabase) -> None:
    asked: list[Query] = []

    class Told(EmbeddedDatabase):
        def query(self, name: str, query: Query) -> list[Hit]:
            asked.append(query)
            return super().query(name, query)

    with closing(Told(store.root)) as told:
        search(told, ASKED, LATE)
        there = told.describe("docs")

    assert there is not None
    assert [len(one.among or ()) for one in asked if one.field == "late"] == [8]


# ------------------------------------------------------------------------------------------------ when it is not done


def test_where_cosines_are_sure_nothing_is_compared(tmp_path: Path) -> None:
    how = replace(LATE, is_adaptive=True, limit=1, rerank_top=1)
    with closing(EmbeddedDatabase(tmp_path)) as database:
        filled(database, ["panda river"], fields=("dense", "late"))
        found = search(database, "stone", how)

    assert found.notes == ("'late' was not asked, since the first ranking is sure",)
    assert "rerank" not in found.points[0].scores


def test_a_field_comes_before_a_model_of_its_name(store: EmbeddedDatabase) -> None:
    by = HashEncoder(
        [hash_spec("hash", dim=DIM, cuts=(4,), outputs=("dense", "sparse", "multi")), overlap_spec("late")]
    )

    assert pairs(search(store, ASKED, LATE, by=by)) == pairs(search(store, ASKED, LATE))


@pytest.mark.parametrize("name", ["dense", "bm25"])
def test_a_field_with_one_vector_a_point_reranks_nothing(name: str, store: EmbeddedDatabase) -> None:
    with pytest.raises(BadRequest, match=rf"vector '{name}' .* only multi vectors rerank; .* one of these: 'late'"):
        search(store, ASKED, replace(LATE, reranker=name))


def test_vectors_of_a_model_that_is_not_open_rerank_nothing(store: EmbeddedDatabase) -> None:
    with pytest.raises(Mismatch, match=r"'docs' cannot be reranked so: no model is open .* vector 'late'"):
        search(store, ASKED, replace(LATE, fields=("bm25",)), by=HashEncoder([hash_spec("other")]))
