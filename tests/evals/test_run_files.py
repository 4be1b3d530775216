"""Run files are read and written in the order in which trec_eval judges them; the judge is ir_measures."""

import gzip
import random

import ir_measures
import numpy as np
import pytest

from embedstack.errors import BadRequest, ConfigError
from embedstack.evals.sets.rankings import read_run, write_run
from embedstack.evals.systems.system import Ranked

SCORES = {
    "all equal": lambda draw: 0.5,
    "many equal": lambda draw: draw.choice([1.0, 0.5, 0.0]),
    "equal as float32": lambda draw: 1.0 - draw.choice([0, 1e-9, 2e-9]),
    "not falling": lambda draw: draw.uniform(-1, 1),
    "zeros": lambda draw: draw.choice([0.0, -0.0, 1e-42, -1e-42, 5e-324]),
    "beyond float32": lambda draw: draw.choice([1e300, -1e300, 3.4e38, -3.4e38]),
    "numpy's": lambda draw: np.float32(draw.choice([0.1, 0.2])),
    "whole": lambda draw: draw.randint(-3, 3),
}
CASES = [(kind, seed) for kind in SCORES for seed in range(2)]


def rankings(kind: str, seed: int) -> dict[str, list[Ranked]]:
    draw = random.Random(seed)
    documents = [f"d{number}" for number in range(30)] + ["é", "Z", "a", "doc/1"]
    return {
        f"q{number}": [Ranked(document, SCORES[kind](draw)) for document in draw.sample(documents, draw.randint(1, 30))]
        for number in range(5)
    }


def order(run):
    return {query: [hit.document for hit in ranked] for query, ranked in run.items()}


def ndcg(run) -> dict[str, float]:
    """By ir_measures, of the judgements of a fixed draw."""
    draw = random.Random(7)
    qrels = {f"q{number}": {f"d{n}": draw.choice([0, 1, 2]) for n in range(30)} for number in range(5)}
    return {one.query_id: one.value for one in ir_measures.iter_calc([ir_measures.nDCG @ 10], qrels, run)}


def falling(run) -> dict[str, dict[str, float]]:
    """The same order as scores that no rounding joins."""
    return {query: {d: float(-rank) for rank, d in enumerate(documents)} for query, documents in order(run).items()}


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_what_is_written_is_read_in_its_order(tmp_path, kind, seed):
    given = rankings(kind, seed)
    for name in ("a.run", "a.run.gz"):
        write_run(tmp_path / name, given, "bm25")

        assert order(read_run(tmp_path / name)) == order(given)


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_what_is_written_is_judged_by_others_in_its_order(tmp_path, kind, seed):
    given = rankings(kind, seed)
    write_run(tmp_path / "a.run", given, "bm25")

    assert ndcg(list(ir_measures.read_trec_run(str(tmp_path / "a.run")))) == ndcg(falling(given))


@pytest.mark.parametrize("kind", SCORES)
def test_what_is_written_can_be_told_apart_by_any_reader(tmp_path, kind):
    """Also by one whose processor takes subnormal numbers for 0."""
    write_run(tmp_path / "a.run", rankings(kind, 0), "bm25")
    scores = [np.float32(line.split()[4]) for line in (tmp_path / "a.run").read_text().splitlines()]

    assert all(score == 0 or abs(score) >= np.finfo(np.float32).tiny for score in scores)
    assert np.isfinite(scores).all()


def test_scores_that_fall_already_are_written_as_they_are(tmp_path):
    write_run(tmp_path / "a.run", {"q": [Ranked("a", 0.75), Ranked("b", 0.1), Ranked("c", -2.0)]}, "mine")

    assert (tmp_path / "a.run").read_text() == "q Q0 a 1 0.75 mine\nq Q0 b 2 0.1 mine\nq Q0 c 3 -2.0 mine\n"


def test_the_same_rankings_are_the_same_bytes_when_packed(tmp_path):
    for name in ("a.run.gz", "b.run.gz"):
        write_run(tmp_path / name, rankings("whole", 0), "bm25")

    assert (tmp_path / "a.run.gz").read_bytes() == (tmp_path / "b.run.gz").read_bytes()
    assert (tmp_path / "a.run.gz").read_bytes()[3:8] == bytes(5)  # neither a name nor a time, see RFC 1952


def test_a_query_for_which_nothing_was_found_is_told_from_one_that_was_not_asked(tmp_path):
    write_run(tmp_path / "a.run", {"q1": [], "q2": [Ranked("a", 1.0)]}, "mine")

    assert (tmp_path / "a.run").read_text() == "q1 Q0 (nothing) 1 0 mine\nq2 Q0 a 1 1.0 mine\n"
    assert read_run(tmp_path / "a.run") == {"q1": [], "q2": [Ranked("a", 1.0)]}


