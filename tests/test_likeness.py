"""Vectors become probabilities by the rule that a model was trained with, and these are the judge's."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from embedstack.api import open_engine
from embedstack.errors import Unsupported
from embedstack.likeness import probabilities
from embedstack.model import Model
from embedstack.modelspec import ModelSpec
from embedstack.settings import read_settings
from embedstack.testing.fake import hash_spec
from embedstack.types import Image
from support import tiny_clip, tiny_siglip, towers
from support.proofs import RECORDS, judges
from support.runtimes import runtimes
from support.tiny_clip import png, write_clip
from support.tiny_siglip import write_siglip

GOLDEN = Path(__file__).parent / "golden"
WRITE = {"clip": write_clip, "siglip": write_siglip}
PLACES = (0, 1, 3)  # of the texts below, whose ids transformers' own tokenisers were recorded to give
PICTURES = [png(31), png(90, 64)]
NEAR = 1e-4  # of a probability: float32 cosines are off by some 1e-7, and are multiplied by 20
SIGMOID = replace(hash_spec(inputs=("text", "image")), similarity="sigmoid", logit_scale=10.0, logit_bias=-5.0)
SOFTMAX = replace(SIGMOID, similarity="softmax", logit_bias=0.0)
IMAGE = np.array([[2.0, 0.0]])
TEXTS = np.array([[3.0, 0.0], [0.0, 1.0]])


def test_sigmoid_judges_each_text_by_itself():
    made = probabilities(SIGMOID, IMAGE, TEXTS)

    assert made[0] == pytest.approx([1 / (1 + np.exp(-5)), 1 / (1 + np.exp(5))], abs=1e-6)
    assert probabilities(SIGMOID, IMAGE, TEXTS[:1])[0, 0] == made[0, 0]


def test_softmax_shares_one_among_the_texts():
    made = probabilities(SOFTMAX, IMAGE, TEXTS)

    assert made.sum() == pytest.approx(1)
    assert made[0, 0] / made[0, 1] == pytest.approx(np.exp(10), rel=1e-4)


def test_large_logits_do_not_overflow():
    for spec in (replace(SIGMOID, logit_scale=1e6), replace(SOFTMAX, logit_scale=1e6)):
        assert np.isfinite(probabilities(spec, -IMAGE, TEXTS)).all()


def test_a_model_without_a_rule_says_so():
    with pytest.raises(Unsupported, match="does not say how likely"):
        probabilities(hash_spec(), IMAGE, TEXTS)


# ------------------------------------------------------------------------------------------------ the judge


def judged(kind: str, folder: Path) -> dict[str, list[list[float]]]:
    """What transformers makes of the pictures and the texts: `logits_per_image`, and the activation of its examples."""
    import torch
    import transformers
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    is_clip = kind == "clip"
    make = CLIPImageProcessorPil(**tiny_clip.PREPROCESSOR) if is_clip else None
    make = make or SiglipImageProcessorPil(**tiny_siglip.PREPROCESSOR)
    pixels = make([Pillow.open(io.BytesIO(data)) for data in PICTURES], return_tensors="pt")["pixel_values"]
    read = json.loads((GOLDEN / f"{kind}_texts.json").read_text())
    ids = (read if is_clip else read["SiglipTokenizer"])["ids"]
    model = getattr(transformers, "CLIPModel" if is_clip else "SiglipModel").from_pretrained(
        folder, attn_implementation="eager"
    )
    with torch.no_grad():
        given = torch.tensor([ids[place] for place in PLACES])
        logits = model.eval().float()(input_ids=given, pixel_values=pixels).logits_per_image
    made = logits.softmax(dim=1) if is_clip else logits.sigmoid()
    return {"logits": logits.numpy().astype(float).tolist(), "probabilities": made.numpy().astype(float).tolist()}


def golden(kind: str) -> np.ndarray:
    return np.array(json.loads((GOLDEN / "likeness.json").read_text())[kind]["probabilities"])


def rows_of(kind: str, tmp: Path, runtime: str = "numpy") -> tuple[ModelSpec, np.ndarray, np.ndarray]:
    """The spec, and vectors of the pictures and of the texts."""
    flags = {"runtime": runtime, "cache_dir": tmp / "cache", "threads": 1, "device": "cpu"}
    precision = "auto" if runtime == "numpy" else "float32"
    settings = read_settings({**flags, "precision": precision}, environ={})
    engine = open_engine(settings, [str(WRITE[kind](tmp / kind))], say=lambda line: None)
    with Model(engine) as model:
        images = model.encode([Image(data) for data in PICTURES]).dense
        texts = model.encode([towers.TEXTS[place] for place in PLACES]).dense
    return model.spec, images, texts


@pytest.mark.reference
@pytest.mark.parametrize("kind", WRITE)
def test_the_golden_probabilities_are_what_transformers_says_now(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("transformers", reason="transformers is not installed")

    said = judged(kind, WRITE[kind](tmp_path / kind))

    if RECORDS:
        path = GOLDEN / "likeness.json"
        command = "EMBEDSTACK_RECORD=1 python -m pytest -m reference tests/test_likeness.py"
        known = json.loads(path.read_text()) if path.is_file() else {}
        about = {"origin": f"recorded: {judges('transformers', 'torch', 'pillow')}; {command}"}
        path.write_text(json.dumps({**known, **about, kind: said}, indent=1) + "\n")
    assert np.array(said["probabilities"]) == pytest.approx(golden(kind), rel=1e-5)


@pytest.mark.parametrize("runtime", runtimes("reference"))
@pytest.mark.parametrize("kind", WRITE)
def test_pictures_and_texts_get_the_probabilities_of_transformers(kind: str, runtime: str, tmp_path: Path) -> None:
    spec, images, texts = rows_of(kind, tmp_path, runtime)

    assert probabilities(spec, images, texts) == pytest.approx(golden(kind), rel=NEAR)


WRONG: dict[str, Callable[[ModelSpec], ModelSpec]] = {
    "clip: scale": lambda spec: replace(spec, logit_scale=spec.logit_scale * 1.05),
    "clip: scale not raised": lambda spec: replace(spec, logit_scale=float(np.log(spec.logit_scale))),
    "clip: sigmoid": lambda spec: replace(spec, similarity="sigmoid"),
    "siglip: scale": lambda spec: replace(spec, logit_scale=spec.logit_scale * 1.05),
    "siglip: scale not raised": lambda spec: replace(spec, logit_scale=float(np.log(spec.logit_scale))),
    "siglip: no bias": lambda spec: replace(spec, logit_bias=0.0),
    "siglip: softmax": lambda spec: replace(spec, similarity="softmax"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_another_rule_is_seen(wrong: str, tmp_path: Path) -> None:
    kind = wrong.partition(":")[0]
    spec, images, texts = rows_of(kind, tmp_path)

    made = probabilities(WRONG[wrong](spec), images, texts)

    assert (np.abs(made / golden(kind) - 1) > 10 * NEAR).any(axis=1).all()
