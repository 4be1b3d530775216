"""A model, or BM25, over all documents in memory: what is asked of the model, and how often."""

from dataclasses import replace

import numpy as np
import pytest

from embedstack.errors import BadRequest, Mismatch, Upstream
from embedstack.evals.metrics import retrieve
from embedstack.evals.systems.naming import ModelName
from embedstack.evals.systems.opening import SystemHow, open_systems
from embedstack.evals.systems.system import Asked
from embedstack.search.bm25 import Bm25
from embedstack.testing.fake import HashEncoder, hash_spec
from embedstack.types import Encode, Encoded
from support.systems import ALL, DOCUMENTS, QUERIES, Heard, Opened, encoded, one_by_one, quiet, ranking

KINDS = ["hash", "hash:sparse", "hash:multi", "bm25"]
HOW = SystemHow()


def prepared(*names: str, how: SystemHow = HOW, openers: Opened | None = None):
    systems = open_systems(names, openers or Opened(), how)
    for system in systems:
        system.prepare(DOCUMENTS, quiet)
    return systems


def test_dense_rankings_are_those_of_exact_cosines():
    (system,) = prepared("hash")
    queries = encoded([query.text for query in QUERIES], "query").dense
    documents = encoded(list(DOCUMENTS.values()), "document").dense
    expected = retrieve(queries, documents, 10).run([query.id for query in QUERIES], list(DOCUMENTS))

    assert ranking(system) == [list(one.items()) for one in expected.values()]


@pytest.mark.parametrize("name", KINDS)
def test_a_query_alone_gets_the_ranking_that_it_gets_among_others(name):
    (system,) = prepared(name)

    assert ranking(system) == one_by_one(system)
    assert all(ranking(system))


@pytest.mark.parametrize("name", KINDS)
def test_scores_do_not_rise_and_no_more_than_the_limit_come(name):
    (system,) = prepared(name)

    for hits in ranking(system, 3):
        assert len(hits) <= 3
        assert [score for _, score in hits] == sorted((score for _, score in hits), reverse=True)


@pytest.mark.parametrize("name", KINDS)
def test_the_stages_are_embed_and_search(name):
    (system,) = prepared(name)

    assert list(system.search(QUERIES, 3).took_s) == ["embed", "search"]


# ------------------------------------------------------------------------------------------------ what is asked


def test_one_model_reads_documents_once_for_all_its_systems():
    openers = Opened()

    prepared("hash", "hash:sparse", "hash:multi", openers=openers)

    (request,) = openers.models["hash"].encodes
    assert request.outputs == {"dense", "sparse", "multi"}
    assert [item.text for item in request.items] == list(DOCUMENTS.values())


def test_documents_are_read_as_work_that_can_wait_in_requests_of_256_texts():
    openers = Opened()
    (system,) = open_systems(["hash"], openers, HOW)
    told = []

    many = {f"d{number}": f"word{number}" for number in range(600)}
    system.prepare(many, lambda what, done, total: told.append((what, done, total)))

    assert [len(request.items) for request in openers.models["hash"].encodes] == [256, 256, 88]
    assert {request.priority for request in openers.models["hash"].encodes} == {"bulk"}
    assert told == [("documents by hash", done, 600) for done in (256, 512, 600)]
    assert ranking(system) == one_by_one(system)


def test_documents_that_were_taken_are_not_read_again():
    openers = Opened()
    (system,) = prepared("hash", openers=openers)

    system.prepare(dict(DOCUMENTS), quiet)

    assert len(openers.models["hash"].encodes) == 1


def test_other_documents_take_the_place_of_the_first():
    (system,) = prepared("hash")

    system.prepare({"other": "heath"}, quiet)

    assert [[document for document, _ in hits] for hits in ranking(system)] == [["other"]] * len(QUERIES)


def test_a_closed_system_takes_documents_again_when_it_is_prepared():
    (system,) = prepared("hash")
    before = ranking(system)

    system.close()
    system.close()
    with pytest.raises(BadRequest, match="system 'hash' has taken no documents yet; prepare it"):
        system.search(QUERIES, 3)
    system.prepare(DOCUMENTS, quiet)

    assert ranking(system) == before


