"""`embedstack eval threshold`: from which cosine on two texts mean the same."""

import json
from pathlib import Path

import pytest

from embedstack.errors import BadRequest, ConfigError
from embedstack.evals.calibration import Calibration
from embedstack.evals.reports.reporting import calibration_from_json
from embedstack.testing.fake import HashEncoder
from support.commands import good, run
from support.serving import serving

WORDS = ("panda", "bee", "kettle", "bread", "ferry", "cello", "river", "stone")
FAST = ("--resamples", "400", "-q")


@pytest.fixture
def pairs(machine: Path) -> str:
    """Equal texts are the same, others are not."""
    rows = [(f"the {one} sleeps", f"the {other} sleeps", int(one == other)) for one in WORDS for other in WORDS]
    (machine / "pairs.csv").write_text("".join(f"{first},{second},{grade}\n" for first, second, grade in rows))
    return "pairs.csv"


def found(*arguments: str) -> list[Calibration]:
    lines = good("eval", "threshold", *arguments, *FAST, "--json").stdout.splitlines()
    return [calibration_from_json(line.encode()) for line in lines]


def test_equal_texts_are_told_from_others(pairs: str, embedder: str) -> None:
    (made,) = found(pairs, embedder)

    assert (made.pairs, made.same, made.auc) == (64, 8, 1.0)
    assert made.best.threshold == pytest.approx(1.0)


def test_people_read_a_sentence_and_a_table(pairs: str, embedder: str) -> None:
    said = good("eval", "threshold", pairs, embedder, *FAST).stdout

    assert said.startswith("Two texts mean the same from a cosine of 1.0000")
    assert "best F1" in said


def test_each_model_has_thresholds_of_its_own(pairs: str, embedder: str) -> None:
    with serving(HashEncoder) as url:
        ours, theirs = found(pairs, embedder, f"hash@{url}")

    assert (ours.identity and ours.identity.model, theirs.identity and theirs.identity.model) == ("bert-mean", "hash")


def test_the_role_and_the_thresholds_are_as_they_are_asked_for(pairs: str, embedder: str) -> None:
    (made,) = found(pairs, embedder, "--role", "query", "--precise", "0.8", "--at", "0.6", "--at", "0.4")

    assert made.role == "query"
    assert [one.rule for one in made.precise] == ["precision at least 0.8"]
    assert [one.threshold for one in made.fixed] == [0.6, 0.4]


def test_a_folder_has_three_files_of_each_model(pairs: str, embedder: str) -> None:
    with serving(HashEncoder) as url:
        good("eval", "threshold", pairs, embedder, f"hash@{url}", "--out", "report", *FAST)

    endings = sorted(path.suffix for path in Path("report").iterdir())
    kinds = {json.loads(path.read_text())["kind"] for path in Path("report").glob("*.json")}
    assert endings == sorted([".html", ".md", ".json"] * 2)
    assert kinds == {"calibration"}


def test_grades_that_are_not_0_and_1_must_be_told_what_they_mean(machine: Path) -> None:
    Path("pairs.csv").write_text("a,b,0.5\na,a,5\nb,b,5\nb,a,1\n")

    result = run("eval", "threshold", "pairs.csv", "no-such-model")

    assert isinstance(result.exception, BadRequest)
    assert "from 0.5 to 5" in str(result.exception)
    assert "--same-from" in str(result.exception)


@pytest.mark.parametrize("name", ["bm25", "hash:sparse", "a+b", "a~b", "db#docs", "a.run"])
def test_other_systems_have_no_cosines(pairs: str, name: str) -> None:
    result = run("eval", "threshold", pairs, name)

    assert isinstance(result.exception, BadRequest)
    assert "has no cosines" in str(result.exception)


def test_no_message_holds_a_secret(pairs: str) -> None:
    result = run("eval", "threshold", pairs, "m:sparse@http://me:hush-hush@host")

    assert isinstance(result.exception, BadRequest)
    assert "hush" not in str(result.exception)


def test_a_reranker_has_none_either(pairs: str, reranker: str) -> None:
    result = run("eval", "threshold", pairs, reranker, *FAST)

    assert isinstance(result.exception, BadRequest)
    assert "the scores of a reranker" in str(result.exception)


def test_a_file_that_is_none_of_pairs_is_refused(machine: Path) -> None:
    Path("questions.csv").write_text("query,text\na,b\n")

    result = run("eval", "threshold", "questions.csv")

    assert isinstance(result.exception, ConfigError)
    assert "sentence1, sentence2 and score" in str(result.exception)
