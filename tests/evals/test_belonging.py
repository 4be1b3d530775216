"""What a labelled set and rankings must have in common."""

from dataclasses import replace
from pathlib import Path

import pytest

from embedstack.errors import BadRequest
from embedstack.evals.evaluating import EvaluateHow, evaluate
from embedstack.evals.limits import Margin
from embedstack.evals.sets.labelled import Labelled
from embedstack.evals.sets.rankings import write_run
from embedstack.evals.systems.ranking_file import RankingFile
from support.ranked import Listed

QUERIES = [f"q{number}" for number in range(10)]
SET = Labelled(
    name="a set",
    digest="5e7",
    documents={"d1": "one", "d2": "two", "d3": "three"},
    queries={query: f"what is {query}?" for query in QUERIES},
    qrels={query: {"d1": 1} for query in QUERIES},
)
UNREAD = replace(SET, documents={}, queries={})
HOW = EvaluateHow(measures=("mrr@10",), resamples=400)
GATE = replace(HOW, limits=(Margin("mrr@10", 0.5),))


def file(tmp_path: Path, name: str, *lines: tuple[str, str]) -> RankingFile:
    path = tmp_path / name
    path.write_text("".join(f"{query} Q0 {document} 1 1.0 x\n" for query, document in lines))
    return RankingFile(name, path)


def whole(tmp_path: Path, name: str = "good.run", document: str = "d1") -> RankingFile:
    return file(tmp_path, name, *((query, document) for query in QUERIES))


@pytest.mark.parametrize("how", [HOW, GATE], ids=["run", "gate"])
@pytest.mark.parametrize(
    ("query", "document", "says"),
    [
        ("x", "d1", "has none of the 10 judged queries of 'a set': there they are 'q0', 'q1', …, in the file 'x0'"),
        ("q", "x", "'a set' knows none of the 1 documents that 'wrong.run' gives: there they are 'd1', 'd2', …, here"),
    ],
)
def test_a_file_of_another_set_is_refused_on_either_side(tmp_path, how, query, document, says) -> None:
    wrong = file(tmp_path, "wrong.run", *((f"{query}{number}", document) for number in range(10)))
    good = whole(tmp_path)

    for systems in ([wrong, good], [good, wrong], [good, Listed("both", {"q0": ["d1"]}, legs=(wrong,))]):
        with pytest.raises(BadRequest) as refused:
            evaluate(SET, systems, how)
        assert says in refused.value.message
    assert "; name " in refused.value.message


def test_it_is_refused_before_anything_is_prepared(tmp_path) -> None:
    slow = Listed("slow", {})

    with pytest.raises(BadRequest):
        evaluate(SET, [slow, file(tmp_path, "wrong.run", ("x", "d1"))], HOW)
    assert slow.prepared == 0


def test_a_set_without_texts_knows_the_documents_that_it_judges(tmp_path) -> None:
    with pytest.raises(BadRequest, match="'a set' knows none of the 1 documents"):
        evaluate(UNREAD, [whole(tmp_path, document="d2")], HOW)
    assert evaluate(SET, [whole(tmp_path, document="d2")], HOW).report.outcomes[0].measures["mrr@10"].value == 0


def test_any_system_that_finds_only_what_nobody_knows_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"none of the 2 documents that system 'chunks' gives: .* here '17', '18'"):
        evaluate(SET, [Listed("chunks", {"q0": ["17"], "q3": ["18"]})], HOW)


def test_where_only_judged_documents_are_known_one_system_that_finds_some_is_enough_for_all() -> None:
    poor = Listed("poor", {"q0": ["d2"]})

    made = evaluate(replace(SET, documents={}), [Listed("good", {"q0": ["d1"]}, legs=(poor,))], HOW)

    assert [one.measures["mrr@10"].value for one in made.report.outcomes] == [0.1, 0]
    told = [
        any("nothing that it found is judged, such as 'd2'" in note for note in one.notes)
        for one in made.report.outcomes
    ]
    assert told == [False, True]
    with pytest.raises(BadRequest, match=r"knows none of the 1 documents that system 'poor' gives"):
        evaluate(replace(SET, documents={}), [poor], HOW)


def test_one_known_document_is_enough() -> None:
    made = evaluate(SET, [Listed("few", {"q0": ["17", "d3"]})], HOW)

    assert made.report.outcomes[0].measures["mrr@10"].value == 0


def test_a_system_that_finds_nothing_at_all_has_figures_of_0() -> None:
    assert evaluate(SET, [Listed("silent", {})], HOW).report.outcomes[0].measures["mrr@10"].value == 0


@pytest.mark.parametrize(("there", "is_taken"), [(5, True), (4, False)])
@pytest.mark.parametrize("side", ["baseline", "candidate"])
def test_a_gate_takes_no_file_that_lacks_more_than_half_of_the_queries(tmp_path, there, is_taken, side) -> None:
    part = file(tmp_path, "part.run", *((query, "d1") for query in QUERIES[:there]))
    systems = [part, whole(tmp_path)] if side == "baseline" else [whole(tmp_path), part]

    if is_taken:
        assert evaluate(SET, systems, GATE).report.verdict is not None
        return
    with pytest.raises(BadRequest) as refused:
        evaluate(SET, systems, GATE)
    assert "'part.run' lacks 6 of the 10 judged queries of 'a set', such as 'q4', 'q5', …" in refused.value.message
    assert refused.value.message.endswith("say so with the line: q4 Q0 (nothing) 1 0 tag")


def test_without_a_gate_it_is_told_and_measured(tmp_path) -> None:
    part = file(tmp_path, "part.run", ("q0", "d1"))

    (outcome,) = evaluate(SET, [part], HOW).report.outcomes

    assert outcome.measures["mrr@10"].value == 0.1
    assert "9 queries are not in the file, such as 'q1'" in outcome.notes


def test_a_gate_takes_a_file_that_says_of_which_queries_it_found_nothing(tmp_path) -> None:
    silent = [(query, "(nothing)") for query in QUERIES[1:]]
    sparse = file(tmp_path, "sparse.run", ("q0", "d1"), *silent)

    report = evaluate(SET, [sparse, whole(tmp_path)], GATE).report

    assert report.verdict == "PASS"
    assert report.outcomes[0].notes == ("9 of 10 queries got no document and count as 0, the first is 'q1'",)


def test_what_a_report_wrote_of_a_system_that_finds_little_is_taken_by_a_gate(tmp_path) -> None:
    made = evaluate(SET, [Listed("little", {"q0": ["d1"]})], HOW)
    write_run(tmp_path / "little.run", made.rankings["little"], "little")

    again = RankingFile("little.run", tmp_path / "little.run")
    report = evaluate(SET, [again, whole(tmp_path)], GATE).report

    assert report.outcomes[0].queries == made.report.outcomes[0].queries


def test_a_gate_takes_no_set_without_a_relevant_document(tmp_path) -> None:
    nothing = replace(SET, qrels={query: {"d1": 0} for query in QUERIES})
    files = [whole(tmp_path), whole(tmp_path, "other.run")]

    assert evaluate(nothing, files, HOW).report.outcomes[0].measures["mrr@10"].value == 0
    with pytest.raises(BadRequest, match="'a set' judges no document as relevant, so mrr@10 is 0 for whatever is"):
        evaluate(nothing, files, GATE)