def test_queries_and_documents_are_read_in_their_roles():
    openers = Opened()
    how = SystemHow(query_role="document", document_role="none")

    (system,) = prepared("hash", how=how, openers=openers)
    ranking(system)

    documents, queries = openers.models["hash"].encodes
    assert {item.role for item in documents.items} == {"none"}
    assert {item.role for item in queries.items} == {"document"}


@pytest.mark.parametrize(("count", "priority"), [(1, "interactive"), (2, "bulk")])
def test_one_query_is_asked_as_a_user_asks_it(count, priority):
    openers = Opened()
    (system,) = prepared("hash", openers=openers)

    system.search(QUERIES[:count], 3)

    assert openers.models["hash"].encodes[-1].priority == priority


def test_a_width_is_that_of_queries_and_documents():
    openers = Opened()

    (system, other) = prepared("hash", "hash:sparse", how=SystemHow(dim=8), openers=openers)
    ranking(system)
    ranking(other)

    assert [request.dim for request in openers.models["hash"].encodes] == [8, 8, None]  # terms have no width
    assert system.identities[0].dim == 8


def test_products_count_lengths_where_they_are_asked_for():
    spec = hash_spec("long")
    encoder = HashEncoder([spec])
    (system,) = prepared("long", how=SystemHow(similarity="dot"), openers=Opened({"long": encoder}))
    queries = encoded([query.text for query in QUERIES], "query", spec=spec).dense
    documents = encoded(list(DOCUMENTS.values()), "document", spec=spec).dense

    expected = retrieve(queries, documents, 10, similarity="dot").run([q.id for q in QUERIES], list(DOCUMENTS))
    assert ranking(system) == [list(one.items()) for one in expected.values()]


def test_an_endpoint_is_opened_by_its_place_and_named_with_it():
    openers = Opened({"hash@http://host:8080": Heard()})

    (system,) = prepared("hash@http://host:8080", openers=openers)

    assert openers.asked == ["hash@http://host:8080 for embed"]
    assert system.name == "hash@http://host:8080"
    assert all(ranking(system))


# ------------------------------------------------------------------------------------------------ what is told


def test_identities_say_whose_vectors_are_compared():
    (system,) = prepared("hash")

    (identity,) = system.identities
    assert (identity.model, identity.space, identity.dim) == ("hash", ALL.space, ALL.dim)
    assert identity.fingerprint == ALL.fingerprint("float32")


def test_documents_that_were_cut_are_counted_in_a_note():
    (system,) = open_systems(["hash"], Opened(), HOW)

    system.prepare({"short": "pine", "long": "pine " * 13, "longer": "pine " * 99}, quiet)

    assert system.notes == ("2 of 3 documents are longer than 12 tokens and were cut",)


def test_queries_that_were_cut_are_counted():
    (system,) = prepared("hash")
    long = Asked("long", "pine " * 13)

    assert system.search([*QUERIES, long], 3).truncated == 1
    assert system.search([long], 3).truncated == 1
    assert system.search(QUERIES, 3).truncated == 0


def test_no_query_at_all_is_refused():
    (system,) = prepared("hash")

    with pytest.raises(BadRequest, match="there is no text for 'hash' to read"):
        system.search([], 3)


def test_a_set_without_texts_is_refused():
    (system,) = open_systems(["hash"], Opened(), HOW)

    with pytest.raises(BadRequest, match="system 'hash' embeds documents, and there are none"):
        system.prepare({}, quiet)


class Turncoat(HashEncoder):
    """Another model answers from the second request on."""

    def __init__(self, *, after: int) -> None:
        super().__init__([hash_spec("turn"), hash_spec("coat")])
        self._left = after

    async def encode(self, request: Encode) -> Encoded:
        self._left -= 1
        model = "turn" if self._left >= 0 else "coat"
        return await super().encode(Encode(model=model, items=request.items, outputs=request.outputs))


def test_an_endpoint_that_changes_its_model_between_documents_is_refused():
    (system,) = open_systems(["turn"], Opened({"turn": Turncoat(after=1)}), HOW)

    with pytest.raises(Mismatch, match=r"'turn' answered as 'turn' .* and then as 'coat'"):
        system.prepare({f"d{number}": f"word{number}" for number in range(300)}, quiet)


