"""Every family and head, in every runtime, against what transformers computed from the same folder."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from embedstack.catalog import find
from embedstack.models.weights import Weights, open_weights
from embedstack.modelspec import ModelSpec
from embedstack.runtimes import Options, open_runtime
from embedstack.runtimes.openvino import OpenVinoRuntime
from embedstack.types import Batch
from support import judges
from support.proofs import note
from support.runtimes import runtimes
from support.tiny import CASES, POSITIONS, Case, offset, ragged, write

GOLDEN = Path(__file__).parents[1] / "golden"
TOLERANCE = 1e-5  # of the largest number of the reference: what float32 products of this size may differ by
GRAPHS = [case for case in CASES.values() if not case.has_m3_heads]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tiny")
    return {case.name: write(case, root / case.name) for case in GRAPHS}


def opened(folder: Path, tmp: Path) -> tuple[ModelSpec, Weights]:
    return find(str(folder), cache_dir=tmp).spec, open_weights(folder)


def batch_of(items: list[tuple[np.ndarray, np.ndarray]]) -> Batch:
    offsets = np.cumsum([0, *(len(ids) for ids, _ in items)]).astype(np.int32)
    return Batch(np.concatenate([ids for ids, _ in items]), np.concatenate([s for _, s in items]), offsets)


def golden(case: Case) -> np.ndarray:
    with np.load(GOLDEN / "transformers.npz") as recorded:
        return recorded[f"{case.name}/{'score' if case.has_classifier else 'dense'}"]


def differs(made: np.ndarray, judged: np.ndarray) -> float:
    """The largest difference as a share of the largest number."""
    return float(np.abs(made - judged).max() / np.abs(judged).max())


def run(runtime: str, spec: ModelSpec, weights: Weights, batch: Batch) -> np.ndarray:
    (made,) = (
        open_runtime(runtime)(spec, weights, Options(precision="auto" if runtime == "numpy" else "float32", threads=2))
        .run(batch, frozenset(spec.outputs))
        .values()
    )
    return made


@pytest.mark.parametrize("runtime", runtimes("reference"))
@pytest.mark.parametrize("case", GRAPHS, ids=lambda case: case.name)
def test_a_ragged_batch_equals_transformers(runtime: str, case: Case, folders: dict[str, Path], tmp_path: Path) -> None:
    spec, weights = opened(folders[case.name], tmp_path)

    off = differs(run(runtime, spec, weights, batch_of(ragged(case))), golden(case))

    assert off <= TOLERANCE
    note(case.family, case.name, runtime, off, heads=["score" if case.has_classifier else "dense"])


@pytest.mark.parametrize("runtime", runtimes("reference"))
@pytest.mark.parametrize("case", GRAPHS, ids=lambda case: case.name)
def test_an_item_alone_equals_itself_in_a_batch(
    runtime: str, case: Case, folders: dict[str, Path], tmp_path: Path
) -> None:
    spec, weights = opened(folders[case.name], tmp_path)
    items = ragged(case)

    together = run(runtime, spec, weights, batch_of(items))
    alone = np.concatenate([run(runtime, spec, weights, batch_of([item])) for item in items[:4]])

    # of a vector's length; a score alone is a share of the largest score
    unit = np.abs(together).max() if case.has_classifier else np.linalg.norm(together[:4], axis=1, keepdims=True)
    assert np.abs(alone / unit - together[:4] / unit).max() <= 1e-6


@pytest.mark.reference
@pytest.mark.parametrize("case", GRAPHS, ids=lambda case: case.name)
def test_the_golden_file_is_what_transformers_says_now(case: Case, folders: dict[str, Path]) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("transformers", reason="transformers is not installed")

    (said,) = judges.transformers_outputs(folders[case.name], case).values()

    assert differs(golden(case), said) <= 1e-6


# ------------------------------------------------------------------------------------------------ mutations
# A test that compares graphs is only worth something if a wrong graph fails it: each of these must.


class Changed(Weights):
    """The weights of a folder with one tensor set to zero."""

    def __init__(self, weights: Weights, zeroed: str) -> None:
        self.__dict__ = weights.__dict__
        self.zeroed = zeroed

    def take(self, name: str, shape: tuple[int, ...], stored_as: tuple[int, ...] | None = None) -> np.ndarray:
        values = super().take(name, shape, stored_as)
        return np.zeros_like(values) if name == self.zeroed else values


def biases(case: Case, folder: Path) -> list[str]:
    """Every bias that decides something.

    A bias of the keys adds the same number to all logits of a query, which softmax takes away again; the pooler of an
    embedding model is not read.
    """
    names = [name for name in open_weights(folder).names() if name.endswith(".bias")]
    unread = "pooler" if not case.has_classifier else "-"
    return [name for name in names if "key.bias" not in name and unread not in name]


@pytest.mark.parametrize("case", GRAPHS, ids=lambda case: case.name)
def test_each_bias_counts(case: Case, folders: dict[str, Path], tmp_path: Path) -> None:
    folder = folders[case.name]
    spec, _ = opened(folder, tmp_path)
    batch = batch_of(ragged(case))

    unseen = [
        name
        for name in biases(case, folder)
        if differs(run("numpy", spec, Changed(open_weights(folder), name), batch), golden(case)) <= TOLERANCE
    ]

    assert len(biases(case, folder)) >= 15
    assert not unseen


def other_pooling(spec: ModelSpec) -> ModelSpec:
    return dataclasses.replace(spec, pooling="cls" if spec.pooling == "mean" else "mean")


def architecture(**change: object):
    return lambda spec: dataclasses.replace(spec, architecture=dataclasses.replace(spec.architecture, **change))


def shifted(spec: ModelSpec) -> ModelSpec:
    return architecture(
        position_offset=spec.architecture.position_offset - 1 if spec.architecture.position_offset else 1
    )(spec)


MUTATIONS = {
    "another pooling": (other_pooling, lambda case: not case.has_classifier),
    "tanh for erf in gelu": (architecture(activation="gelu_tanh"), lambda case: case.activation == "gelu"),
    "erf for tanh in gelu": (architecture(activation="gelu"), lambda case: case.activation == "gelu_new"),
    "epsilon of another family": (architecture(norm_eps=1e-5), lambda case: True),
    "positions shifted by one": (shifted, lambda case: True),
}


@pytest.mark.parametrize(
    ("mutation", "case"),
    [(name, case) for name, (_, applies) in MUTATIONS.items() for case in GRAPHS if applies(case)],
    ids=lambda value: value.name if isinstance(value, Case) else value,
)
def test_a_wrong_recipe_is_seen(mutation: str, case: Case, folders: dict[str, Path], tmp_path: Path) -> None:
    spec, weights = opened(folders[case.name], tmp_path)
    kept = [place for place, (ids, _) in enumerate(ragged(case)) if len(ids) < spec.max_tokens]  # room for a shift
    items = [ragged(case)[place] for place in kept]

    made = run("numpy", MUTATIONS[mutation][0](spec), weights, batch_of(items))

    assert differs(made, golden(case)[kept]) > 10 * TOLERANCE
    note(case.family, case.name, f"mutation: {mutation}", 0.0)


def test_segments_of_a_pair_count(folders: dict[str, Path], tmp_path: Path) -> None:
    case = CASES["bert-classifier"]
    spec, weights = opened(folders[case.name], tmp_path)
    batch = batch_of([(ids, np.zeros_like(segments)) for ids, segments in ragged(case)])

    made = run("numpy", spec, weights, batch)

    assert differs(made, golden(case)) > 10 * TOLERANCE


@pytest.mark.parametrize("case", GRAPHS, ids=lambda case: case.name)
def test_padding_that_is_not_masked_is_seen(
    case: Case, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from embedstack.runtimes import graphs

    plan = graphs.lay_out
    unmasked = {"mask": np.zeros((len(ragged(case)), 1, 1, POSITIONS - offset(case)), np.float32)}
    monkeypatch.setattr(graphs, "lay_out", lambda *given: {**plan(*given), **unmasked})
    spec, weights = opened(folders[case.name], tmp_path)

    made = OpenVinoRuntime(spec, weights, Options(precision="float32", threads=1)).run(
        batch_of(ragged(case)), frozenset(spec.outputs)
    )

    assert differs(*made.values(), golden(case)) > 10 * TOLERANCE
