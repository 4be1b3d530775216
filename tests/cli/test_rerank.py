"""`embedstack rerank`: the order, the ways in and out, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from embedstack import load
from embedstack.errors import BadRequest, Unsupported
from support.commands import good, run

pytestmark = pytest.mark.usefixtures("machine")
DOCUMENTS = ["the panda is a bear", "music", "light and water", "a bear of china"]


def scores_of(folder: str, *, raw: bool = False) -> np.ndarray:
    with load(folder) as model:
        return model.score("what is a panda?", DOCUMENTS, raw_scores=raw).scores


def test_rerank_writes_score_place_and_document_best_first(reranker: str) -> None:
    scores = scores_of(reranker)

    lines = good("rerank", "what is a panda?", *DOCUMENTS, "-m", reranker).stdout.splitlines()

    order = sorted(range(4), key=lambda n: -scores[n])
    assert lines == [f"{scores[n]:.4f}\t{n}\t{DOCUMENTS[n]}" for n in order]


def test_rerank_shows_only_the_best_n(reranker: str) -> None:
    every, two = (
        good("rerank", "what is a panda?", *DOCUMENTS, "-m", reranker, *more).stdout.splitlines()
        for more in ([], ["--top-n", "2"])
    )

    assert two == every[:2]


def test_rerank_json_has_identity_usage_and_the_documents_as_given(reranker: str) -> None:
    whole = json.loads(good("rerank", "sun", "moon", "star\ntree", "-m", reranker, "--json", "-n", "1").stdout)

    with load(reranker) as model:
        assert (whole["model"], whole["space"]) == ("bert-classifier", model.spec.space)
        assert whole["fingerprint"] == model.spec.fingerprint("float32")
        scored = model.score("sun", ["moon", "star\ntree"])
    assert whole["usage"] == {"items": 2, "tokens": 11, "truncated": 0, "dropped": 0}
    best = scored.order[0]
    assert whole["results"] == [
        {"index": best, "score": pytest.approx(scored.scores[best]), "text": ["moon", "star\ntree"][best]}
    ]


def test_rerank_gives_logits_when_asked(reranker: str) -> None:
    whole = json.loads(good("rerank", "what is a panda?", *DOCUMENTS, "-m", reranker, "--json", "--raw-scores").stdout)

    assert [row["score"] for row in whole["results"]] == pytest.approx(sorted(scores_of(reranker, raw=True))[::-1])
    assert [row["score"] for row in whole["results"]] != pytest.approx(sorted(scores_of(reranker))[::-1])


def test_rerank_puts_a_document_on_one_line(reranker: str) -> None:
    assert good("rerank", "sun", "moon\n\tstar", "-m", reranker).stdout.endswith("\t0\tmoon star\n")


def test_rerank_reads_files_and_stdin(reranker: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"body": "moon"}\n')

    from_file = good("rerank", "sun", "-f", "rows.jsonl", "--field", "body", "-m", reranker).stdout
    from_stdin = good("rerank", "sun", "-m", reranker, stdin="\nmoon\n").stdout

    assert from_file == from_stdin
    assert from_file.endswith("\t0\tmoon\n")


def test_rerank_reports_what_was_cut(reranker: str) -> None:
    result = good("rerank", "sun", "moon " * 60, "star", "-m", reranker)

    assert "1 documents with the query were longer than the model's 40 tokens and were cut" in result.stderr


def test_rerank_without_documents_is_refused(reranker: str) -> None:
    assert isinstance(run("rerank", "sun", "-m", reranker, stdin="").exception, BadRequest)


def test_rerank_with_an_embedder_says_what_to_take(embedder: str) -> None:
    result = run("rerank", "sun", "moon", "-m", embedder)

    assert isinstance(result.exception, Unsupported)
    assert "take another model, for example 'ms-marco-MiniLM-L6-v2'" in str(result.exception)