def test_others_judge_a_query_for_which_nothing_was_found_as_0(tmp_path):
    write_run(tmp_path / "a.run", {"q1": []}, "mine")
    (found,) = ir_measures.iter_calc(
        [ir_measures.nDCG @ 10], {"q1": {"d1": 1}}, list(ir_measures.read_trec_run(str(tmp_path / "a.run")))
    )

    assert (found.query_id, found.value) == ("q1", 0.0)


def test_the_name_of_a_system_stays_one_column(tmp_path):
    write_run(tmp_path / "a.run", {"q": [Ranked("a", 1.0)]}, "BM25 + dense\n")

    assert (tmp_path / "a.run").read_text() == "q Q0 a 1 1.0 BM25_+_dense\n"


@pytest.mark.parametrize(
    ("ranked", "said"),
    [
        ([Ranked("a b", 1.0)], "the document id 'a b' is empty or has white space"),
        ([Ranked("", 1.0)], "the document id '' is empty"),
        ([Ranked("a", 1.0), Ranked("a", 0.5)], "document 'a' is ranked twice for query 'q'"),
        ([Ranked("(nothing)", 1.0)], "document id '(nothing)' means in a run that nothing was found"),
        ([Ranked("a", float("nan"))], "a score for query 'q' is nan"),
        ([Ranked("a", float("-inf"))], "a score for query 'q' is -inf"),
    ],
)
def test_what_a_run_cannot_hold_is_refused_and_the_old_file_stays(tmp_path, ranked, said):
    (tmp_path / "a.run").write_text("before")

    with pytest.raises(BadRequest) as refused:
        write_run(tmp_path / "a.run", {"p": [Ranked("x", 1.0)], "q": ranked}, "bm25")
    assert said in refused.value.message
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.run", "before")]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"a\.run' cannot be written: No such file or directory"):
        write_run(tmp_path / "missing/a.run", {"q": [Ranked("a", 1.0)]}, "bm25")


# ------------------------------------------------------------------------------------------------ reading


def drawn_run(seed: int) -> str:
    draw = random.Random(seed)
    rows = [
        draw.choice([" ", "\t", "  "]).join(
            [query, "Q0", document, "1", draw.choice(["1", "0.999999999", "0.5", "1e300"]), "t"]
        )
        for query in ("q0", "q1", "q2")
        for document in draw.sample([f"d{number}" for number in range(30)] + ["é", "Z"], 20)
    ]
    draw.shuffle(rows)
    return draw.choice(["\n", "\r\n", "\n\n"]).join(rows) + "\n"


@pytest.mark.parametrize("seed", range(6))
def test_runs_hold_what_ir_measures_reads(tmp_path, seed):
    (tmp_path / "a.run").write_bytes(drawn_run(seed).encode())
    theirs: dict[str, dict[str, float]] = {}
    for one in ir_measures.read_trec_run(str(tmp_path / "a.run")):
        theirs.setdefault(one.query_id, {})[one.doc_id] = one.score

    assert {query: dict(ranked) for query, ranked in read_run(tmp_path / "a.run").items()} == theirs


@pytest.mark.parametrize("seed", range(6))
def test_runs_are_in_the_order_in_which_trec_eval_judges_them(tmp_path, seed):
    (tmp_path / "a.run").write_bytes(drawn_run(seed).encode())

    assert ndcg(falling(read_run(tmp_path / "a.run"))) == ndcg(list(ir_measures.read_trec_run(str(tmp_path / "a.run"))))


def test_packed_runs_and_byte_order_marks_are_read(tmp_path):
    (tmp_path / "a.run.gz").write_bytes(gzip.compress("\ufeffq Q0 a 1 0.5 t\n".encode()))

    assert read_run(tmp_path / "a.run.gz") == {"q": [Ranked("a", 0.5)]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("q Q0 a 1 nan t\n", "line 1 of '{}' has the score 'nan'"),
        ("q Q0 a 1 -inf t\n", "line 1 of '{}' has the score '-inf'"),
        ("q Q0 a 1 1_0 t\n", "line 1 of '{}' has the score '1_0'"),
        ("q Q0 a 1 0,5 t\n", "line 1 of '{}' has the score '0,5'"),
        ("q Q0 a 1 1 t\nq Q0 b 2 0.5\n", "line 2 of '{}' has 5 columns, a run has six"),
        ("q Q0 a 1 1 my tag\n", "line 1 of '{}' has 7 columns"),
        ("q 0 a 1\n", "line 1 of '{}' has 4 columns"),
        ("q Q0 a 1 1 t\np Q0 a 1 1 t\nq Q0 a 2 0.5 t\n", "line 3 of '{}' ranks document 'a' for query 'q' again"),
        ("", "'{}' has no line"),
    ],
)
def test_what_is_no_run_is_refused_with_file_and_line(tmp_path, text, said):
    (tmp_path / "a.run").write_text(text)

    with pytest.raises(ConfigError) as refused:
        read_run(tmp_path / "a.run")
    assert said.format(tmp_path / "a.run") in refused.value.message
