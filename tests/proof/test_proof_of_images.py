"""Pictures as probes: drawn alike everywhere, kept, compared; a wrong preprocessing is seen."""

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.catalog import Located, find
from embedstack.engine.engine import Engine
from embedstack.engine.loaded import Loaded
from embedstack.errors import Unsupported
from embedstack.inputs.decode import decode
from embedstack.inputs.image import ImageInput
from embedstack.inputs.text import TextInput
from embedstack.models.weights import open_weights
from embedstack.proof.drawn import drawn, is_picture
from embedstack.proof.kept import Truth, kept
from embedstack.proof.probes import probes
from embedstack.proof.prove import Report, prove
from embedstack.proof.truth import ensure, make
from embedstack.runtimes import Options, open_runtime
from embedstack.testing.fake import hash_spec
from embedstack.types import Encode, Encoded, Image
from support.runtimes import runtimes
from support.tiny_clip import write_clip

NAMES = ("pixel", "gradient", "checkers", "noise", "wide", "tall", "fine")
PIXELS = "6bf2d42c"


@pytest.fixture(scope="module")
def located(tmp_path_factory: pytest.TempPathFactory) -> Located:
    root = tmp_path_factory.mktemp("clip")
    return find(str(write_clip(root / "clip")), cache_dir=root / "cache")


@pytest.fixture(scope="module")
def truth(located: Located) -> Truth:
    return Truth(located.spec.space, make(located.spec, located.folder, probes(located.spec).all))


def opened(located: Located, runtime: str, image: ImageInput) -> Iterator[Engine]:
    folder, spec = located.folder, located.spec
    options = Options(precision="auto" if runtime == "numpy" else "float32", threads=1)
    made = open_runtime(runtime)(spec, open_weights(folder), options)
    engine = Engine([Loaded(spec, TextInput(folder, spec), made, image=image)])
    yield engine
    engine.close()


def reported(located: Located, truth: Truth, runtime: str = "onnx", **vision: object) -> Report:
    assert located.spec.architecture.vision
    image = ImageInput(replace(located.spec.architecture.vision, **vision))
    for engine in opened(located, runtime, image):
        return asyncio.run(prove(engine, located.spec, truth, located.folder))
    raise AssertionError


def test_every_pixel_of_the_pictures_is_what_it_was() -> None:
    """A picture that changes needs another name: truth that is kept is found by it."""
    read = {name: np.asarray(decode(data, max_bytes=10**7, max_pixels=10**7)) for name, data in drawn().items()}
    digest = hashlib.sha256()
    for name, pixels in read.items():
        digest.update(f"{name} {pixels.shape}".encode() + pixels.tobytes())

    assert list(read) == [f"image-{name}" for name in NAMES]
    assert all(map(is_picture, read))
    assert digest.hexdigest()[:8] == PIXELS


def test_only_models_that_take_images_have_them_as_probes(located: Located) -> None:
    assert {probe.name for probe in probes(located.spec).all if isinstance(probe.item, Image)} == set(drawn())
    assert not any(isinstance(probe.item, Image) for probe in probes(hash_spec()).all)


@pytest.mark.parametrize("runtime", runtimes("reference"))
def test_pictures_are_proven_in_every_runtime(runtime: str, located: Located, truth: Truth) -> None:
    report = reported(located, truth, runtime)

    assert report.verdict == "proven", report.failures
    assert report.rows[0].probes == len(truth.rows["dense"])
    assert set(drawn()) < set(truth.rows["dense"])


@pytest.mark.parametrize(
    "vision",
    [{"mean": (0.5, 0.5, 0.5)}, {"std": (0.27, 0.27, 0.27)}, {"resample": "bilinear"}, {"fit": "squash"}],
    ids=str,
)
def test_another_preprocessing_is_seen(vision: dict[str, object], located: Located, truth: Truth) -> None:
    report = reported(located, truth, **vision)

    assert not report.is_proven
    assert "image-" in report.failures[0]


def test_an_endpoint_that_takes_texts_alone_is_proven_by_these_and_says_so(located: Located, truth: Truth) -> None:
    class TextsAlone(Engine):
        async def encode(self, request: Encode) -> Encoded:
            if any(isinstance(item, Image) for item in request.items):
                raise Unsupported("no images here")
            return await super().encode(request)

    runtime = open_runtime("onnx")(located.spec, open_weights(located.folder), Options(precision="float32", threads=1))
    engine = TextsAlone([Loaded(located.spec, TextInput(located.folder, located.spec), runtime)])
    try:
        report = asyncio.run(prove(engine, located.spec, truth, located.folder))
    finally:
        engine.close()

    assert report.verdict == "proven for texts only, not for images"
    assert report.notes == ("its images are not proven: no images here",)


def test_truth_of_pictures_is_kept_and_made_where_it_is_missing(located: Located, tmp_path: Path) -> None:
    first = ensure(located.spec, located.folder, tmp_path)
    again = kept(located.spec, tmp_path)

    assert again is not None
    assert again.rows["dense"].keys() == first.rows["dense"].keys() >= drawn().keys()
    texts = {name: row for name, row in first.rows["dense"].items() if not is_picture(name)}
    without = Truth(first.space, {"dense": texts})
    assert not all(without.has(probe, located.spec.outputs) for probe in probes(located.spec).all)
