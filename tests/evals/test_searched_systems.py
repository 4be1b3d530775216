"""A collection as a search of it ranks: the judge is the search itself."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from embedstack.databases.database import Collection, Database, Points
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.databases.opening import open_database
from embedstack.errors import BadRequest, Mismatch, UnknownModel
from embedstack.evals.systems.opening import SystemHow, open_systems
from embedstack.evals.systems.system import Asked, System
from embedstack.search.found import Fusion, How
from embedstack.search.hybrid import Searcher
from embedstack.types import Encoder
from support.searched import KINDS, NAME, TEXTS, Watched, embedded, filled
from support.systems import Opened, one_by_one, quiet, ranking

URL = "./store"
DOCUMENTS = {str(number): text for number, text in enumerate(TEXTS)}
QUERIES = [Asked(f"q{number}", " ".join(text.split()[:2])) for number, text in enumerate(TEXTS[:5])]
ALL = f"{URL}#{NAME}/*"
HOW = SystemHow()


@pytest.fixture
def database(tmp_path) -> Iterator[Database]:
    made = EmbeddedDatabase(tmp_path / "store")
    yield made
    made.close()


def opened(
    database: Database, *names: str, how: SystemHow = HOW, models: Mapping[str, Encoder] | None = None,
    documents: Mapping[str, str] = DOCUMENTS,
) -> System:  # fmt: skip
    openers = Opened({"hash": Watched(), "overlap": Watched()} if models is None else models, {URL: database})
    (system, *_) = open_systems(names or (ALL,), openers, how)
    system.prepare(documents, quiet)
    return system


def searched(database: Database, how: How) -> list[list[tuple[str, float]]]:
    """By the search itself."""

    async def each() -> list[list[tuple[str, float]]]:
        searcher = Searcher(database, NAME, Watched())
        found = [await searcher.search(query.text, how) for query in QUERIES]
        return [[(str(point.id), point.score) for point in one.points] for one in found]

    return asyncio.run(each())


def chunked(database: Database) -> None:
    """Three points of each document, the last of which is a mark of its own."""
    filled(database, [f"{text} {part}" for text in TEXTS for part in ("alpha", "omega", "sigma")])
    payloads = [{"doc_id": str(place // 3)} for place in range(3 * len(TEXTS))]
    database.write(NAME, Points(ids=range(3 * len(TEXTS)), vectors={}, payloads=payloads))


def indexed(database: Database) -> None:
    """Collection `index`, of which the dense vector has no name, as `embedstack index` makes it."""
    filled(database)
    fields = {"" if name == "dense" else name: field for name, field in database.describe(NAME).fields.items()}
    database.create(Collection(name="index", fields=fields))
    database.write("index", Points(ids=range(2), vectors={"": embedded(TEXTS[:2]).dense}, payloads=[{}, {}]))


# ------------------------------------------------------------------------------------------------ what is found


@pytest.mark.parametrize(
    ("fusion", "k", "weights"),
    [("rrf", 60, ()), ("rrf", 2, (2.0, 1.0)), ("dbsf", 60, ()), ("weighted", 60, (1.0, 3.0))],
)
def test_documents_of_one_point_each_are_in_the_order_of_the_search(
    database, fusion: Fusion, k: int, weights: tuple[float, ...]
) -> None:
    filled(database)
    by_name = dict(zip(("dense", "bm25"), weights, strict=False))

    system = opened(database, how=SystemHow(fusion=fusion, rrf_k=k, weights=weights))

    for limit in (3, 25):
        expected = searched(database, How(limit=limit, fusion=fusion, rrf_k=k, weights=by_name))
        assert ranking(system, limit, QUERIES) == expected


def test_a_query_alone_gets_the_ranking_that_it_gets_among_others(database) -> None:
    filled(database)
    system = opened(database)

    assert one_by_one(system, 10, QUERIES) == ranking(system, 10, QUERIES)


def test_the_best_point_of_a_document_counts(database) -> None:
    chunked(database)
    system = opened(database)

    expected = []
    for points in searched(database, How(limit=30)):
        best: dict[str, float] = {}
        for point, score in points:
            best.setdefault(str(int(point) // 3), score)
        expected.append([*best.items()][:10])
    assert ranking(system, 10, QUERIES) == expected


def test_the_vectors_are_asked_that_a_search_asks_by_itself(database) -> None:
    filled(database, fields=("dense", "bm25", "sparse", "late"))
    system = opened(database)

    assert ranking(system, 10, QUERIES) == searched(database, How(limit=10))
    assert [leg.name.rpartition("/")[2] for leg in system.legs] == ["dense", "bm25", "sparse"]


@pytest.mark.faults  # the client of Qdrant takes seconds to import
def test_it_is_fused_where_the_database_fuses(tmp_path) -> None:
    database = open_database(f"qdrant-local:{tmp_path}/store")
    filled(database)
    system = opened(database)

    rankings = system.search(QUERIES[:3], 10)

    assert [[tuple(hit) for hit in hits] for hits in rankings.hits] == searched(database, How(limit=10))[:3]
    assert set(rankings.took_s) == {"embed", "search"}
    database.close()


def test_stages_are_those_of_the_search(database) -> None:
    filled(database)

    assert set(opened(database).search(QUERIES, 10).took_s) == {"embed", "search", "fuse"}


def test_it_can_be_a_leg_and_have_a_reranker_behind_it(database) -> None:
    filled(database)
    fused = opened(database, f"bm25+{ALL}")
    reranked = opened(database, f"{ALL}~overlap")

    assert all(ranking(fused, 10, QUERIES))
    assert [one.name for one in reranked.legs] == [ALL]
    assert ranking(reranked, 10, QUERIES) != ranking(reranked.legs[0], 10, QUERIES)


# ------------------------------------------------------------------------------------------------ what is said


def test_each_vector_alone_is_a_leg_under_the_name_that_a_user_would_write(database) -> None:
    filled(database)
    system = opened(database)

    assert [leg.name for leg in system.legs] == [f"{URL}#{NAME}/dense", f"{URL}#{NAME}/bm25"]
    assert [identity.model for identity in system.identities] == ["hash", "bm25-en"]


def test_the_vector_without_a_name_is_the_leg_of_the_collection_alone(database) -> None:
    indexed(database)

    system = opened(database, f"{URL}#index/*", documents={})

    assert [leg.name for leg in system.legs] == [f"{URL}#index", f"{URL}#index/bm25"]


def test_how_it_is_fused_is_told_with_the_depth_of_the_deepest_search(database) -> None:
    filled(database)
    system = opened(database, how=SystemHow(rrf_k=5, weights=(2, 1)))
    ranking(system, 20, QUERIES)
    ranking(system, 3, QUERIES[:1])

    assert system.notes[0] == (
        "asks 'dense' and 'bm25' as search does, fused by rrf with k=5 and weights dense=2, bm25=1, 60 candidates of "
        "each for 20 points"
    )


def test_what_a_search_says_is_told_once_with_how_often(database) -> None:
    filled(database)
    system = opened(database)
    ranking(system, 5, [*QUERIES[:3], Asked("none", "the of and")])

    assert "1 of 4 searches: vector 'bm25' found nothing, since no word of the question counts there" in system.notes


def test_a_vector_that_nobody_signed_is_left_out_and_told(database) -> None:
    filled(database)
    there = database.describe(NAME)
    database.create(replace(there, name=NAME, fields={**there.fields, "sparse": KINDS["sparse"]}))
    system = opened(database)
    ranking(system, 5, QUERIES)

    assert len(system.legs) == 2
    assert any("since nobody has signed vector 'sparse'" in note for note in system.notes)


def test_queries_that_were_cut_are_counted(database) -> None:
    filled(database)
    system = opened(database)
    long = Asked("long", "panda " * 9_000)

    assert system.search([long], 3).truncated == 1
    assert system.search(QUERIES, 3).truncated == 0


def test_documents_that_nobody_judged_are_told(database) -> None:
    filled(database)
    system = opened(database, documents={name: text for name, text in DOCUMENTS.items() if name != "7"})
    ranking(system, 40, QUERIES)

    assert "1 documents that it found are not in the labelled set, such as '7': nobody judged them" in system.notes


def test_who_asks_one_vector_of_several_is_told_how_to_ask_all(database) -> None:
    indexed(database)
    note = "of 2 vectors only 'dense' is asked; ./store#index/* asks all as search does"

    assert note in opened(database, f"{URL}#index", documents={}).notes
    for others in (f"{URL}#index/bm25", f"{URL}#index/*", f"bm25+{URL}#index/*"):
        assert note not in opened(database, f"{URL}#index", others, documents={}).notes


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (SystemHow(weights=(1,)), "asks 2 vectors, dense, bm25, and 1 weights are given"),
        (SystemHow(fusion="dbsf", weights=(1, 2)), "weights have no meaning for the fusion 'dbsf'"),
        (SystemHow(rrf_k=-1), "k=-1 of a fusion by ranks"),
        (SystemHow(query_role="document"), "reads questions in the role 'query', as search does"),
    ],
)
def test_what_a_search_cannot_do_is_refused_when_it_is_opened(database, how: SystemHow, says: str) -> None:
    filled(database)

    with pytest.raises(BadRequest, match=says):
        open_systems([ALL], Opened({"hash": Watched()}, {URL: database}), how)


def test_a_model_that_is_not_found_is_refused(database) -> None:
    filled(database)

    with pytest.raises(UnknownModel, match=r"vector 'dense' of './store#docs/\*' holds vectors of 'hash'"):
        opened(database, models={})


def test_a_collection_that_nobody_signed_is_refused(database) -> None:
    database.create(Collection(name=NAME, fields=KINDS))

    with pytest.raises(Mismatch, match="nobody has signed vector 'dense'"):
        opened(database)


def test_an_empty_collection_is_refused(database) -> None:
    filled(database)
    database.delete(NAME, range(len(TEXTS)))

    with pytest.raises(BadRequest, match="collection 'docs' has no points"):
        opened(database)
