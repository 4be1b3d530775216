"""The requests to KripTik's workers that the page shows get the replies that it shows, from two small models."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from embedstack.catalog import find
from embedstack.dialects.pictures import DARK, LIGHT
from embedstack.engine.engine import Engine
from embedstack.engine.loaded import Loaded
from embedstack.inputs.image import ImageInput
from embedstack.inputs.text import TextInput
from embedstack.models.weights import open_weights
from embedstack.runtimes.numpy import NumpyRuntime
from support import tiny, towers
from support.families import write
from support.reference import ROOT
from support.tiny_siglip import case, config, text_config, vision_config

pytestmark = pytest.mark.anyio
SECTION = (ROOT / "docs/serving.md").read_text().partition("## KripTik's workers\n")[2].partition("\n## ")[0]
SHOWN = re.findall(
    r"`POST (/kriptik-worker/\S+)`[^`]*\n\n```json\n(.*?)\n```\n\n```json\n(.*?)\n```", SECTION, re.DOTALL
)
EVERYWHERE = {"model", "space", "fingerprint", "dimensions", "normalized"}
SMALL = {"hidden_size": 4, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def open_models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Engine]:
    """A model for texts and one of texts and pictures, whose vectors have 4 numbers."""
    root = tmp_path_factory.mktemp("kriptik")
    text, vision = text_config(**SMALL), vision_config(**SMALL)
    drawn = {"logit_scale": np.array([2], np.float32), "logit_bias": np.array([-1], np.float32)}
    seen = case("small", config=config(text, vision), shapes=towers.siglip_shapes(text, vision), draw=drawn)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "HIDDEN", 4)
        patch.setattr(tiny, "HEADS", 2)
        folders = [tiny.write(tiny.CASES["bert-mean"], root / "small-bert"), write(seen, root / "small-siglip")]

    def loaded(folder: Path) -> Loaded:
        spec = find(str(folder), cache_dir=root / "cache").spec
        image = ImageInput(spec.architecture.vision) if spec.architecture.vision else None
        return Loaded(spec, TextInput(folder, spec), NumpyRuntime(spec, open_weights(folder)), image=image)

    return lambda: Engine([loaded(folder) for folder in folders])


@pytest.mark.parametrize(("path", "asked", "shown"), SHOWN, ids=[json.loads(one[1])["input"]["type"] for one in SHOWN])
async def test_a_shown_request_gets_the_reply_that_is_shown(serve, open_models, path, asked, shown):
    body = json.loads(asked.replace('"DARK"', f'"{DARK}"').replace('"LIGHT"', f'"{LIGHT}"'))
    async with serve(open_models) as client:
        reply = await client.post(path, json=body)

    output, expected = reply.json()["output"], json.loads(shown)
    assert reply.status_code == 200
    assert output.keys() - expected.keys() in (set(), EVERYWHERE)
    for name, value in expected.items():
        assert rounded(output[name]) == value or name in ("space", "fingerprint")


def test_every_type_that_is_served_is_shown():
    types = [(path.split("/")[2], json.loads(asked)["input"]["type"]) for path, asked, _ in SHOWN]

    assert sorted(types) == [
        ("siglip", "image"),
        ("siglip", "similarity"),
        ("siglip", "text"),
        ("vl-jepa", "intent"),
        ("vl-jepa", "video"),
        ("vl-jepa", "visual_text"),
    ]


def rounded(value: object) -> object:
    """As the page shows numbers, with three decimals."""
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return pytest.approx(value, abs=6e-4) if isinstance(value, float) else value
