"""`embedstack eval gate`: limits, and what they make of a candidate."""

import re
from pathlib import Path

import pytest

from embedstack.cli.eval_gate import limits_of, margin_of, share
from embedstack.errors import BadRequest
from embedstack.evals.gate import EXIT_CODES
from embedstack.evals.limits import PRESETS, Ceiling, Margin, Share
from embedstack.evals.reports.reporting import from_json
from support.commands import good, run

QUERIES = 100


@pytest.fixture
def qrels(machine: Path) -> str:
    (machine / "qrels.txt").write_text("".join(f"q{number} 0 d 1\n" for number in range(QUERIES)))
    return "qrels.txt"


def rankings(name: str, found: int) -> str:
    """The document is found for so many of the queries."""
    lines = (f"q{number} Q0 {'d' if number < found else 'x'} 1 1.0 {name}\n" for number in range(QUERIES))
    Path(f"{name}.run").write_text("".join(lines))
    return f"{name}.run"


# ------------------------------------------------------------------------------------------------ verdicts


@pytest.mark.parametrize(("found", "code", "verdict"), [(100, 0, "PASS"), (50, 10, "FAIL"), (78, 11, "INCONCLUSIVE")])
def test_the_exit_code_is_the_verdict(qrels: str, found: int, code: int, verdict: str) -> None:
    result = run("eval", "gate", qrels, rankings("old", 80), rankings("new", found), "--margin", "ndcg@10=0.05")

    assert result.exit_code == code
    assert result.stdout.startswith(verdict)


def test_who_reads_the_json_gets_the_same_exit_code_and_verdict(qrels: str) -> None:
    result = run("eval", "gate", qrels, rankings("old", 80), rankings("new", 50), "--json")

    assert result.exit_code == 10
    assert from_json(result.stdout.encode()).verdict == "FAIL"


def test_it_is_said_how_many_queries_would_decide(qrels: str) -> None:
    said = run("eval", "gate", qrels, rankings("old", 80), rankings("new", 78), "--margin", "mrr@10=0.05").stdout

    (needed,) = set(re.findall(r"about ([\d,]+)", said.split("\n\n")[0]))
    assert int(needed.replace(",", "")) > QUERIES


def test_a_limit_brings_its_measure(qrels: str) -> None:
    result = run(
        "eval", "gate", qrels, rankings("old", 80), rankings("new", 100), "--at-least", "hit@1=0.9", "--measure", "map",
        "--json",
    )  # fmt: skip

    assert list(from_json(result.stdout.encode()).outcomes[0].measures) == ["map", "hit@1"]


def test_a_limit_of_latency_is_held_by_one_query_at_a_time(machine: Path) -> None:
    Path("questions.csv").write_text("query,text\npandas,Pandas sleep.\nbees,Bees fly.\nbread,Bread is baked.\n")
    wide = ("--margin", "ndcg@10=0.9", "--p50-ms", "60000")

    report = from_json(good("eval", "gate", "questions.csv", "bm25", "bm25:ru", *wide, "--json").stdout.encode())

    assert [check.rule for check in report.checks] == [
        "ndcg@10 less than 0.9 below the baseline's",
        "p50 at most 60000 ms",
    ]
    assert report.outcomes[1].latency is not None
    assert report.outcomes[1].latency.samples == 200


@pytest.mark.slow
def test_a_99th_percentile_has_a_thousand_samples(machine: Path) -> None:
    Path("questions.csv").write_text("query,text\npandas,Pandas sleep.\nbees,Bees fly.\nbread,Bread is baked.\n")

    report = from_json(
        run("eval", "gate", "questions.csv", "bm25", "bm25:ru", "--preset", "d15", "--json").stdout.encode()
    )

    assert len(report.checks) == 5
    assert [one.latency.samples for one in report.outcomes if one.latency] == [1000, 1000]


@pytest.mark.parametrize("line", ["q{} Q0 other{} 1 1.0 x\n", "other{} Q0 d{} 1 1.0 x\n"], ids=["documents", "queries"])
@pytest.mark.parametrize("command", [("run",), ("gate",)])
def test_a_file_of_another_set_is_bad_input_and_no_baseline(qrels: str, line: str, command: tuple[str]) -> None:
    Path("wrong.run").write_text("".join(line.format(number, number) for number in range(QUERIES)))
    others = ("wrong.run", rankings("new", 1)) if command == ("gate",) else ("wrong.run",)

    result = run("eval", *command, qrels, *others)

    assert isinstance(result.exception, BadRequest)
    assert result.exception.exit_code == 2
    assert "'wrong.run'" in str(result.exception)
    assert result.stdout == ""


def test_a_baseline_that_finds_nothing_is_no_baseline(qrels: str) -> None:
    result = run("eval", "gate", qrels, rankings("old", 0).replace("x 1", "d 1"), rankings("new", 1))

    assert isinstance(result.exception, BadRequest)


def test_a_candidate_of_rankings_has_no_time_to_keep(qrels: str) -> None:
    result = run("eval", "gate", qrels, rankings("old", 80), rankings("new", 50), "--preset", "d15")

    assert isinstance(result.exception, BadRequest)
    assert "candidate 'new.run' is a file of rankings" in str(result.exception)


# ------------------------------------------------------------------------------------------------ limits


def test_nothing_given_is_the_default() -> None:
    assert limits_of(None, []) == PRESETS["default"]


def test_limits_that_are_given_stand_alone() -> None:
    assert limits_of(None, [Ceiling("p50", 5)]) == (Ceiling("p50", 5),)


def test_beside_a_preset_they_take_the_place_of_its_own_of_their_kind() -> None:
    made = limits_of("d15", [Share("mrr@10", 0.95), Margin("ndcg@10", 0.01), Ceiling("p99", 200)])

    assert made == (
        Share("ndcg@10", 0.90), Share("recall@100", 0.95), Ceiling("p50", 100.0),
        Share("mrr@10", 0.95), Margin("ndcg@10", 0.01), Ceiling("p99", 200),
    )  # fmt: skip


def test_two_of_a_kind_are_refused() -> None:
    with pytest.raises(BadRequest, match=r"two limits of ndcg@10 are given"):
        limits_of(None, [share("ndcg@10=0.9"), share("nDCG@10=0.8")])


def test_a_margin_is_a_loss_and_a_share_is_of_the_baseline() -> None:
    assert (margin_of("MRR@10=0.01"), share("ndcg_cut_10=0.98")) == (Margin("mrr@10", 0.01), Share("ndcg@10", 0.98))


@pytest.mark.parametrize(
    "text", ["mrr@10", "mrr@10=-0.01", "p99=5", "mrr@10=", "mrr@10=2", "foo=0.1", "=0.1", "mrr@10=nan"]
)
def test_what_is_no_margin_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        margin_of(text)


@pytest.mark.parametrize("text", ["ndcg@10", "ndcg@10=-0.1", "p99=5", "ndcg@10=90", "foo=0.9", "=0.9"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        share(text)


def test_a_gate_takes_two() -> None:
    assert run("eval", "gate", "questions.csv", "bm25").exit_code == 2


def test_the_help_names_the_exit_code_of_each_verdict() -> None:
    shown = " ".join(good("eval", "gate", "--help").stdout.split())

    assert all(f"{code} {verdict}" in shown for verdict, code in EXIT_CODES.items())
