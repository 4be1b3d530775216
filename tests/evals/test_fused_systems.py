"""Several systems as one: rankings as the fusions give them, and one reading of queries for all kinds of vectors."""

import pytest

from embedstack.errors import BadRequest
from embedstack.evals.systems.opening import SystemHow, open_systems
from embedstack.evals.systems.system import Asked
from embedstack.search.fuse import dbsf, rrf, weighted
from support.systems import DOCUMENTS, QUERIES, Opened, one_by_one, quiet, ranking

HOW = SystemHow()


def prepared(name: str, how: SystemHow = HOW, openers: Opened | None = None):
    (system,) = open_systems([name], openers or Opened(), how)
    system.prepare(DOCUMENTS, quiet)
    return system


def test_a_fused_ranking_is_the_sum_of_one_over_sixty_and_the_ranks():
    system = prepared("bm25+hash+hash:multi")
    legs = [ranking(leg, 100) for leg in system.legs]

    for place, hits in enumerate(ranking(system, 10)):
        sums = {}
        for leg in legs:
            for rank, (document, _) in enumerate(leg[place], 1):
                sums[document] = sums.get(document, 0.0) + 1 / (60 + rank)
        assert dict(hits) == pytest.approx({document: sums[document] for document, _ in hits}, rel=1e-6)
        assert min(score for _, score in hits) >= sorted(sums.values())[-10] - 1e-8


@pytest.mark.parametrize(
    ("how", "fuse"),
    [
        (SystemHow(fusion="dbsf"), lambda found: dbsf(found, limit=10)),
        (SystemHow(fusion="weighted", weights=(1, 3)), lambda found: weighted(found, (1, 3), limit=10)),
    ],
)
def test_other_fusions_are_those_of_search(how, fuse):
    system = prepared("bm25+hash", how)
    legs = [ranking(leg, 100) for leg in system.legs]

    assert ranking(system) == [fuse([leg[place] for leg in legs]) for place in range(len(QUERIES))]


def test_k_and_weights_change_the_order():
    plain, steep = ranking(prepared("bm25+hash")), ranking(prepared("bm25+hash", SystemHow(rrf_k=1, weights=(1, 9))))

    assert plain != steep


@pytest.mark.parametrize("fusion", ["rrf", "dbsf"])
def test_a_query_alone_gets_the_ranking_that_it_gets_among_others(fusion):
    system = prepared("bm25+hash+hash:sparse", SystemHow(fusion=fusion))

    assert ranking(system) == one_by_one(system)


@pytest.mark.parametrize(("limit", "asked"), [(3, 7), (9, 9)])
def test_each_leg_gives_as_many_as_its_depth_or_as_are_wanted(limit, asked):
    system = prepared("hash+hash:multi", SystemHow(depth=7))
    legs = [ranking(leg, asked) for leg in system.legs]

    assert ranking(system, limit) == [rrf([leg[place] for leg in legs], limit=limit) for place in range(len(QUERIES))]


def test_what_is_reranked_is_as_deep_alone_as_before_the_reranker():
    alone, _ = systems = open_systems(["bm25+hash", "bm25+hash~overlap"], Opened(), SystemHow(depth=3, rerank_top=20))
    for system in systems:
        system.prepare(DOCUMENTS, quiet)

    assert ranking(alone, 3) == [hits[:3] for hits in ranking(alone, 20)]
    assert alone.notes == ("fused by rrf with k=60, from the first 20 documents of each",)


def test_one_model_reads_the_queries_once_for_all_kinds_of_vectors():
    openers = Opened()
    system = prepared("hash+hash:sparse+bm25", openers=openers)

    system.search(QUERIES[:1], 3)

    _, queries = openers.models["hash"].encodes
    assert queries.outputs == {"dense", "sparse"}
    assert queries.priority == "interactive"


def test_a_file_of_rankings_is_fused_with_what_is_searched_here(tmp_path):
    file = tmp_path / "old.run"
    file.write_text("".join(f"{query.id} Q0 d{rank} {rank} {9 - rank} x\n" for query in QUERIES for rank in (1, 2, 3)))
    system = prepared(f"{file}+bm25")
    (lexical,) = system.legs[1:]

    old = [("d1", 8.0), ("d2", 7.0), ("d3", 6.0)]
    assert ranking(system) == [rrf([old, hits], limit=10) for hits in ranking(lexical, 100)]
    assert list(system.search(QUERIES, 3).took_s) == ["embed", "search", "fuse"]


def test_the_stages_are_those_of_the_legs_and_fuse():
    assert list(prepared("bm25+hash").search(QUERIES, 3).took_s) == ["embed", "search", "fuse"]


def test_queries_that_a_leg_cut_are_counted_once():
    system = prepared("hash+hash:sparse+bm25")
    long = [Asked("long", "pine " * 13)]

    assert system.search(long, 3).truncated == 1


def test_identities_are_those_of_the_legs_each_once():
    system = prepared("bm25+hash+hash:multi")

    assert [identity.model for identity in system.identities] == ["bm25-en", "hash"]


def test_it_is_said_how_rankings_are_fused():
    assert prepared("bm25+hash").notes == ("fused by rrf with k=60, from the first 100 documents of each",)
    how = SystemHow(fusion="weighted", weights=(1, 2.5), depth=30)
    assert prepared("bm25+hash", how).notes == (
        "fused by weighted and weights 1, 2.5, from the first 30 documents of each",
    )


def test_it_is_said_how_many_documents_were_fused_where_more_were_wanted():
    system = prepared("bm25+hash", SystemHow(depth=5))

    ranking(system, 7)
    ranking(system, 2)

    assert system.notes == ("fused by rrf with k=60, from the first 7 documents of each",)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (SystemHow(weights=(1, 2, 3)), "system 'bm25\\+hash' has 2 legs, and 3 weights"),
        (SystemHow(fusion="weighted"), "system 'bm25\\+hash' has 2 legs, and 0 weights"),
        (SystemHow(fusion="dbsf", weights=(1, 2)), "fusion 'dbsf' takes no weights"),
        (SystemHow(weights=(1, -2)), "weight -2 of a ranking"),
        (SystemHow(rrf_k=-1), "k=-1 of a fusion by ranks"),
    ],
)
def test_numbers_that_do_not_fit_are_refused_before_anything_is_embedded(how, says):
    openers = Opened()

    with pytest.raises(BadRequest, match=says):
        open_systems(["bm25+hash"], openers, how)
    assert openers.models["hash"].encodes == []
