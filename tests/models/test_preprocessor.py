"""preprocessor_config.json: what is read of it, and what is refused."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from embedstack.errors import ConfigError, Unsupported
from embedstack.models.folder import Fields
from embedstack.models.preprocessor import RESAMPLES, Preprocess, read_fit

CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
OLD_CLIP = {  # as openai/clip-vit-base-patch32 has it
    "crop_size": 224,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": CLIP_MEAN,
    "image_std": CLIP_STD,
    "resample": 3,
    "size": 224,
}
CLIP = {
    **OLD_CLIP,
    "image_processor_type": "CLIPImageProcessor",
    "crop_size": {"height": 336, "width": 336},
    "size": {"shortest_edge": 336},
    "do_rescale": True,
    "do_convert_rgb": True,
    "rescale_factor": 0.00392156862745098,
}
SIGLIP = {  # as google/siglip-so400m-patch14-384 has it; SigLIP 2 of one size differs in resample
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "SiglipImageProcessor",
    "image_std": [0.5, 0.5, 0.5],
    "processor_class": "SiglipProcessor",
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": 384, "width": 384},
}
SIGLIP2 = {**SIGLIP, "do_convert_rgb": None, "resample": 2, "size": {"height": 224, "width": 224}}
READ = {
    "old CLIP": (OLD_CLIP, ("crop", 224, "bicubic")),
    "CLIP": (CLIP, ("crop", 336, "bicubic")),
    "the class alone": ({"image_processor_type": "CLIPImageProcessor"}, ("crop", 224, "bicubic")),
    "a later class": ({**CLIP, "image_processor_type": "CLIPImageProcessorFast"}, ("crop", 336, "bicubic")),
    "SigLIP": (SIGLIP, ("squash", 384, "bicubic")),
    "SigLIP 2": (SIGLIP2, ("squash", 224, "bilinear")),
    "the other class alone": ({"image_processor_type": "SiglipImageProcessor"}, ("squash", 224, "bicubic")),
    "lanczos": ({**SIGLIP, "resample": 1}, ("squash", 384, "lanczos")),
    "a cut that cuts nothing": (
        {**CLIP, "size": {"height": 336, "width": 336}},
        ("squash", 336, "bicubic"),
    ),
}


def read(values: dict) -> Preprocess:
    return read_fit(Fields(Path("preprocessor_config.json"), values), "cats")


@pytest.mark.parametrize("name", READ)
def test_side_fit_and_filter_are_read(name):
    values, wanted = READ[name]

    made = read(values)

    assert (made.fit, made.side, made.resample) == wanted


@pytest.mark.reference
@pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed")
@pytest.mark.parametrize("name", READ)
def test_what_is_read_is_what_the_reference_reads(name):
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    values = READ[name][0]
    judge = (CLIPImageProcessorPil if "CLIP" in str(values) else SiglipImageProcessorPil)(**values)

    made = read(values)

    assert made.mean == tuple(judge.image_mean)
    assert made.std == tuple(judge.image_std)
    assert made.side == (judge.size.shortest_edge or judge.size.height)
    assert (made.fit == "squash") == (judge.size.shortest_edge is None)
    assert made.resample == RESAMPLES[int(judge.resample)]


def test_the_newer_file_holds_the_same_one_level_deeper():
    assert read({"processor_class": "SiglipProcessor", "image_processor": SIGLIP}) == read(SIGLIP)


def test_without_normalising_pixels_stay_between_0_and_1():
    made = read({**CLIP, "do_normalize": False})

    assert (made.mean, made.std) == ((0, 0, 0), (1, 1, 1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_processor_type": "Siglip2ImageProcessor"}, "'cats' prepares pictures with 'Siglip2ImageProcessor'"),
        ({"image_processor_type": "ViTImageProcessor"}, "embedstack has: CLIPImageProcessor, SiglipImageProcessor"),
        ({"do_resize": False}, "'cats' sets do_resize=false"),
        ({"do_rescale": False}, "do_rescale=false"),
        ({"do_convert_rgb": False}, "do_convert_rgb=false"),
        ({"do_pad": True}, "do_pad=true"),
        ({"rescale_factor": 1 / 127.5}, "rescale_factor=0.00784"),
        ({"do_center_crop": False}, "keeps the shape of pictures"),
        ({"crop_size": 224}, "resizes to 336 pixels and cuts to 224"),
        ({"resample": 5}, "resample=5; embedstack has: 0 .nearest."),
    ],
)
def test_another_way_of_preparing_is_refused_by_name(change, words):
    with pytest.raises(Unsupported, match=words):
        read({**CLIP, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"image_processor_type": None, "feature_extractor_type": None},
        {"size": "224"},
        {"size": {"longest_edge": 336}},
        {"size": {"height": 336, "width": 224}},
        {"size": 0},
        {"size": True},
        {"crop_size": {"height": 336}},
        {"image_mean": [0.5, 0.5]},
        {"image_mean": [0.5, 0.5, None]},
        {"image_std": [0.5, 0.0, 0.5]},
        {"image_std": 0.5},
    ],
    ids=str,
)
def test_a_field_that_makes_no_sense_is_refused_with_its_file(change):
    with pytest.raises(ConfigError, match=r"preprocessor_config\.json.*"):
        read({**CLIP, **change})
