"""A search of two stages: which points a reranker reads, where it puts them, and when it is not asked."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from embedstack.databases.database import Database, PointId, Points
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.errors import UnknownModel
from embedstack.search.found import How
from support.searched import TEXTS, Watched, embedded, filled, ids, pairs, search
from support.wrong_databases import Fuses

ASKED = "panda river number7"
PLAIN = How(limit=40, depth=40)
RERANKED = replace(PLAIN, reranker="overlap", rerank_top=8)
ADAPTIVE = replace(RERANKED, is_adaptive=True)
TEXTLESS = (3, 7)
SURE, UNSURE = 1.0, 0.8  # cosines of the first


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedDatabase]:
    """Nobody writes to it."""
    with closing(EmbeddedDatabase(tmp_path_factory.mktemp("store"))) as database:
        filled(database)
        best = ids(search(database, ASKED, replace(PLAIN, fields=("bm25",))))
        _pointing(database, "sure", best[0], SURE)
        _pointing(database, "unsure", best[0], UNSURE)
        _pointing(database, "divided", best[1], SURE)
        filled(database, name="textless")
        for place, payload in zip(TEXTLESS, ({}, {"text": 7}), strict=True):
            database.write("textless", Points(ids=[place], vectors={}, payloads=[payload]))
        filled(database, name="words", fields=("bm25",))
        yield database


def _pointing(database: Database, name: str, first: PointId, cosine: float) -> None:
    """The dense vector of one point has this cosine with the question's; those of all others have 0."""
    filled(database, name=name)
    made = embedded([ASKED], role="query").dense
    assert made is not None
    across = np.eye(len(made[0]))[0] - made[0][0] * made[0]
    across /= np.linalg.norm(across)
    rows = np.stack(
        [cosine * made[0] + (1 - cosine**2) ** 0.5 * across if one == first else across for one in range(40)]
    )
    payloads = [{"text": text} for text in TEXTS]
    database.write(name, Points(ids=range(40), vectors={"dense": rows.astype(np.float32)}, payloads=payloads))


# ------------------------------------------------------------------------------------------------ what it reads


def test_the_first_ones_are_put_in_order_by_the_reranker(store: EmbeddedDatabase) -> None:
    by, before = Watched(), search(store, ASKED, PLAIN)

    found = search(store, ASKED, RERANKED, by=by)

    (request,) = by.scored
    assert [(pair.query, pair.document) for pair in request.items] == [
        (ASKED, one.payload["text"]) for one in before.points[:8]
    ]
    assert sorted(ids(found)[:8], key=str) == sorted(ids(before)[:8], key=str)
    assert ids(found)[:8] != ids(before)[:8]
    assert ids(found)[8:] == ids(before)[8:]


def test_the_rerankers_scores_are_those_of_the_last_stage(store: EmbeddedDatabase) -> None:
    found = search(store, ASKED, RERANKED)

    scores = [one.score for one in found.points]
    assert scores == sorted(scores, reverse=True)
    assert [one.scores["rerank"] for one in found.points[:8]] == scores[:8]
    assert all("fused" in one.scores for one in found.points)
    assert all("rerank" not in one.scores for one in found.points[8:])
    assert [*found.took_s] == ["embed", "search", "fuse", "rerank"]


def test_more_are_reranked_than_are_given(store: EmbeddedDatabase) -> None:
    by = Watched()

    found = search(store, ASKED, How(reranker="overlap", limit=3), by=by)

    assert (len(found.points), len(by.scored[0].items)) == (3, 25)


def test_points_without_a_text_stand_behind_those_that_are_reranked_and_that_is_said(store: EmbeddedDatabase) -> None:
    before = ids(search(store, ASKED, PLAIN, name="textless"))

    found = search(store, ASKED, replace(RERANKED, rerank_top=40), name="textless")

    assert ids(found)[38:] == [one for one in before if one in TEXTLESS]
    assert found.notes == ("2 of the first 40 points have no text under 'text' to rerank",)


def test_where_no_point_has_a_text_nothing_is_reranked(store: EmbeddedDatabase) -> None:
    by = Watched()

    found = search(store, ASKED, replace(RERANKED, text_key="body"), by=by)

    assert by.scored == []
    assert pairs(found) == pairs(search(store, ASKED, PLAIN))
    assert found.notes == ("8 of the first 8 points have no text under 'body' to rerank",)


def test_the_text_may_be_under_another_key(store: EmbeddedDatabase) -> None:
    by = Watched()

    search(store, ASKED, replace(RERANKED, text_key="tenant"), by=by)

    assert {pair.document for pair in by.scored[0].items} == {"odd", "even"}


def test_a_reranker_that_is_not_there_is_refused(store: EmbeddedDatabase) -> None:
    with pytest.raises(UnknownModel, match="'none'"):
        search(store, ASKED, replace(RERANKED, reranker="none"))


# ------------------------------------------------------------------------------------------------ when it is not asked


def test_the_reranker_is_not_asked_where_cosines_are_sure_and_the_fusion_agrees(store: EmbeddedDatabase) -> None:
    by = Watched()

    found = search(store, ASKED, ADAPTIVE, by=by, name="sure")

    assert by.scored == []
    assert found.notes == ("'overlap' was not asked, since the first ranking is sure",)
    assert pairs(found) == pairs(search(store, ASKED, PLAIN, name="sure"))


def test_the_reranker_is_asked_where_cosines_are_not_high(store: EmbeddedDatabase) -> None:
    by = Watched()

    search(store, ASKED, ADAPTIVE, by=by, name="unsure")

    assert len(by.scored) == 1


def test_the_reranker_is_asked_where_words_put_another_first(store: EmbeddedDatabase) -> None:
    by = Watched()

    search(store, ASKED, replace(ADAPTIVE, weights={"dense": 0.0}), by=by, name="divided")

    assert len(by.scored) == 1


def test_cosines_decide_alone_where_they_are_asked_alone(store: EmbeddedDatabase) -> None:
    by = Watched()

    search(store, ASKED, replace(ADAPTIVE, fields=("dense",)), by=by, name="divided")

    assert by.scored == []


def test_a_cosine_that_stands_alone_after_a_least_score_says_nothing_of_the_others(store: EmbeddedDatabase) -> None:
    by = Watched()

    search(store, ASKED, replace(ADAPTIVE, least={"dense": 0.5}), by=by, name="sure")

    assert len(by.scored) == 1


def test_without_cosines_nothing_is_settled_and_that_is_said(store: EmbeddedDatabase) -> None:
    by = Watched()

    found = search(store, ASKED, ADAPTIVE, by=by, name="words")

    assert len(by.scored) == 1
    assert found.notes == ("no dense vector with cosines is asked, so nothing says whether the first ranking is sure",)


def test_a_database_that_fuses_is_asked_field_by_field_where_cosines_decide(store: EmbeddedDatabase) -> None:
    by = Watched()
    with closing(Fuses(store.root)) as fusing:
        found = search(fusing, ASKED, ADAPTIVE, by=by, name="sure")

    assert by.scored == []
    assert "fuse" in found.took_s
