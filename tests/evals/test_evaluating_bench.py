"""What bench/evaluating.py asks for, and what its page says."""

from dataclasses import replace
from pathlib import Path

import pytest

from embedstack.evals.sets.labelled import Labelled
from embedstack.testing.fake import hash_spec
from evaluating import Asked, sets, systems_of
from evaluating_page import ALONE_S, criteria, page

ALL = replace(hash_spec(), name="bge-m3", outputs=("dense", "sparse", "multi"))
DENSE = replace(hash_spec(), name="small")
NOBODY = Labelled(name="", digest="", documents={}, queries={}, qrels={})
ENGLISH = Asked("English", NOBODY, "bm25", is_english=True)
RUSSIAN = Asked("Russian", NOBODY, "bm25:ru", is_english=False)
ACROSS = Asked("Russian questions, English paragraphs", NOBODY, "", is_english=False)


def made(opened_s: float) -> dict:
    """A result of two models on one set."""
    figure = {"value": 0.5, "low": 0.4, "high": 0.6}
    system = {
        "measures": {"ndcg@10": figure}, "documents_s": 1.0, "queries_s": 2.0, "notes": ["a note"], "samples": 200,
        "p50_ms": {"value": 8.25, "low": 8.0, "high": 9.0},
        "identities": [{"model": "one", "revision": "r", "space": "s" * 64, "fingerprint": "f" * 64}],
    }  # fmt: skip
    lost = {"value": -0.1, "low": -0.2, "high": 0.1}
    rows = [
        {
            "set": "English",
            "model": model,
            "queries": 1190,
            "documents": 240,
            "opened_s": opened_s,
            "took_s": 3.0,
            "systems": {"bm25": system, model: system},
            "differences": [{"baseline": "bm25", "candidate": model, "delta": lost, "p_value": 0.25}],
        }
        for model in ("one", "other")
    ]
    return {
        "machine": {"processor": "p", "threads": 2, "date": "d", "commit": "c", "python": "3"},
        "versions": {"numpy": "2"},
        "command": "python bench/evaluating.py",
        "default": "one",
        "rows": rows,
        "not_measured": {"bge-m3": "model 'bge-m3' is not here"},
    }


def test_each_kind_of_vectors_is_measured_and_dense_ones_with_bm25() -> None:
    assert systems_of(ALL, ENGLISH, "") == ["bm25", "bge-m3", "bge-m3:sparse", "bge-m3:multi", "bm25+bge-m3"]
    assert systems_of(DENSE, RUSSIAN, "") == ["bm25:ru", "small", "bm25:ru+small"]


def test_across_languages_there_is_no_lexical_baseline() -> None:
    assert systems_of(DENSE, ACROSS, "") == ["small"]


def test_a_reranker_that_reads_english_alone_gets_english_alone() -> None:
    english, all_languages = "ms-marco-MiniLM-L6-v2", "bge-reranker-v2-m3"

    assert systems_of(DENSE, ENGLISH, english)[-1] == f"bm25+small~{english}"
    assert systems_of(DENSE, RUSSIAN, english)[-1] == "bm25:ru+small"
    assert systems_of(DENSE, ACROSS, all_languages)[-1] == f"small~{all_languages}"


@pytest.mark.parametrize(
    ("opened_s", "reached", "failed"),
    [(ALONE_S - 3, True, False), (1.5 * ALONE_S, False, False), (2.1 * ALONE_S, False, True)],
)
def test_an_evaluation_that_takes_too_long_fails(opened_s: float, reached: bool, failed: bool) -> None:
    (one,) = criteria(made(opened_s))

    assert (one.reached, one.has_failed) == (reached, failed)


def test_the_criterion_is_the_sum_of_what_the_tables_show() -> None:
    (one,) = criteria(made(4.0))

    assert (one.what, one.value) == ("opening, 240 documents and 1,190 English questions with one", "7.0 s")
    assert "| one | 0.5000 [0.4000, 0.6000] | 1.0 s | 2.0 s |" in page(made(4.0))
    assert "| English, one | 2 | 4.0 | 3.0 |" in page(made(4.0))


def test_the_page_says_whose_vectors_were_measured() -> None:
    shown = page(made(1.0))

    assert shown.count("| one | r | ssssssssssss | ffffffffffff |") == 1
    assert "the median is 8.2 ms [8.0, 9.0] with one, of 200 that were sent one by one" in shown


def test_the_page_shows_each_system_once_and_what_was_not_measured() -> None:
    shown = page(made(1.0))

    assert shown.count("| bm25 | 0.5000 [0.4000, 0.6000] | 1.0 s | 2.0 s |") == 1
    assert "| other instead of bm25 | -0.1000 [-0.2000, +0.1000] | 0.25 |" in shown
    assert "- model 'bge-m3' is not here" in shown
    assert "nothing of this was measured here" in shown


@pytest.mark.quality
def test_the_two_languages_are_parallel(labelled_sets: Path) -> None:
    english, russian, across = sets(labelled_sets)

    assert (len(english.labelled.queries), len(english.labelled.documents)) == (1190, 240)
    assert across.labelled.queries == russian.labelled.queries
    assert across.labelled.documents == english.labelled.documents
    assert len({one.labelled.digest for one in (english, russian, across)}) == 3
