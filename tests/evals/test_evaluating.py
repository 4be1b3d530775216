"""Systems that are lists, and labelled sets of a few queries: what the report says, and what is refused before it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone

import ir_measures
import msgspec
import pytest

from embedstack.errors import BadRequest, Upstream
from embedstack.evals.contenders import contenders, duels
from embedstack.evals.evaluating import Evaluated, EvaluateHow, evaluate
from embedstack.evals.limits import Ceiling, Margin
from embedstack.evals.measures import DEFAULT
from embedstack.evals.outcome import Outcome
from embedstack.evals.sets.labelled import Labelled
from embedstack.evals.systems.system import Ranked, System
from support.ranked import Clock, Listed

DOCUMENTS = [f"d{number}" for number in range(20)]
QUERIES = [f"q{number}" for number in range(12)]
SET = Labelled(
    name="a set",
    digest="5e7",
    documents={document: f"text {document}" for document in DOCUMENTS},
    queries={query: f"what is {query}?" for query in QUERIES},
    qrels={query: {DOCUMENTS[at]: 1, DOCUMENTS[at + 1]: 2, "d19": 0} for at, query in enumerate(QUERIES)},
    notes=("three queries left out",),
)
HOW = EvaluateHow(resamples=500)
BEST = {query: [DOCUMENTS[at + 1], DOCUMENTS[at]] for at, query in enumerate(QUERIES)}
WORSE = {query: ["d19", *ranking] for query, ranking in BEST.items()}
NONE: Mapping[str, Sequence[str]] = {}
TIMES = {"prepare_s": 0.0, "search_s": 0.0}


def of(evaluated: Evaluated, name: str) -> Outcome:
    return next(outcome for outcome in evaluated.report.outcomes if outcome.system == name)


def hybrid(name: str = "hybrid") -> Listed:
    return Listed(name, BEST, legs=(Listed("dense", WORSE), Listed("sparse", NONE)))


# ------------------------------------------------------------------------------------------------ measured


def test_measures_are_those_of_ir_measures() -> None:
    run = {query: {hit: 1 / rank for rank, hit in enumerate(hits, 1)} for query, hits in WORSE.items()}
    theirs = {"ndcg@10": ir_measures.nDCG @ 10, "mrr@10": ir_measures.RR, "map": ir_measures.AP,
              "recall@100": ir_measures.R @ 100, "judged@10": ir_measures.Judged @ 10}  # fmt: skip

    outcome = of(evaluate(SET, [Listed("worse", WORSE)], HOW), "worse")

    assert list(outcome.measures) == list(DEFAULT)
    for name, measure in theirs.items():
        per_query = {m.query_id: m.value for m in ir_measures.iter_calc([measure], SET.qrels, run)}
        assert outcome.queries[name] == pytest.approx(per_query, abs=1e-12)
        assert outcome.measures[name].value == pytest.approx(sum(per_query.values()) / 12, abs=1e-12)


def test_order_that_the_system_gives_is_judged_also_where_scores_are_equal() -> None:
    tied = {"q0": [Ranked("d1", 1.0), Ranked("d0", 1.0)]}
    turned = {"q0": [Ranked("d0", 1.0), Ranked("d1", 1.0)]}
    one = replace(SET, qrels={"q0": {"d1": 1}}, queries={"q0": "?"})

    made = evaluate(one, [Listed("tied", tied), Listed("turned", turned)], replace(HOW, measures=["mrr@10"]))

    assert [outcome.measures["mrr@10"].value for outcome in made.report.outcomes] == [1, 0.5]


def test_document_that_the_set_does_not_know_counts_as_unjudged() -> None:
    strange = {query: ["from elsewhere", *ranking] for query, ranking in BEST.items()}

    outcome = of(evaluate(SET, [Listed("strange", strange)], HOW), "strange")

    assert outcome.measures["mrr@10"].value == 0.5
    assert outcome.measures["judged@10"].value == pytest.approx(2 / 3)


def test_measures_have_their_own_names_whichever_spelling_was_asked_for() -> None:
    made = evaluate(SET, [Listed("a", BEST)], replace(HOW, measures=("NDCG_cut_5", "P@1", "nDCG@5")))

    assert list(of(made, "a").measures) == ["ndcg@5", "precision@1"]


def test_rankings_come_back_with_the_report() -> None:
    made = evaluate(SET, [hybrid()], HOW)

    assert [hit.document for hit in made.rankings["dense"]["q3"]] == ["d19", "d4", "d3"]
    assert list(made.rankings) == ["hybrid", "dense", "sparse"]
    assert list(made.rankings["sparse"]) == QUERIES


def test_report_says_of_what_and_by_what_it_is() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)

    report = evaluate(SET, [Listed("a", BEST)], HOW, now=lambda: at, version="1.2", machine="a small one").report

    assert (report.data, report.digest, report.documents, report.judged, report.depth) == ("a set", "5e7", 20, 12, 100)
    assert (report.version, report.machine, report.made_at) == ("1.2", "a small one", "2026-01-02T03:04:05+00:00")
    assert (report.confidence, report.resamples, report.verdict) == (0.95, 500, None)


def test_the_same_call_gives_the_same_report_but_its_times() -> None:
    def report(seed: int) -> object:
        made = evaluate(SET, [Listed("a", WORSE), hybrid()], replace(HOW, seed=seed), clock=Clock()).report
        return msgspec.structs.replace(made, made_at="")

    assert report(1) == report(1) != report(2)


def test_set_without_texts_judges_systems_that_need_none() -> None:
    made = evaluate(replace(SET, documents={}, queries={}), [Listed("a", BEST)], HOW)

    assert (made.report.documents, of(made, "a").measures["ndcg@10"].value) == (0, 1)


# ------------------------------------------------------------------------------------------------ legs


def test_legs_are_measured_behind_what_they_are_part_of() -> None:
    inner = hybrid("inner")
    outcomes = evaluate(SET, [Listed("outer", BEST, legs=(inner,)), Listed("other", BEST)], HOW).report.outcomes

    assert [(outcome.system, outcome.part_of) for outcome in outcomes] == [
        ("outer", ""), ("inner", "outer"), ("dense", "inner"), ("sparse", "inner"), ("other", ""),
    ]  # fmt: skip


def test_leg_of_two_systems_is_measured_once() -> None:
    log: list[tuple[str, str]] = []
    dense = Listed("dense", WORSE, log=log)

    evaluate(SET, [Listed("a", BEST, legs=(dense,)), Listed("b", BEST, legs=(dense,))], HOW)

    assert len(log) == len(QUERIES)


def test_leg_that_is_named_itself_is_part_of_nothing() -> None:
    found = contenders([hybrid(), Listed("dense", WORSE)])

    assert [(one.system.name, one.part_of) for one in found] == [("hybrid", ""), ("sparse", "hybrid"), ("dense", "")]


def test_system_is_held_against_the_first_and_a_whole_against_each_of_its_legs() -> None:
    systems = [Listed("base", WORSE), hybrid(), Listed("reranked", BEST, legs=(hybrid("inner"),))]

    assert duels(systems) == [
        ("base", "hybrid"), ("base", "reranked"), ("dense", "hybrid"), ("sparse", "hybrid"), ("inner", "reranked"),
        ("dense", "inner"), ("sparse", "inner"),
    ]  # fmt: skip


def test_two_systems_are_held_against_each_other_once() -> None:
    whole = hybrid()

    assert duels([whole.legs[0], whole]) == [("dense", "hybrid"), ("sparse", "hybrid")]
    assert duels([whole, whole.legs[0]]) == [("hybrid", "dense"), ("sparse", "hybrid")]


def test_comparison_says_for_how_many_queries_the_candidate_is_better() -> None:
    better_in_three = {**WORSE, **{query: BEST[query] for query in QUERIES[:3]}}

    made = evaluate(SET, [Listed("a", WORSE), Listed("b", better_in_three)], replace(HOW, measures=["mrr@10"]))

    (found,) = made.report.comparisons
    assert (found.measure, found.baseline, found.candidate) == ("mrr@10", "a", "b")
    assert (found.wins, found.losses, found.ties, found.delta.value) == (3, 0, 9, pytest.approx(0.125))


def test_to_have_been_judged_is_not_compared() -> None:
    comparisons = evaluate(SET, [Listed("a", WORSE), Listed("b", BEST)], HOW).report.comparisons

    assert [one.measure for one in comparisons] == ["ndcg@10", "mrr@10", "recall@100", "map"]


# ------------------------------------------------------------------------------------------------ times


def test_preparing_a_whole_takes_what_its_legs_take_and_its_own() -> None:
    clock = Clock()
    dense, sparse = (Listed(name, BEST, clock=clock, prepare_s=took) for name, took in (("dense", 4), ("sparse", 2)))

    made = evaluate(SET, [Listed("a", BEST, legs=(dense, sparse), clock=clock, prepare_s=1)], HOW, clock=clock)

    assert [outcome.prepare_s for outcome in made.report.outcomes] == [7, 4, 2]


def test_all_queries_at_once_are_timed() -> None:
    clock = Clock()

    made = evaluate(SET, [Listed("a", BEST, clock=clock, takes_s=[3])], HOW, clock=clock)

    assert (of(made, "a").search_s, made.report.took_s, of(made, "a").latency) == (3, 3, None)


def test_systems_that_were_named_are_timed_and_their_legs_are_not() -> None:
    made = evaluate(SET, [hybrid(), Listed("b", BEST)], replace(HOW, samples=20))

    assert {one.system: one.latency and one.latency.samples for one in made.report.outcomes} == {
        "hybrid": 20, "dense": None, "sparse": None, "b": 20,
    }  # fmt: skip


def test_what_takes_long_is_told() -> None:
    told: list[tuple[str, int, int]] = []

    evaluate(SET, [Listed("a", BEST)], replace(HOW, samples=2), progress=lambda *one: told.append(one))

    assert told == [
        ("documents by a", 20, 20), ("queries by a", 0, 12), ("queries by a", 12, 12),
        ("single queries", 1, 2), ("single queries", 2, 2),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------ the gate


def test_second_system_is_judged_by_the_limits_against_the_first() -> None:
    how = replace(HOW, limits=(Margin("ndcg@10", 0.02),))

    assert evaluate(SET, [Listed("a", {"q0": ["d0"]}), Listed("b", BEST)], how).report.verdict == "PASS"
    assert evaluate(SET, [Listed("a", WORSE), Listed("b", WORSE)], how).report.verdict == "INCONCLUSIVE"
    assert evaluate(SET, [Listed("a", BEST), Listed("b", NONE)], how).report.verdict == "FAIL"


def test_limit_of_latency_is_judged_by_the_samples() -> None:
    clock = Clock()
    systems = [Listed("a", BEST, clock=clock), Listed("b", BEST, clock=clock, takes_s=[0.010])]

    report = evaluate(SET, systems, replace(HOW, samples=30, limits=(Ceiling("p50", 5),)), clock=clock).report

    assert (report.verdict, report.checks[0].found.value) == ("FAIL", pytest.approx(10))


# ------------------------------------------------------------------------------------------------ notes


def notes(report_of: Evaluated) -> str:
    return "\n".join([*report_of.report.notes, *(note for one in report_of.report.outcomes for note in one.notes)])


def test_notes_of_the_set_and_of_the_systems_are_kept() -> None:
    made = evaluate(SET, [Listed("a", BEST)], HOW)

    assert made.report.notes == ("three queries left out",)
    assert of(made, "a").notes == ("a is a list",)


def test_queries_without_an_answer_are_noted() -> None:
    made = evaluate(SET, [Listed("a", {**BEST, "q4": [], "q7": []})], HOW)

    assert "2 of 12 queries got no document and count as 0, the first is 'q4'" in notes(made)


def test_recall_that_nothing_can_bring_to_one_is_noted() -> None:
    qrels = {**SET.qrels, "q0": {"d19": 0}}

    made = evaluate(replace(SET, qrels=qrels), [Listed("a", BEST)], replace(HOW, measures=["recall@1", "recall@2"]))

    cap = 11 * 0.5 / 12
    assert f"recall@1 is at most {cap:.4f} here, whatever the system: 11 of 12 queries have more" in notes(made)
    assert "and 1 have none" in notes(made)


def test_ties_that_decide_the_figures_are_noted_and_others_are_not() -> None:
    matters = {**BEST, "q5": [Ranked("d6", 0.5), Ranked("d5", 0.5)]}
    does_not = {**BEST, "q5": [Ranked("d6", 1.0), Ranked("d5", 0.5), Ranked("d19", 0.1), Ranked("d18", 0.1)]}

    assert "1 of 12 queries have documents of equal score" in notes(evaluate(SET, [Listed("a", matters)], HOW))
    assert "equal score" not in notes(evaluate(SET, [Listed("a", does_not)], HOW))


def test_system_that_finds_what_nobody_judged_is_noted() -> None:
    unjudged = {query: [f"d{number}" for number in range(14, 19)] for query in QUERIES}

    assert "judged@10 is 0.00 for 'b' and 1.00 for 'a'" in notes(
        evaluate(SET, [Listed("a", BEST), Listed("b", unjudged)], HOW)
    )


def test_few_samples_of_latency_are_noted() -> None:
    assert "20 samples of latency" in notes(evaluate(SET, [Listed("a", BEST)], replace(HOW, samples=20)))


# ------------------------------------------------------------------------------------------------ refused


class Lazy(Listed):
    """Answers the first query alone."""

    def search(self, queries, limit):  # type: ignore[no-untyped-def]
        return super().search(queries[:1], limit)


class Generous(Listed):
    """Gives what it has, however little was asked for."""

    def search(self, queries, limit):  # type: ignore[no-untyped-def]
        return super().search(queries, limit + 1)


@pytest.mark.parametrize(
    ("system", "says"),
    [
        (Listed("a", {**BEST, "q2": ["d1", "d2", "d1"]}), "query 'q2' has document 'd1' twice"),
        (Listed("a", {**BEST, "q2": [Ranked("d1", 0.5), Ranked("d2", 0.6)]}), "'d2' with score 0.6 at rank 2"),
        (Listed("a", {**BEST, "q2": [Ranked("d1", math.nan)]}), "query 'q2' gives document 'd1' the score nan"),
        (Listed("a", {**BEST, "q2": [Ranked("d1", math.inf)]}), "the score inf"),
        (Lazy("a", BEST), "it answers 1 of 12 queries"),
        (Generous("a", {**BEST, "q2": [f"x{number}" for number in range(101)]}), "query 'q2' has 101 documents"),
    ],
)
def test_ranking_that_is_none_is_refused_naming_system_and_query(system: System, says: str) -> None:
    with pytest.raises(BadRequest, match=rf"^system 'a': .*{says}"):
        evaluate(SET, [system], HOW)


def test_error_of_a_system_is_named() -> None:
    away = Listed("away", BEST, fails_at=1, fails_with=Upstream("nobody answers", retry=True))

    with pytest.raises(Upstream, match=r"^system 'away': nobody answers$") as caught:
        evaluate(SET, [Listed("a", BEST), away], HOW)

    assert caught.value.retry


def test_error_that_names_its_system_is_left_as_it_is() -> None:
    torn = Listed("torn", BEST, fails_at=1, fails_with=BadRequest("the file of system 'torn' is torn"))

    with pytest.raises(BadRequest, match=r"^the file of system 'torn' is torn$"):
        evaluate(SET, [torn], HOW)


@pytest.mark.parametrize(
    ("change", "names", "says"),
    [
        ({}, "", "there is no system to evaluate"),
        ({}, "aba", "system 'a' is named twice"),
        ({"measures": ()}, "a", "there is nothing to measure"),
        ({"measures": ("ndgc@10",)}, "a", "no measure is called 'ndgc@10'"),
        ({"depth": 99}, "a", "99 documents of each ranking are too few; the measures look at 100"),
        ({"depth": 0, "measures": ("map",)}, "a", "0 documents of each ranking are too few"),
        ({"samples": -1}, "a", "-1 samples of latency"),
        ({"resamples": 5}, "a", "5 resamples are too few"),
        ({"confidence": 95}, "a", "confidence=95 is not from 0.5"),
        ({"limits": (Margin("ndcg@10", 0.02),)}, "a", "a gate takes a baseline and a candidate"),
        ({"limits": (Margin("ndcg@5", 0.02),)}, "ab", "a limit of ndcg@5 needs that measure"),
        ({"limits": (Ceiling("p99", 100),)}, "ab", "a limit of p99 needs samples of latency"),
    ],
)
def test_wish_that_cannot_be_had_is_refused_before_anything_is_prepared(
    change: Mapping[str, object], names: str, says: str
) -> None:
    systems = [Listed(name, BEST) for name in names]

    with pytest.raises(BadRequest, match=says):
        evaluate(SET, systems, replace(HOW, **change))
    assert not any(system.prepared for system in systems)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"qrels": {}}, "'a set' has no judged query"),
        ({"queries": {"q0": "what is it?"}}, "'a set' judges query 'q1' and has no text of it"),
    ],
)
def test_set_that_cannot_be_judged_by_is_refused_before_anything_is_prepared(
    change: Mapping[str, Mapping[str, str]], says: str
) -> None:
    system = Listed("a", BEST)

    with pytest.raises(BadRequest, match=says):
        evaluate(replace(SET, **change), [system], HOW)
    assert not system.prepared


def test_set_without_texts_cannot_be_timed() -> None:
    with pytest.raises(BadRequest, match="'a set' has no texts of queries"):
        evaluate(replace(SET, documents={}, queries={}), [Listed("a", BEST)], replace(HOW, samples=10))
