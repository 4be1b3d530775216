"""The default model's real weights, used in the ways that people use them: each is named of a collection of passages.

States of tokens are those of the runtime, which others judge; what is read, pooled, cut and normalised is done by hand.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, normalizers

from embedstack.catalog import find
from embedstack.identifying.telling import verdict
from embedstack.models.weights import open_weights
from embedstack.proof.truth import pack
from embedstack.runtimes import Options, open_runtime
from embedstack.settings import DEFAULT_MODEL, Settings, read_settings
from embedstack.types import STATES, Encoding, Floats
from support.by_hand import By
from support.kept_vectors import collection, found
from support.recipes import NONE, OWN, USES, WIDTH, Use, passages

pytestmark = [pytest.mark.slow, pytest.mark.quality, pytest.mark.weights]


class ByHand:
    """A model of one folder, asked for the states of its tokens alone; close it."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        spec = find(str(folder), cache_dir=settings.cache_dir).spec
        self._tokeniser = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokeniser.no_padding()
        self._runtime = open_runtime("openvino")(spec, open_weights(folder), Options(precision="float32", threads=2))
        self._states: dict[By, list[Floats]] = {}

    def close(self) -> None:
        self._runtime.close()

    def vectors(self, texts: Sequence[str], by: By) -> Floats:
        """(texts, dim)."""
        pooled = {"mean": lambda x: x.mean(0), "cls": lambda x: x[0], "max": lambda x: x.max(0)}[by.pooling]
        rows = np.stack([pooled(states) for states in self._read(texts, by)])[:, : by.dim]
        return rows / np.linalg.norm(rows, axis=1, keepdims=True) if by.is_normalised else rows

    def _read(self, texts: Sequence[str], by: By) -> list[Floats]:
        """States of the tokens of each text; the same texts are read in one way once."""
        reading = replace(by, pooling="", dim=0, is_normalised=True)
        if reading not in self._states:
            self._tokeniser.enable_truncation(by.cut)
            self._tokeniser.normalizer = normalizers.BertNormalizer(lowercase=not by.is_cased)
            read = [self._tokeniser.encode(by.prompt + text, add_special_tokens=not by.is_bare).ids for text in texts]
            batch = pack([Encoding(np.array(ids, np.int32)) for ids in read])
            states = self._runtime.run(batch, STATES)["states"]
            self._states[reading] = [states[start:stop] for start, stop in pairwise(batch.offsets.tolist())]
        return self._states[reading]


@pytest.fixture(scope="module")
def settings() -> Settings:
    return replace(read_settings(env_file=None), threads=2)


@pytest.fixture(scope="module")
def texts(labelled_sets: Path) -> list[str]:
    return passages(labelled_sets)


@pytest.fixture(scope="module")
def minilm(minilm_folder: Path, settings: Settings) -> Iterator[ByHand]:
    made = ByHand(minilm_folder, settings)
    yield made
    made.close()


def drawn(minilm_folder: Path, root: Path) -> Path:
    """A model of the same tokeniser and width, of one layer with drawn weights."""
    made = shutil.copytree(
        minilm_folder, root / "drawn", ignore=shutil.ignore_patterns("model.safetensors", "embedstack.json")
    )
    config = json.loads((made / "config.json").read_text())
    (made / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}))
    draw = np.random.default_rng(5)
    whole = load_file(minilm_folder / "model.safetensors")
    kept = {name: value.shape for name, value in whole.items() if "layer." not in name or "layer.0." in name}
    weights = {name: draw.normal(0, 0.1, shape).astype(np.float32) for name, shape in kept.items()}
    save_file(weights, made / "model.safetensors", {"format": "pt"})
    return made


@pytest.mark.parametrize("use", USES, ids=lambda use: use.name)
def test_each_use_is_named_by_all_rows(
    use: Use, minilm: ByHand, texts: list[str], settings: Settings, tmp_path: Path
) -> None:
    place = collection(f"{tmp_path}/store", texts, minilm.vectors(texts, use.by))

    made = found(place, settings, DEFAULT_MODEL)

    assert (verdict(made), made.finding.lengths) == (use.verdict, use.lengths)
    assert made.finding.best.fits == len(texts)


def test_vectors_of_another_model_of_the_same_width_are_of_none(
    minilm_folder: Path, texts: list[str], settings: Settings, tmp_path: Path
) -> None:
    other = ByHand(drawn(minilm_folder, tmp_path), settings)
    vectors = other.vectors(texts, OWN)
    other.close()

    made = found(collection(f"{tmp_path}/store", texts, vectors), settings, DEFAULT_MODEL)

    assert (verdict(made), made.finding.nearest[0].fits) == (NONE, 0)


def test_random_vectors_are_of_none_of_real_weights(texts: list[str], settings: Settings, tmp_path: Path) -> None:
    random = np.random.default_rng(0).normal(size=(len(texts), WIDTH)).astype(np.float32)

    made = found(collection(f"{tmp_path}/store", texts, random), settings, DEFAULT_MODEL)

    assert (verdict(made), made.finding.nearest[0].fits) == (NONE, 0)
