"""SPLADE from a text to its terms, against SparseEncoder of sentence-transformers: tokens, cuts, weights."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import embedstack
from embedstack.types import Encode, Text
from support import tiny
from support.families import GOLDEN, Tiny, write
from support.lexical import ROBUST, SMALL, TIED
from support.proofs import RECORDS
from support.runtimes import runtimes

TEXTS = ("the panda", "A River, of the city!", "sun ☃ star", "the moon and the war " * 20)
XLM = tiny.CASES["xlm-roberta-cls"]
CASES: Mapping[str, Tiny] = {
    "bert": TIED,
    "distilbert": SMALL,
    "roberta": ROBUST,
    "xlm-roberta": replace(
        ROBUST,
        config={**ROBUST.config, "architectures": ["XLMRobertaForMaskedLM"], "model_type": "xlm-roberta"},
        tokenizer=lambda: tiny.tokenizer(XLM),
        tokenizer_config=tiny.tokenizer_config(XLM),
    ),
}


def golden(name: str) -> np.ndarray:
    with np.load(GOLDEN / "splade-texts.npz") as recorded:
        return recorded[name]


def weighed(folder: Path, runtime: str, vocab: int) -> np.ndarray:
    """(texts, vocab)."""
    precision = "auto" if runtime == "numpy" else "float32"
    with embedstack.load(str(folder), runtime=runtime, precision=precision) as model:
        request = Encode(model="", items=tuple(map(Text, TEXTS)), outputs=frozenset({"sparse"}), truncate="right")
        made = asyncio.run(model._engine.encode(request)).sparse
    rows = np.zeros((len(TEXTS), vocab), np.float32)
    for row, terms in zip(rows, made, strict=True):
        row[terms.ids] = terms.weights
    return rows


@pytest.fixture(autouse=True)
def _not_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes tests record is none that a model could be loaded with."""
    monkeypatch.delenv("EMBEDSTACK_RECORD", raising=False)


@pytest.mark.reference
def test_the_golden_terms_are_what_sentence_transformers_says_now(tmp_path: Path) -> None:
    judge = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")

    said = {
        name: judge.SparseEncoder(str(write(case, tmp_path / name)), device="cpu")
        .encode(list(TEXTS), convert_to_sparse_tensor=False)
        .numpy()
        for name, case in CASES.items()
    }

    if RECORDS:
        origin = (
            "recorded: SparseEncoder.encode; EMBEDSTACK_RECORD=1 python -m pytest tests/models/test_splade_texts.py"
        )
        np.savez_compressed(GOLDEN / "splade-texts.npz", origin=origin, **said)
    assert all(np.abs(rows - golden(name)).max() <= 1e-6 for name, rows in said.items())


@pytest.mark.parametrize("runtime", runtimes("reference"))
@pytest.mark.parametrize("name", CASES)
def test_texts_get_the_terms_of_sentence_transformers(name: str, runtime: str, tmp_path: Path) -> None:
    """Among them one that is cut, and one with a token that is unknown."""
    said = golden(name)

    made = weighed(write(CASES[name], tmp_path / name), runtime, said.shape[1])

    assert (said > 0).any(axis=1).all()
    assert np.abs(made - said).max() <= 1e-5


def test_the_terms_of_another_text_are_others(tmp_path: Path) -> None:
    """So that the comparison above can fail: by a token more, the largest weight moves by far more than it allows."""
    said = golden("bert")

    assert np.abs(said[0] - said[1]).max() > 1e-2
