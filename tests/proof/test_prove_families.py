"""Every family and every kind of model in it is proven, and every kind of head in every runtime."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from embedstack.engine.engine import Engine
from embedstack.engine.loaded import Loaded
from embedstack.inputs.image import ImageInput
from embedstack.inputs.text import TextInput
from embedstack.models import FAMILIES
from embedstack.models.weights import open_weights
from embedstack.runtimes import RUNTIMES
from embedstack.runtimes.numpy import NumpyRuntime
from support import tiny
from support.confusion import tiny_folder, within_table
from support.every import one_of_each_kind
from support.proving import Known, known_of, opened, proven
from support.runtimes import needs_torch, runtimes

GOLDEN = Path(__file__).parents[1] / "golden"
OTHERS = one_of_each_kind()
CALLED = {"nomic-embed-text-v1.5": "nomic-fused"}
"""Names of models whose texts must have a prompt, and the case that looks like one."""
NAMES = (*tiny.CASES, *OTHERS, *CALLED)
ALL, FEW = ("openvino", "torch"), ("numpy", "onnx")
"""Runtimes in which all models are proven, and those in which the first of each kind is: what differs between runtimes
of one family is for tests/models."""
NEAR = 0.999
"""Cosine in bfloat16: drawn weights leave few channels to average over. The least is 0.9995 (qwen3), where models of a
usual width must reach 0.9998."""


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Known]:
    """By the name of a case, made once and only if asked for."""
    root, made = tmp_path_factory.mktemp("every"), {}

    def one(name: str) -> Known:
        if name not in made:
            made[name] = known_of(written(name, root), root / "cache")
        return made[name]

    return one


def written(name: str, root: Path) -> Path:
    if name == "bge-m3":
        return GOLDEN / "bge_m3_tiny"
    return (
        tiny_folder(name, root)
        if name in tiny.CASES
        else within_table(OTHERS[CALLED.get(name, name)].write(root / name))
    )


def kind(name: str) -> str:
    """What a model gives."""
    if name not in tiny.CASES:
        return OTHERS[CALLED.get(name, name)].kind
    case = tiny.CASES[name]
    if case.has_classifier:
        return "labels" if case.labels else "score"
    return "multi" if case.has_m3_heads else "dense"


def asked() -> list[object]:
    """Names and runtimes, for `parametrize`."""
    first = {kind(name): name for name in reversed(NAMES)}.values()
    pairs = [(name, param) for name in NAMES for param in runtimes("reference")]
    return [
        pytest.param(name, param.values[0], marks=param.marks, id=f"{name}-{param.values[0]}")
        for name, param in pairs
        if param.values[0] in ALL or name in first or name in CALLED
    ]


def test_no_runtime_is_left_out() -> None:
    assert {*ALL, *FEW, "reference"} == set(RUNTIMES)


def test_no_family_is_left_out() -> None:
    rows = {case.family for case in tiny.CASES.values()} | {folder.row for folder in OTHERS.values()}

    assert rows == set(FAMILIES)


def test_no_kind_of_model_is_left_out() -> None:
    kinds = {(folder.row, folder.kind) for folder in OTHERS.values()}

    assert {("bert", "sparse"), ("qwen3", "dense"), ("qwen3", "score"), ("qwen3", "labels")} <= kinds
    assert {("new", "dense"), ("gte", "labels"), ("siglip", "dense"), ("static", "dense")} <= kinds


def test_a_model_that_needs_prompts_is_among_them(known: Callable[[str], Known]) -> None:
    assert all(known(name).located.spec.needs_prompt for name in CALLED)


@pytest.mark.quality
@pytest.mark.parametrize(("name", "runtime"), asked())
def test_every_family_and_head_proves(name: str, runtime: str, known: Callable[[str], Known], tmp_path: Path) -> None:
    model = known(name)
    engine = opened(model.located, tmp_path, runtime, "auto" if runtime == "numpy" else "float32")

    report = proven(engine, model, precision="float32")
    engine.close()

    assert report.failures == ()
    assert report.diagnosis.verdict == "right"
    assert report.notes == ()
    assert {row.output for row in report.rows} == set(model.located.spec.outputs)


@pytest.mark.slow
@pytest.mark.torch
@needs_torch
@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_every_family_and_head_proves_in_sixteen_bits(
    name: str, precision: str, known: Callable[[str], Known], tmp_path: Path
) -> None:
    model = known(name)
    engine = opened(model.located, tmp_path, "torch", precision)

    report = proven(engine, model, precision=precision)
    engine.close()

    is_near = precision == "bfloat16" and all((row.least or 0.0) >= NEAR for row in report.rows)
    assert report.failures == () or is_near
    assert report.diagnosis.verdict == "right"


def test_padding_that_is_left_out_is_named(known: Callable[[str], Known], tmp_path: Path) -> None:
    model = known("siglip-text")
    spec, folder = model.located.spec, model.located.folder
    bare, vision = TextInput(folder, replace(spec, pad_to=0)), spec.architecture.vision
    assert vision
    engine = Engine([Loaded(spec, bare, NumpyRuntime(spec, open_weights(folder)), image=ImageInput(vision))])

    report = proven(engine, model, precision="float32")
    engine.close()

    assert report.diagnosis.names == ("no padding",)
    assert f"to {spec.pad_to} tokens" in report.diagnosis.says
