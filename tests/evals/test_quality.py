"""Labelled sets through the default model: as good as sentence-transformers, measured."""

import json
from pathlib import Path

import pytest

import embedstack
import quality

ROOT = Path(__file__).parents[2]
RECORDED = json.loads((ROOT / "bench/results/quality.json").read_text())["scores"]["sentence-transformers"]


@pytest.fixture(scope="module")
def encode(minilm_folder: Path):
    with embedstack.load() as model:
        yield lambda texts: model.encode(texts).dense


@pytest.mark.quality
@pytest.mark.weights
def test_sts_correlates_as_sentence_transformers_does(labelled_sets: Path, encode) -> None:
    assert quality.stsb(labelled_sets, encode) == pytest.approx(RECORDED["stsb_en_spearman"], abs=0.001)


@pytest.mark.quality
@pytest.mark.weights
@pytest.mark.timeout(600)
def test_retrieval_is_as_good_as_sentence_transformers(labelled_sets: Path, encode) -> None:
    assert quality.xquad(labelled_sets, encode) == pytest.approx(RECORDED["xquad_en_ndcg@10"], abs=0.002)