@pytest.mark.parametrize("kind", ["dense", "sparse", "multi"])
def test_vectors_that_are_fewer_than_the_texts_are_refused(kind):
    class Short(Heard):
        async def encode(self, request: Encode) -> Encoded:
            return await super().encode(replace(request, items=request.items[1:]))

    (system,) = open_systems([f"hash:{kind}"], Opened({"hash": Short()}), HOW)

    with pytest.raises(Upstream, match=f"'hash' gave 39 {kind} vectors for 40 texts"):
        system.prepare(DOCUMENTS, quiet)


def test_queries_of_another_space_than_the_documents_are_refused_naming_both():
    (system,) = open_systems(["turn"], Opened({"turn": Turncoat(after=1)}), HOW)
    system.prepare(DOCUMENTS, quiet)

    with pytest.raises(Mismatch, match=r"system 'turn' holds vectors of 'turn' .* and these are of 'coat'"):
        system.search(QUERIES, 3)


@pytest.mark.parametrize("name", ["hash", "hash:sparse", "hash:multi"])
def test_a_score_beyond_float32_is_refused(name):
    class Huge(Heard):
        async def encode(self, request: Encode) -> Encoded:
            made = await super().encode(request)
            for column in (made.dense, *(made.multi or ()), *(row.weights for row in made.sparse or ())):
                if column is not None:
                    column[:] = np.float32(1e30)
            return made

    (system,) = prepared(name, how=SystemHow(similarity="dot"), openers=Opened({"hash": Huge()}))

    with pytest.raises(BadRequest, match="beyond float32"):
        system.search(QUERIES, 3)
    with pytest.raises(BadRequest, match="beyond float32"):
        system.search(QUERIES[:1], 3)


# ------------------------------------------------------------------------------------------------ bm25


def test_bm25_scores_are_the_formula_with_the_mean_length_of_these_documents():
    (system,) = prepared("bm25:none")
    counts = [len(text.split()) for text in DOCUMENTS.values()]
    mean = sum(counts) / len(counts)

    def score(query: str, text: str) -> float:
        words, total = text.split(), 0.0
        for term in query.split():
            having = sum(term in other.split() for other in DOCUMENTS.values())
            tf = words.count(term)
            rarity = np.log1p((len(DOCUMENTS) - having + 0.5) / (having + 0.5))
            total += rarity * tf * 2.5 / (tf + 1.5 * (0.25 + 0.75 * len(words) / mean))
        return total

    for query, hits in zip(QUERIES, ranking(system, len(DOCUMENTS)), strict=True):
        by_hand = {name: score(query.text, text) for name, text in DOCUMENTS.items()}
        assert dict(hits) == pytest.approx({name: one for name, one in by_hand.items() if one > 0}, rel=1e-5)
    assert system.identities == (Bm25("none", average=mean).identity,)


def test_bm25_tells_how_far_it_is():
    (system,) = open_systems(["bm25"], Opened(), HOW)
    told = []

    system.prepare({f"d{number}": "pine" for number in range(2500)}, lambda *given: told.append(given))

    assert told == [("documents by bm25", done, 2500) for done in (1000, 2000, 2500)]


def test_a_query_of_stop_words_finds_nothing():
    (system,) = prepared("bm25")

    assert ranking(system, 3, [Asked("q", "the of and")]) == [[]]


def test_a_closed_bm25_takes_documents_again():
    (system,) = prepared("bm25")
    before = ranking(system)

    system.close()
    with pytest.raises(BadRequest, match="system 'bm25' has taken no documents yet"):
        system.search(QUERIES, 3)
    system.prepare(DOCUMENTS, quiet)

    assert ranking(system) == before


def test_a_bm25_that_was_never_prepared_is_refused():
    (system,) = open_systems(["bm25"], Opened(), HOW)

    with pytest.raises(BadRequest, match="bm25 has taken no documents yet"):
        system.search(QUERIES, 3)


def test_names_of_one_model_are_one_reader():
    openers = Opened()
    systems = open_systems(["hash", "hash:multi"], openers, HOW)

    assert systems[0].reader is systems[1].reader
    assert openers.asked == ["hash"]
    assert ModelName("hash", "multi").name == systems[1].name
