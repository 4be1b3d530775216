"""The first documents of a ranking in a reranker's order."""

from dataclasses import replace

import numpy as np
import pytest

from embedstack.engine.background import wait
from embedstack.errors import BadRequest, Mismatch, Upstream
from embedstack.evals.systems.opening import SystemHow, open_systems
from embedstack.evals.systems.system import Asked
from embedstack.testing.fake import HashEncoder, overlap_spec
from embedstack.types import Pair, Score, Scored
from support.systems import ALL, DOCUMENTS, QUERIES, RERANKER, Opened, one_by_one, quiet, ranking

HOW = SystemHow(rerank_top=8)


def prepared(name: str = "hash~overlap", how: SystemHow = HOW, openers: Opened | None = None):
    (system,) = open_systems([name], openers or Opened(), how)
    system.prepare(DOCUMENTS, quiet)
    return system


def scores_of(query: str, documents: list[str]) -> list[float]:
    pairs = tuple(Pair(query, DOCUMENTS[one]) for one in documents)
    return wait(HashEncoder([RERANKER]).score(Score(model="overlap", items=pairs))).scores.tolist()


def test_the_first_documents_stand_in_the_order_of_their_scores_and_the_others_behind_them():
    system = prepared()
    (first,) = system.legs

    for query, before, after in zip(QUERIES, ranking(first, 20), ranking(system, 20), strict=True):
        top, rest = [one for one, _ in before[:8]], [one for one, _ in before[8:]]
        scored = dict(zip(top, scores_of(query.text, top), strict=True))
        assert after[:8] == sorted(scored.items(), key=lambda hit: (-hit[1], top.index(hit[0])))
        assert [one for one, _ in after[8:]] == rest


def test_scores_do_not_rise():
    for hits in ranking(prepared(), 20):
        assert [score for _, score in hits] == sorted((score for _, score in hits), reverse=True)


def test_more_documents_are_scored_than_are_wanted():
    openers = Opened()
    system = prepared(openers=openers)

    found = ranking(system, 3, QUERIES[:1])

    assert len(found[0]) == 3
    assert len(openers.models["overlap"].scores[-1].items) == 8


def test_a_query_alone_gets_the_ranking_that_it_gets_among_others():
    system = prepared()

    assert ranking(system) == one_by_one(system)


def test_pairs_of_several_queries_are_scored_in_requests_of_256():
    openers = Opened()
    system = prepared(how=SystemHow(rerank_top=30), openers=openers)

    system.search(QUERIES, 3)

    _, *requests = openers.models["overlap"].scores
    assert [len(request.items) for request in requests] == [256, 104]
    assert {request.priority for request in requests} == {"bulk"}


def test_one_query_is_scored_as_a_user_asks_it():
    openers = Opened()
    system = prepared(openers=openers)

    system.search(QUERIES[:1], 3)

    assert openers.models["overlap"].scores[-1].priority == "interactive"


@pytest.mark.parametrize("change", [-1, 1])
def test_scores_of_other_pairs_than_were_sent_are_refused(change):
    class Odd(HashEncoder):
        async def score(self, request: Score) -> Scored:
            scored = await super().score(request)
            more = np.resize(scored.scores, len(scored.scores) + change * (len(scored.scores) > 1))
            return replace(scored, scores=more)

    system = prepared(openers=Opened({"hash": HashEncoder([ALL]), "overlap": Odd([RERANKER])}))

    with pytest.raises(Upstream, match=f"'overlap' gave {16 + change} scores for 16 pairs"):
        system.search(QUERIES[:2], 3)


def test_a_reranker_is_asked_before_anything_is_embedded():
    class Broken(HashEncoder):
        async def score(self, request: Score) -> Scored:
            raise BadRequest("not today")

    openers = Opened()
    openers.models["broken"] = Broken([overlap_spec("broken")])

    with pytest.raises(BadRequest, match="not today"):
        prepared("hash~broken", openers=openers)
    assert openers.models["hash"].encodes == []


def test_a_reranker_at_an_endpoint_is_opened_for_scores():
    openers = Opened()
    openers.models["overlap@tei"] = openers.models["overlap"]

    prepared("hash~overlap@tei", openers=openers)

    assert openers.asked == ["hash", "overlap@tei for rerank"]


