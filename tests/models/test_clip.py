"""CLIP: both towers as transformers computes them, the end of a text, and what a folder must say."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from embedstack.catalog import find
from embedstack.errors import ConfigError, Unsupported
from embedstack.inputs.text import TextInput
from embedstack.models import outputs
from embedstack.models.weights import open_weights
from embedstack.runtimes.numpy import NumpyOps
from embedstack.types import DENSE, Text, Tokens
from support import towers
from support.families import SEEN, TOLERANCE, FamilyTests, batch_of, differs, run, write
from support.mutations import Mutation, architecture, recipe, swapped, zeroed
from support.proofs import RECORDS, note
from support.tiny_clip import DIM, PREPROCESSOR, SHAPES, TEXT_CONFIG, VISION_CONFIG, VOCAB, case, config

GOLDEN = Path(__file__).parents[1] / "golden" / "clip_texts.json"
ORIGIN = "recorded: transformers 5.23.0; EMBEDSTACK_RECORD=1 python -m pytest -m reference tests/models/test_clip.py"

# as files of 2022 state the towers: what is in the older fields alone counts
OLDER = config(
    text_config=dict(TEXT_CONFIG, hidden_size=99),
    text_config_dict=dict(TEXT_CONFIG, hidden_act="gelu", eos_token_id=VOCAB - 1),
    vision_config=dict(VISION_CONFIG, hidden_size=99),
    vision_config_dict=dict(VISION_CONFIG, hidden_act="gelu"),
)
TEXT, IMAGE = case("clip-text"), case("clip-image", image=True)
CASES = (
    TEXT,
    IMAGE,
    case("clip-text-older", config=OLDER, seed=32),
    case("clip-image-older", config=OLDER, image=True, seed=32),
)


BOTH: Mapping[str, Mutation] = {
    "queries and keys swapped": swapped("q_proj", "k_proj"),
    "the norms swapped": swapped("layer_norm1", "layer_norm2"),
    "places one further": towers.moved_places,
}


class TestClipTexts(FamilyTests):
    family = "clip"
    exports = False
    cases = tuple(one for one in CASES if not one.image)
    unseen = (
        "k_proj.bias",
        "vision_model",
        "visual_projection",
    )  # it moves all logits of a query alike; of the other tower
    mutations: Mapping[str, Mutation] = {
        **BOTH,
        "another gelu": architecture(activation="gelu_tanh"),
        "another epsilon": architecture(norm_eps=1e-5),
        "the first token's row": recipe(pooling="cls"),
        "the mean of all rows": recipe(pooling="mean"),
    }


class TestClipImages(FamilyTests):
    family = "clip"
    cases = tuple(one for one in CASES if one.image)
    test_an_exported_file_equals_the_judge = None  # of texts
    test_8_bits_are_near_the_judge = None
    unseen = (
        "k_proj.bias",
        "text_model",
        "text_projection",
    )  # it moves all logits of a query alike; of the other tower
    mutations: Mapping[str, Mutation] = {
        **BOTH,
        "another gelu": towers.vision(activation="gelu_tanh"),
        "another epsilon": towers.vision(norm_eps=1e-5),
        "no class vector": zeroed("vision_model.embeddings.class_embedding"),
        "colours last in a patch": towers.kernel((2, 3, 1)),
        "columns first in a patch": towers.kernel((1, 3, 2)),
        "blue, green, red": towers.reversed_colours,
    }


# ------------------------------------------------------------------------------------------------ parts left out


class MeanOfPlaces(NumpyOps):
    """What images are pooled by where the class vector is not."""

    def pool(self, x: np.ndarray, how: str) -> np.ndarray:
        return super().pool(x, "mean")


MUTANTS = {
    "texts: seen both ways": (towers.BothWays, TEXT),
    "texts: no norm at the end": (towers.without_norm("final_layer_norm"), TEXT),
    "images: no norm at the start": (towers.without_norm("pre_layrnorm"), IMAGE),
    "images: no norm at the end": (towers.without_norm("post_layernorm"), IMAGE),
    "images: the mean of all rows": (MeanOfPlaces, IMAGE),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_part_left_out_is_seen(mutant: str, tmp_path: Path) -> None:
    made, tiny = MUTANTS[mutant]
    folder = write(tiny, tmp_path / "model")
    spec = find(str(folder), cache_dir=tmp_path).spec
    ops = made(open_weights(folder), batch_of(tiny.items(spec)))

    rows = outputs(ops, spec, DENSE, prune=False, image=tiny.image)["dense"]

    assert differs(rows, towers.golden_of(tiny)) > SEEN * TOLERANCE
    note("clip", tiny.name, f"mutation: {mutant}", 0.0)


# ------------------------------------------------------------------------------------------------ texts


@pytest.mark.reference
def test_the_golden_texts_are_what_transformers_says_now(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    ids, rows, _ = towers.texts_of(write(TEXT, tmp_path / "model"), "CLIPTokenizer")

    said = {"origin": ORIGIN, "texts": towers.TEXTS, "ids": ids, "vectors": np.round(rows.astype(float), 7).tolist()}

    if RECORDS:
        GOLDEN.write_text(json.dumps(said, ensure_ascii=False) + "\n")
    golden = json.loads(GOLDEN.read_text())
    assert golden["ids"] == ids
    assert differs(np.array(golden["vectors"]), rows) <= 1e-6


@pytest.mark.parametrize("place", range(len(towers.TEXTS)))
def test_a_text_is_read_as_transformers_reads_it(place: int, tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text())
    folder = write(TEXT, tmp_path / "model")
    spec = find(str(folder), cache_dir=tmp_path).spec

    (encoding,) = TextInput(folder, spec).encode([Text(golden["texts"][place])])

    ids = encoding.ids.tolist()
    assert ids == golden["ids"][place][: len(ids)]
    assert set(golden["ids"][place][len(ids) :]) <= {spec.stop_id}
    row = run(TEXT, "numpy", spec, open_weights(folder), [encoding.ids])[0]
    assert differs(row, np.array(golden["vectors"][place])) <= TOLERANCE


def test_a_text_ends_at_the_first_end_that_it_spells_out(tmp_path: Path) -> None:
    folder = write(TEXT, tmp_path / "model")
    spec = find(str(folder), cache_dir=tmp_path).spec

    spelt, plain = TextInput(folder, spec).encode([Text("a cat<|endoftext|> of snow"), Text("a cat")])

    assert spelt.ids.tolist() == plain.ids.tolist()


def test_padding_that_a_caller_sends_does_not_count(tmp_path: Path) -> None:
    folder = write(TEXT, tmp_path / "model")
    spec = find(str(folder), cache_dir=tmp_path).spec
    start, end = VOCAB - 2, VOCAB - 1

    (given,) = TextInput(folder, spec).encode([Tokens((start, 7, 9, end, end, end))])

    assert given.ids.tolist() == [start, 7, 9, end]


@pytest.mark.parametrize(("stated", "stop"), [(2, VOCAB - 1), (VOCAB - 5, VOCAB - 5), (None, 49407)])
def test_the_end_is_the_largest_id_where_an_old_file_says_two(stated: int | None, stop: int, tmp_path: Path) -> None:
    folder = write(case("end", config=config(text_config=dict(TEXT_CONFIG, eos_token_id=stated))), tmp_path / "model")

    assert find(str(folder), cache_dir=tmp_path).spec.stop_id == stop


# ------------------------------------------------------------------------------------------------ folders


def test_a_spec_says_what_the_model_takes_and_gives(tmp_path: Path) -> None:
    spec = find(str(write(TEXT, tmp_path / "model")), cache_dir=tmp_path).spec

    assert (spec.inputs, spec.outputs, spec.dim) == (("text", "image"), ("dense",), DIM)
    assert (spec.similarity, spec.logit_scale, spec.logit_bias) == ("softmax", pytest.approx(np.exp(2.5)), 0.0)
    assert spec.normalize


@pytest.mark.parametrize("missing", ["logit_scale"])
def test_without_a_scale_no_probabilities_are_made_up(missing: str, tmp_path: Path) -> None:
    shapes_left = {name: shape for name, shape in SHAPES.items() if name != missing}
    folder = write(case("bare", shapes=shapes_left, draw={}), tmp_path / "model")

    spec = find(str(folder), cache_dir=tmp_path).spec

    assert (spec.similarity, spec.logit_scale, spec.logit_bias) == ("", 0.0, 0.0)


@pytest.mark.parametrize("stored", [(), (1,)])
def test_a_scale_may_be_a_number_or_a_list_of_one(stored: tuple[int, ...], tmp_path: Path) -> None:
    names = [name for name in SHAPES if name.startswith("logit_")]
    draw = {name: np.full(stored, 2.5, np.float32) for name in names}
    tiny = case("scale", shapes={**SHAPES, **dict.fromkeys(names, stored)}, draw=draw)

    spec = find(str(write(tiny, tmp_path / "model")), cache_dir=tmp_path).spec

    assert spec.logit_scale == pytest.approx(np.exp(2.5))


def test_what_a_file_leaves_out_is_as_usual(tmp_path: Path) -> None:
    """So the folder asks for the shapes of ViT-B/32, which these tensors do not have."""
    bare = {"model_type": "clip", "text_config": {}, "vision_config": {}}
    files = {"preprocessor_config.json": {"image_processor_type": "CLIPImageProcessor"}}

    a = find(str(write(case("bare", config=bare, files=files), tmp_path / "model")), cache_dir=tmp_path).spec
    seen = a.architecture.vision

    assert (a.dim, a.architecture.hidden, a.architecture.positions, a.architecture.activation) == (
        512, 512, 77, "quick_gelu",
    )  # fmt: skip
    assert seen is not None
    assert (seen.hidden, seen.layers, seen.side, seen.patch, seen.tokens) == (768, 12, 224, 32, 50)
    assert (seen.fit, seen.resample, seen.mean[0]) == ("crop", "bicubic", 0.48145466)


@pytest.mark.parametrize(("last", "normalize"), [((), False), (("Normalize",), True)])
def test_a_folder_of_sentence_transformers_states_whether_rows_are_unit(
    last: tuple[str, ...], normalize: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    write(TEXT, folder / "0_CLIPModel")
    rows = [
        {"idx": n, "name": str(n), "path": f"{n}_{kind}", "type": f"sentence_transformers.models.{kind}"}
        for n, kind in enumerate(("CLIPModel", *last))
    ]
    (folder / "modules.json").write_text(json.dumps(rows))

    spec = find(str(folder), cache_dir=tmp_path).spec

    assert spec.normalize is normalize
    assert run(TEXT, "numpy", spec, open_weights(folder), TEXT.items(spec)).shape == (8, DIM)


def two_files(folder: Path) -> Path:
    """As older folders have their tokeniser."""
    write(TEXT, folder)
    (folder / "tokenizer.json").unlink()
    towers.clip_tokenizer().model.save(str(folder))
    return folder


def test_a_tokeniser_in_two_files_is_refused_with_the_way_to_one(tmp_path: Path) -> None:
    folder = two_files(tmp_path / "model" / "0_CLIPModel").parent
    rows = [{"idx": 0, "name": "0", "path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}]
    (folder / "modules.json").write_text(json.dumps(rows))

    with pytest.raises(ConfigError, match=r"0_CLIPModel.tokenizer\.json' is not there.*AutoTokenizer.*save_pretrained"):
        find(str(folder), cache_dir=tmp_path)


@pytest.mark.reference
@pytest.mark.parametrize(
    "text", ["it's A\tcat\u00a0's", "İ ΟΔΟΣ e\u0301 ﬁ 漢字 42", "x<|endoftext|> <|STARTOFTEXT|>", "\u200b"]
)
def test_transformers_makes_one_file_of_the_two_that_reads_alike(text: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    folder = two_files(tmp_path / "model")

    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(folder)

    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert made.encode(text).ids == towers.clip_tokenizer().encode(text).ids


def test_another_way_to_prepare_images_is_another_space(tmp_path: Path) -> None:
    bilinear = {"preprocessor_config.json": {**PREPROCESSOR, "resample": 2}}
    specs = [
        find(str(write(case("one", files=files), tmp_path / str(n))), cache_dir=tmp_path).spec
        for n, files in enumerate((IMAGE.files, bilinear))
    ]

    assert specs[0].space != specs[1].space


def test_images_of_another_size_than_the_tower_reads_are_refused(tmp_path: Path) -> None:
    files = {"preprocessor_config.json": {"image_processor_type": "CLIPImageProcessor"}}
    folder = write(case("wrong", files=files), tmp_path / "model")

    with pytest.raises(ConfigError, match=r"reads images of 27 pixels, but .* 224"):
        find(str(folder), cache_dir=tmp_path)


def test_a_folder_that_does_not_say_how_images_are_prepared_is_refused(tmp_path: Path) -> None:
    folder = write(case("silent", files={}), tmp_path / "model")

    with pytest.raises(ConfigError, match=r"preprocessor_config\.json' is not there"):
        find(str(folder), cache_dir=tmp_path)


def test_images_of_four_colours_are_refused(tmp_path: Path) -> None:
    folder = write(case("four", config=config(vision_config=dict(VISION_CONFIG, num_channels=4))), tmp_path / "model")

    with pytest.raises(Unsupported, match="num_channels=4"):
        find(str(folder), cache_dir=tmp_path)
