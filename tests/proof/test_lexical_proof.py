"""A model of sparse vectors alone is proven by them, and so is a table of vectors."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.api import open_engine
from embedstack.catalog import Located, find
from embedstack.engine.engine import Engine
from embedstack.errors import Mismatch
from embedstack.modelspec import ModelSpec
from embedstack.proof.diagnosis import Trials
from embedstack.proof.kept import Truth, packed, read
from embedstack.proof.probes import probes
from embedstack.proof.prove import Report, prove
from embedstack.proof.startup import check
from embedstack.proof.truth import make
from embedstack.settings import read_settings
from embedstack.types import Encode, Encoded
from support.families import Tiny, write
from support.lexical import TIED, VOCAB


@pytest.fixture(scope="module")
def splade(tmp_path_factory: pytest.TempPathFactory) -> tuple[Located, Truth]:
    return known(TIED, tmp_path_factory.mktemp("splade"))


def known(case: Tiny, root: Path) -> tuple[Located, Truth]:
    located = find(str(write(case, root / "m")), cache_dir=root)
    return located, Truth(located.spec.space, make(located.spec, located.folder, probes(located.spec).all))


def opened(located: Located, cache_dir: Path) -> Engine:
    flags = {"runtime": "numpy", "cache_dir": cache_dir}
    return open_engine(read_settings(flags, environ={}), [str(located.folder)], say=lambda line: None)


class Seen:
    """An engine whose sparse vectors are changed on the way."""

    def __init__(self, engine: Engine, power: float = 1.0, shift: int = 0) -> None:
        self._engine, self._power, self._shift = engine, power, shift

    async def encode(self, request: Encode) -> Encoded:
        made = await self._engine.encode(request)
        sparse = [
            replace(one, ids=one.ids + np.int32(self._shift), weights=one.weights**self._power)
            for one in made.sparse or ()
        ]
        return replace(made, sparse=tuple(sparse))

    def models(self) -> tuple[ModelSpec, ...]:
        return self._engine.models()


def proven(engine: object, located: Located, truth: Truth) -> Report:
    return asyncio.run(prove(engine, located.spec, truth, located.folder))  # type: ignore[arg-type]


@pytest.mark.slow
def test_it_is_proven(splade: tuple[Located, Truth], tmp_path: Path) -> None:
    report = proven(opened(splade[0], tmp_path), *splade)

    assert report.failures == ()
    assert report.diagnosis.verdict == "right"
    assert [row.output for row in report.rows] == ["sparse"]


def test_every_probe_counts(splade: tuple[Located, Truth]) -> None:
    located, truth = splade

    assert set(truth.rows["sparse"]) == {probe.name for probe in probes(located.spec).all}


@pytest.mark.slow
def test_weights_that_are_off_fail_in_words(splade: tuple[Located, Truth], tmp_path: Path) -> None:
    report = proven(Seen(opened(splade[0], tmp_path), power=1.1), *splade)

    assert any("a lexical weight is off" in said for said in report.failures)
    assert report.diagnosis.verdict != "right"


@pytest.mark.slow
def test_ids_of_another_vocabulary_are_told(splade: tuple[Located, Truth], tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match="ids outside"):
        proven(Seen(opened(splade[0], tmp_path), shift=10_000), *splade)


def test_a_start_is_checked_by_its_sparse_vectors(splade: tuple[Located, Truth], tmp_path: Path) -> None:
    located, truth = splade
    engine = opened(located, tmp_path)

    assert asyncio.run(check(engine, located.spec, truth)) == "proven"
    with pytest.raises(Mismatch, match="another vector than its truth"):
        asyncio.run(check(Seen(engine, power=1.1), located.spec, truth))  # type: ignore[arg-type]


def test_the_truth_is_kept_and_read_again(splade: tuple[Located, Truth], tmp_path: Path) -> None:
    located, truth = splade
    (tmp_path / "truth.npz").write_bytes(packed(truth))

    again = read(tmp_path / "truth.npz", located.spec)

    assert again is not None
    assert all(np.array_equal(rows, again.rows["sparse"][name]) for name, rows in truth.rows["sparse"].items())


def test_a_truth_of_other_weights_is_refused(splade: tuple[Located, Truth]) -> None:
    located, truth = splade
    off = {name: rows * np.float32([1, 0.5]) ** (len(rows) % 2) for name, rows in truth.rows["sparse"].items()}
    wrong = {name: np.stack([rows[:, 0], rows[:, 1] ** 2], axis=1) for name, rows in off.items()}

    with pytest.raises(Mismatch, match="is not what its weights give"):
        Trials(located.spec, located.folder, Truth(truth.space, {"sparse": wrong}))


STATIC = {
    "sentence-transformers": ({}, {"embedding.weight": (VOCAB, 24)}),
    "model2vec": ({"model_type": "model2vec", "normalize": True}, {"embeddings": (VOCAB, 24)}),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", STATIC)
def test_a_table_is_proven_by_the_texts_that_it_can_read(kind: str, tmp_path: Path) -> None:
    config, shapes = STATIC[kind]
    rows = [{"type": "sentence_transformers.models.StaticEmbedding", "path": ""},
            {"type": "sentence_transformers.models.Normalize", "path": "1_Normalize"}]  # fmt: skip
    case = Tiny(
        name=kind, config=config, shapes=shapes, judge=lambda folder, items: np.zeros(0), pooling=None,
        files={"modules.json": rows},
    )  # fmt: skip
    located, truth = known(case, tmp_path)

    report = proven(opened(located, tmp_path), located, truth)

    assert report.failures == ()
    assert report.diagnosis.verdict == "right"