def test_a_reranked_ranking_can_be_reranked_again():
    openers = Opened()
    openers.models["better"] = HashEncoder([overlap_spec("better")])
    system = prepared("hash~overlap~better", openers=openers)

    assert [leg.name for leg in system.legs] == ["hash~overlap"]
    assert ranking(system) == one_by_one(system)


def test_the_stages_are_those_of_the_first_ranking_and_rerank():
    assert list(prepared("bm25+hash~overlap").search(QUERIES, 3).took_s) == ["embed", "search", "fuse", "rerank"]


def test_identities_are_those_of_the_first_ranking_and_the_reranker():
    system = prepared()

    assert [identity.model for identity in system.identities] == ["hash", "overlap"]
    assert system.identities[1].fingerprint == RERANKER.fingerprint("float32")


# ------------------------------------------------------------------------------------------------ what is told


def test_pairs_that_were_cut_are_counted_in_a_note():
    (system,) = open_systems(["bm25~overlap"], Opened(), SystemHow())
    system.prepare({"short": "pine", "long": "pine " * 13}, quiet)

    system.search([Asked("q", "pine")], 3)
    system.search([Asked("q", "pine")], 3)

    assert system.notes[1:] == ("1 of 2 queries with a document are longer than it reads and were cut",)


def test_documents_without_a_text_are_not_scored_and_stand_behind(tmp_path):
    file = tmp_path / "old.run"
    file.write_text("q Q0 lost 1 9 x\nq Q0 d1 2 8 x\nq Q0 d2 3 7 x\n")
    system = prepared(f"{file}~overlap")

    ((*scored, last),) = ranking(system, 3, [Asked("q", DOCUMENTS["d2"])])

    assert [document for document, _ in scored] == ["d2", "d1"]
    assert last[0] == "lost"
    assert system.notes[-1] == "1 documents, such as 'lost', were not scored: the set has no text of them"


def test_what_is_settled_is_not_scored_where_that_is_wished_for(tmp_path):
    file = tmp_path / "old.run"
    file.write_text("sure Q0 d1 1 0.95 x\nsure Q0 d2 2 0.1 x\nopen Q0 d1 1 0.95 x\nopen Q0 d2 2 0.94 x\n")
    queries = [Asked("sure", DOCUMENTS["d2"]), Asked("open", DOCUMENTS["d2"])]
    system = prepared(f"{file}~overlap", SystemHow(skips_settled=True))

    sure, unsure = ranking(system, 3, queries)

    assert sure == [("d1", 0.95), ("d2", 0.1)]
    assert [document for document, _ in unsure] == ["d2", "d1"]
    assert system.notes[-1] == "1 queries were not reranked: the first ranking was sure of them"
    assert ranking(prepared(f"{file}~overlap"), 3, queries)[0] != sure


def test_a_set_without_texts_is_refused(tmp_path):
    file = tmp_path / "old.run"
    file.write_text("q Q0 d1 1 9 x\n")
    (system,) = open_systems([f"{file}~overlap"], Opened(), SystemHow())

    with pytest.raises(BadRequest, match="reads documents, and there are no texts"):
        system.prepare({}, quiet)


def test_a_reranker_that_changes_is_refused():
    class Turncoat(HashEncoder):
        turns = iter(["overlap", "other", "other"])

        async def score(self, request: Score) -> Scored:
            return await super().score(Score(model=next(self.turns), items=request.items))

    openers = Opened()
    openers.models["overlap"] = Turncoat([RERANKER, overlap_spec("other")])
    system = prepared(openers=openers)

    with pytest.raises(Mismatch, match=r"reranker 'overlap' scored as 'other' .* and as another before"):
        system.search(QUERIES, 3)


def test_a_score_that_is_no_number_is_refused():
    class Broken(HashEncoder):
        async def score(self, request: Score) -> Scored:
            scored = await super().score(request)
            scored.scores[:] = float("nan")
            return scored

    openers = Opened()
    openers.models["overlap"] = Broken([RERANKER])

    with pytest.raises(BadRequest, match=r"the reranker's score of document .* is nan"):
        ranking(prepared(openers=openers))
