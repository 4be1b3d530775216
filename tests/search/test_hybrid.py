"""A search over a folder: what is asked of whom, how answers are put together, and what is said of it."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace

import pytest

from embedstack.databases.bound import Bound, origin_of
from embedstack.databases.database import (
    Collection,
    Condition,
    Fused,
    Hit,
    Leg,
    Points,
    Query,
    UnknownCollection,
    Where,
)
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.errors import BadRequest, Mismatch, Unsupported
from embedstack.origin import Origin
from embedstack.search.found import Found, How
from embedstack.search.fuse import dbsf, rrf, weighted
from embedstack.search.hybrid import Searcher
from embedstack.testing.fake import HashEncoder, hash_spec
from support.searched import BM25, KINDS, SPEC, TEXTS, Watched, embedded, filled, ids, pairs, search
from support.wrong_databases import Fuses

ASKED = "panda river number7"
TWO = ("dense", "bm25")
PLAIN, ALL, EVERY = How(fields=TWO), How(), How(fields=(*KINDS,))
EVEN = Where(all=(Condition(key="tenant", values=("even",)),))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedDatabase]:
    """With all kinds of vectors; nobody writes to it."""
    with closing(EmbeddedDatabase(tmp_path_factory.mktemp("store"))) as database:
        filled(database, fields=(*KINDS,))
        filled(database, ["panda river"] * 30, name="alike")
        filled(database, [], name="empty")
        yield database


@pytest.fixture(scope="module")
def fusing(store: EmbeddedDatabase) -> Iterator[Fuses]:
    """The same, in a database that fuses."""
    with closing(Fuses(store.root)) as database:
        yield database


def found_by(store: EmbeddedDatabase, field: str, limit: int = 30, where: Where = Where()) -> list[Hit]:  # noqa: B008 - frozen
    """The field alone, asked past the searcher."""
    made = embedded([ASKED], role="query")
    vectors = {"dense": made.dense, "sparse": made.sparse, "late": made.multi, "bm25": [BM25.query(ASKED)]}
    column = vectors[field]
    assert column is not None
    return store.query("docs", Query(vector=column[0], field=field, limit=limit, where=where))


def ranking(store: EmbeddedDatabase, field: str, limit: int = 30) -> list[tuple[int | str, float]]:
    return [(hit.id, hit.score) for hit in found_by(store, field, limit)]


# ------------------------------------------------------------------------------------------------ put together


@pytest.mark.parametrize("field", KINDS)
def test_one_field_is_asked_with_its_own_scores(field: str, store: EmbeddedDatabase) -> None:
    hits = found_by(store, field, 5)

    found = search(store, ASKED, How(fields=(field,), limit=5))

    assert pairs(found) == [(hit.id, hit.score) for hit in hits]
    assert [one.scores for one in found.points] == [{field: hit.score} for hit in hits]
    assert [one.payload["text"] for one in found.points] == [TEXTS[int(hit.id)] for hit in hits]
    assert (found.fields, found.notes, [*found.took_s]) == ((field,), (), ["embed", "search"])


def test_two_fields_are_fused_by_rank_and_keep_their_own_scores(store: EmbeddedDatabase) -> None:
    rankings = {field: ranking(store, field) for field in TWO}

    found = search(store, ASKED, PLAIN)

    assert pairs(found) == rrf([*rankings.values()], k=60, limit=10)
    for one in found.points:
        own = {field: dict(hits)[one.id] for field, hits in rankings.items() if one.id in dict(hits)}
        assert one.scores == {**own, "fused": one.score}
    assert (found.fields, found.notes, [*found.took_s]) == (TWO, (), ["embed", "search", "fuse"])


def test_all_kinds_of_vectors_are_fused_together(store: EmbeddedDatabase) -> None:
    found = search(store, ASKED, EVERY)

    assert pairs(found) == rrf([ranking(store, field) for field in KINDS], limit=10)


def test_k_weights_and_depth_are_the_callers(store: EmbeddedDatabase) -> None:
    wanted = rrf([ranking(store, field, 12) for field in TWO], k=3, weights=[1, 2.5], limit=10)

    found = search(store, ASKED, replace(PLAIN, rrf_k=3, weights={"bm25": 2.5}, depth=12))

    assert pairs(found) == wanted


def test_scores_are_fused_by_their_spread_or_by_weights(store: EmbeddedDatabase) -> None:
    rankings = [ranking(store, field) for field in TWO]

    by_spread = search(store, ASKED, replace(PLAIN, fusion="dbsf"))
    by_weight = search(store, ASKED, replace(PLAIN, fusion="weighted", weights={"dense": 0.2}))

    assert pairs(by_spread) == dbsf(rankings, 10)
    assert pairs(by_weight) == weighted(rankings, [0.2, 1.0], 10)


def test_a_least_score_is_one_of_its_field_before_anything_is_fused(store: EmbeddedDatabase) -> None:
    dense = ranking(store, "dense")
    wanted = rrf([dense[:4], ranking(store, "bm25")], limit=10)

    assert pairs(search(store, ASKED, replace(PLAIN, least={"dense": dense[3][1]}))) == wanted


def test_only_points_that_are_meant_are_found(store: EmbeddedDatabase) -> None:
    legs = [[(hit.id, hit.score) for hit in found_by(store, field, 30, EVEN)] for field in TWO]

    found = search(store, ASKED, replace(PLAIN, where=EVEN))

    assert {one.payload["tenant"] for one in found.points} == {"even"}
    assert pairs(found) == rrf(legs, limit=10)


@pytest.mark.parametrize("fields", [TWO, ("bm25",), ("dense",)])
def test_of_equal_scores_the_lower_id_is_first(fields: tuple[str, ...], store: EmbeddedDatabase) -> None:
    assert ids(search(store, "river", How(limit=7, fields=fields), name="alike")) == [*range(7)]


def test_a_collection_without_points_gives_nothing(store: EmbeddedDatabase) -> None:
    how = How(reranker="overlap", is_adaptive=True)

    assert search(store, ASKED, how, name="empty").points == ()


# ------------------------------------------------------------------------------------------------ who is asked


def test_a_model_reads_the_question_once_for_all_its_fields(store: EmbeddedDatabase) -> None:
    by = Watched()

    search(store, ASKED, EVERY, by=by)

    (request,) = by.asked
    assert request.outputs == {"dense", "sparse", "multi"}
    assert [(item.text, item.role) for item in request.items] == [(ASKED, "query")]  # type: ignore[union-attr]


def test_bm25_needs_no_model(store: EmbeddedDatabase) -> None:
    by = Watched()

    found = search(store, ASKED, How(fields=("bm25",)), by=by)

    assert (ids(found), by.asked) == ([hit.id for hit in found_by(store, "bm25", 10)], [])


def test_vectors_that_were_cut_are_asked_with_ones_that_are(store: EmbeddedDatabase) -> None:
    made = embedded(TEXTS, dim=4)
    assert made.dense is not None
    assert made.sparse is not None
    origin = origin_of(made, "document")
    fields = {"dense": replace(KINDS["dense"], dim=4, origin=origin), "sparse": replace(KINDS["sparse"], origin=origin)}
    store.create(Collection(name="cut", fields=fields))
    vectors = {"dense": made.dense, "sparse": made.sparse}
    store.write("cut", Points(ids=range(len(TEXTS)), vectors=vectors, payloads=[{}] * len(TEXTS)))
    by = Watched()

    both, words = (search(store, ASKED, how, by=by, name="cut") for how in (ALL, How(fields=("sparse",))))

    assert [request.dim for request in by.asked] == [4, None]
    assert len(both.points) == 10
    assert ids(words) == [hit.id for hit in found_by(store, "sparse", 10)]


def test_a_field_whose_model_is_not_open_is_left_out_and_that_is_said(store: EmbeddedDatabase) -> None:
    found = search(store, ASKED, ALL, by=HashEncoder([hash_spec("other")]))

    assert pairs(found) == ranking(store, "bm25", 10)
    assert found.fields == ("bm25",)
    assert found.notes[0].startswith("vector 'bm25' alone, since no model is open that reads questions for vector 'de")


def test_a_model_of_that_name_and_another_space_is_refused(store: EmbeddedDatabase) -> None:
    with pytest.raises(Mismatch, match="vectors of two spaces cannot be compared"):
        search(store, ASKED, PLAIN, by=HashEncoder([replace(SPEC, weights="others")]))


def test_a_collection_that_is_not_there_is_named_with_those_that_are(store: EmbeddedDatabase) -> None:
    with pytest.raises(UnknownCollection, match="collection 'cats' is not there; it has: alike,"):
        search(store, ASKED, ALL, name="cats")


def test_the_loop_goes_on_while_the_database_is_asked(store: EmbeddedDatabase) -> None:
    threads: list[threading.Thread] = []

    class Told(EmbeddedDatabase):
        def query(self, name: str, query: Query) -> list[Hit]:
            threads.append(threading.current_thread())
            return super().query(name, query)

        def describe(self, name: str) -> Collection | None:
            threads.append(threading.current_thread())
            return super().describe(name)

    with closing(Told(store.root)) as told:
        search(told, ASKED, PLAIN)

    assert len(threads) == 3
    assert threading.current_thread() not in threads


def test_many_questions_at_once_are_each_answered(store: EmbeddedDatabase) -> None:
    async def all_of_them() -> list[Found]:
        searcher = Searcher(store, "docs", Watched())
        return await asyncio.gather(*(searcher.search(text, PLAIN) for text in TEXTS))

    together = asyncio.run(all_of_them())

    assert [pairs(found) for found in together] == [pairs(search(store, text, PLAIN)) for text in TEXTS]


# ------------------------------------------------------------------------------------------------ the question


@pytest.mark.parametrize(("text", "words"), [("", "the question is empty"), (" \n", "blank"), ("a\ud800", "surrogate")])
def test_a_question_that_says_nothing_is_refused(text: str, words: str, store: EmbeddedDatabase) -> None:
    with pytest.raises(BadRequest, match=words):
        search(store, text, How(fields=("bm25",)))


def test_a_least_score_that_is_no_number_is_refused(store: EmbeddedDatabase) -> None:
    with pytest.raises(BadRequest, match="least nan"):
        search(store, ASKED, replace(PLAIN, least={"dense": float("nan")}))


def test_a_question_of_stop_words_finds_nothing_by_words_and_that_is_said(store: EmbeddedDatabase) -> None:
    found = search(store, "the of and", PLAIN)

    assert found.notes == ("vector 'bm25' found nothing, since no word of the question counts there",)
    assert len(found.points) == 10
    assert all("bm25" not in one.scores for one in found.points)


def test_a_question_of_unknown_words_finds_nothing_by_words(store: EmbeddedDatabase) -> None:
    assert search(store, "xylophone", How(fields=("bm25",))).points == ()


def test_a_question_that_is_cut_is_said_to_be(store: EmbeddedDatabase) -> None:
    found = search(store, "river " * 300, PLAIN)

    assert found.notes == ("the question was cut: 44 of its tokens are over the 256 that 'hash' reads",)


# ------------------------------------------------------------------------------------------------ a database that fuses

HOWS: Mapping[str, How] = {
    "plain": ALL,
    "k and weights": replace(PLAIN, rrf_k=3, weights={"bm25": 2.5}),
    "by score": replace(PLAIN, fusion="dbsf"),
    "some": replace(PLAIN, where=EVEN, limit=3, least={"dense": 0.0}),
    "deep": replace(PLAIN, limit=40, depth=40, is_exact=True),
    "reranked": replace(PLAIN, reranker="overlap", limit=5),
}


@pytest.mark.parametrize("what", HOWS)
def test_a_database_that_fuses_finds_the_same(what: str, fusing: Fuses, store: EmbeddedDatabase) -> None:
    there, here = (search(database, ASKED, HOWS[what]) for database in (fusing, store))

    assert pairs(there) == pairs(here)
    assert [dict(one.payload) for one in there.points] == [dict(one.payload) for one in here.points]
    assert "fuse" not in there.took_s


class Old(Fuses):
    def fuse(self, name: str, asked: Fused) -> list[Hit]:
        if asked.weights:
            raise Unsupported("it is too old")
        return super().fuse(name, asked)


@pytest.mark.parametrize(("weights", "notes"), [({"dense": 2.0}, ("fused here, since it is too old",)), ({}, ())])
def test_what_a_database_does_not_fuse_is_fused_here_and_that_is_said(
    weights: Mapping[str, float], notes: tuple[str, ...], store: EmbeddedDatabase
) -> None:
    how = replace(PLAIN, weights=weights)
    with closing(Old(store.root)) as old:
        found = search(old, ASKED, how)

    assert found.notes == notes
    assert pairs(found) == pairs(search(store, ASKED, how))


def test_every_leg_of_a_fusion_is_looked_at(fusing: Fuses, store: EmbeddedDatabase) -> None:
    made = embedded([ASKED], role="query")
    assert made.dense is not None
    asked = Fused(legs=[Leg(vector=made.dense[0], field="dense"), Leg(vector=BM25.query(ASKED), field="bm25")])
    mine, counted = origin_of(made), Origin(identity=BM25.identity, role="query")

    hits = Bound(fusing, "docs", {}).fuse(asked, {"dense": mine, "bm25": counted})

    assert [(hit.id, hit.score) for hit in hits] == rrf([ranking(store, field) for field in TWO], limit=10)
    with pytest.raises(Mismatch, match="vector 'bm25' of collection 'docs' holds vectors of 'bm25-en'"):
        Bound(fusing, "docs", {}).fuse(asked, {"dense": mine, "bm25": mine})
    with pytest.raises(Unsupported, match="does not put rankings together"):
        Bound(store, "docs", {}).fuse(asked, {"dense": mine, "bm25": counted})
