"""SigLIP and SigLIP 2: both towers as transformers computes them, how texts are read, and what a folder must say."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from embedstack.catalog import find
from embedstack.errors import ConfigError, Unsupported
from embedstack.inputs.text import TextInput
from embedstack.models import outputs
from embedstack.models.weights import Weights, open_weights
from embedstack.modelspec import ModelSpec
from embedstack.runtimes.numpy import NumpyOps
from embedstack.types import DENSE, Text
from support import towers
from support.families import SEEN, TOLERANCE, FamilyTests, batch_of, differs, run, write
from support.mutations import Changed, Mutation, architecture, recipe, swapped
from support.proofs import RECORDS, note
from support.tiny_siglip import POSITIONS, SHAPES, VOCAB, case, config, text_config, vision_config

GOLDEN = Path(__file__).parents[1] / "golden" / "siglip_texts.json"
ORIGIN = "recorded: transformers 5.23.0; EMBEDSTACK_RECORD=1 python -m pytest -m reference tests/models/test_siglip.py"

# texts narrower than images, as in the largest SigLIP 2
WIDE = vision_config(hidden_size=40, num_attention_heads=4, hidden_act="gelu")
NARROW = text_config(
    hidden_size=24, vocab_size=towers.gemma_tokenizer().get_vocab_size(), projection_size=40, hidden_act="gelu"
)
SECOND = {
    "config": config(NARROW, WIDE),
    "shapes": towers.siglip_shapes(NARROW, WIDE),
    "tokenizer": towers.gemma_tokenizer,
    "tokenizer_config": towers.gemma_settings(),
    "seed": 33,
}
LEFT = {**SECOND, "tokenizer_config": towers.gemma_settings(padding_side="left", tokenizer_class="Siglip2Tokenizer")}
TEXT, IMAGE = case("siglip-text"), case("siglip-image", image=True)
TEXT2, TEXT2_LEFT = case("siglip2-text", **SECOND), case("siglip2-text-left", **LEFT)
CASES = (TEXT, IMAGE, TEXT2, case("siglip2-image", image=True, **SECOND))
READ = {"SiglipTokenizer": TEXT, "Siglip2Tokenizer": TEXT2, "Siglip2Tokenizer, left": TEXT2_LEFT}


def changed(part: str, change: object) -> Mutation:
    """Tensors whose name has this part."""
    return lambda spec, weights: (
        spec,
        Changed(weights, lambda name, values: change(values) if part in name else values),  # type: ignore[operator]
    )


def thirds_turned(values: np.ndarray) -> np.ndarray:
    """Keys, values and queries for queries, keys and values."""
    return np.roll(values, len(values) // 3, axis=0)


BOTH: Mapping[str, Mutation] = {
    "queries and keys swapped": swapped("q_proj", "k_proj"),
    "the norms swapped": swapped("layer_norm1", "layer_norm2"),
    "places one further": towers.moved_places,
}


class TestSiglipTexts(FamilyTests):
    family = "siglip"
    exports = False
    cases = tuple(one for one in CASES if not one.image)
    unseen = ("k_proj.bias", "vision_model")  # it moves all logits of a query alike; of the other tower
    mutations: Mapping[str, Mutation] = {
        **BOTH,
        "a quick gelu": architecture(activation="quick_gelu"),
        "another epsilon": architecture(norm_eps=1e-6),
        "the first token's row": recipe(pooling="cls"),
        "the mean of all rows": recipe(pooling="mean"),
    }


class TestSiglipImages(FamilyTests):
    family = "siglip"
    cases = tuple(one for one in CASES if one.image)
    test_an_exported_file_equals_the_judge = None  # of texts
    test_8_bits_are_near_the_judge = None
    unseen = ("k_proj.bias", "text_model")  # it moves all logits of a query alike; of the other tower
    mutations: Mapping[str, Mutation] = {
        **BOTH,
        "a quick gelu": towers.vision(activation="quick_gelu"),
        "another epsilon": towers.vision(norm_eps=1e-6),
        "colours last in a patch": towers.kernel((2, 3, 1)),
        "columns first in a patch": towers.kernel((1, 3, 2)),
        "blue, green, red": towers.reversed_colours,
        "the packed thirds in another order": changed("in_proj", thirds_turned),
        "the query asks without the network": changed("head.mlp.fc2", np.zeros_like),
    }


@pytest.mark.parametrize("gelu", ["gelu", "gelu_tanh"])
def test_the_other_gelu_is_seen(gelu: str, tmp_path: Path) -> None:
    """Of the two that are near each other each case has another."""
    for tiny in CASES:
        folder = write(tiny, tmp_path / f"{tiny.name}-{gelu}")
        spec = find(str(folder), cache_dir=tmp_path).spec
        seen = spec.architecture.vision
        assert seen is not None
        is_other = spec.architecture.activation != gelu
        turn = towers.vision(activation=gelu) if tiny.image else architecture(activation=gelu)

        made = run(tiny, "numpy", *turn(spec, open_weights(folder)), tiny.items(spec))

        assert (differs(made, towers.golden_of(tiny)) > TOLERANCE) is is_other


# ------------------------------------------------------------------------------------------------ parts left out


class Causal(NumpyOps):
    """A token does not see those behind it."""

    def attention(self, *args: np.ndarray, causal: bool = False, **more: object) -> np.ndarray:
        return super().attention(*args, causal=True, **more)


class WithoutResidual(NumpyOps):
    """What the query got is not added to what the network makes of it."""

    def layer_norm(self, x: np.ndarray, at: str, width: int, eps: float, *, bias: bool = True) -> np.ndarray:
        if at.endswith("head.layernorm"):
            self.asked = x
        return super().layer_norm(x, at, width, eps, bias=bias)

    def linear(self, x: np.ndarray, at: str, wide: int, out: int, *, bias: bool = True) -> np.ndarray:
        made = super().linear(x, at, wide, out, bias=bias)
        return made - self.asked if at.endswith("head.mlp.fc2") else made


MUTANTS = {
    "texts: seen one way": (Causal, TEXT),
    "texts: no norm at the end": (towers.without_norm("final_layer_norm"), TEXT),
    "images: no norm at the end": (towers.without_norm("post_layernorm"), IMAGE),
    "images: no norm before the network": (towers.without_norm("head.layernorm"), IMAGE),
    "images: the network alone": (WithoutResidual, IMAGE),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_part_left_out_is_seen(mutant: str, tmp_path: Path) -> None:
    made, tiny = MUTANTS[mutant]
    folder = write(tiny, tmp_path / "model")
    spec = find(str(folder), cache_dir=tmp_path).spec
    ops = made(open_weights(folder), batch_of(tiny.items(spec)))

    rows = outputs(ops, spec, DENSE, prune=False, image=tiny.image)["dense"]

    assert differs(rows, towers.golden_of(tiny)) > SEEN * TOLERANCE
    note("siglip", tiny.name, f"mutation: {mutant}", 0.0)


# ------------------------------------------------------------------------------------------------ texts


def opened(tiny: towers.Seen, tmp_path: Path) -> tuple[Path, ModelSpec, Weights]:
    folder = write(tiny, tmp_path / tiny.name)
    return folder, find(str(folder), cache_dir=tmp_path).spec, open_weights(folder)


@pytest.mark.reference
@pytest.mark.parametrize("read", READ)
def test_the_golden_texts_are_what_transformers_says_now(read: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    if read == "SiglipTokenizer":
        pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    folder = write(READ[read], tmp_path / "model")
    if read == "SiglipTokenizer":
        towers.write_pieces(folder / "spiece.model")
    ids, rows, masked = towers.texts_of(folder, read.partition(",")[0])
    both = {"vectors": rows, "masked": masked}
    said = {"ids": ids, **{name: np.round(made.astype(float), 6).tolist() for name, made in both.items()}}

    if RECORDS:
        known = json.loads(GOLDEN.read_text()) if GOLDEN.is_file() else {}
        all_said = {**known, "origin": ORIGIN, "texts": towers.TEXTS, read: said}
        GOLDEN.write_text(json.dumps(all_said, ensure_ascii=False) + "\n")
    golden = json.loads(GOLDEN.read_text())[read]
    assert golden["ids"] == ids
    for name, made in both.items():
        assert differs(np.array(golden[name]), made) <= 1e-6


@pytest.mark.parametrize("read", READ)
def test_texts_are_read_and_filled_up_as_transformers_does(read: str, tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text())
    folder, spec, weights = opened(READ[read], tmp_path)

    read_ids = [one.ids for one in TextInput(folder, spec).encode([Text(text) for text in golden["texts"]])]

    assert [ids.tolist() for ids in read_ids] == golden[read]["ids"]
    made = run(READ[read], "numpy", spec, weights, read_ids)
    assert differs(made, np.array(golden[read]["vectors"])) <= TOLERANCE


WRONG: Mapping[str, Mapping[str, object]] = {
    "padding left out": {"pad_to": 0},
    "padding on the other side": {"pad_left": True},
    "padding by another token": {"pad_id": 2},
    "one token of padding too few": {"pad_to": POSITIONS - 1},
    "upper case left in": {"lowercase": False},
    "punctuation left in": {"canonical": False},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_text_read_otherwise_is_seen(wrong: str, tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text())
    folder, spec, weights = opened(TEXT, tmp_path)
    spec, _ = recipe(**WRONG[wrong])(spec, weights)

    ids = [one.ids for one in TextInput(folder, spec).encode([Text(golden["texts"][1])])]

    made = run(TEXT, "numpy", spec, weights, ids)
    assert differs(made[0], np.array(golden["SiglipTokenizer"]["vectors"][1])) > SEEN * TOLERANCE
    note("siglip", TEXT.name, f"mutation: texts: {wrong}", 0.0)


@pytest.mark.parametrize("read", READ)
def test_what_fills_up_is_not_masked(read: str) -> None:
    """The judge itself gives other vectors where it is."""
    golden = json.loads(GOLDEN.read_text())[read]

    far = [differs(np.array(a), np.array(b)) for a, b in zip(golden["vectors"], golden["masked"], strict=True)]

    assert min(far[:-1]) > SEEN * TOLERANCE  # the last text is so long that nothing fills it up
    assert far[-1] <= TOLERANCE
    note("siglip", TEXT.name, "mutation: texts: padding masked", 0.0)


# ------------------------------------------------------------------------------------------------ folders


def test_a_spec_says_what_the_model_takes_and_gives(tmp_path: Path) -> None:
    _, spec, _ = opened(TEXT2, tmp_path)

    assert (spec.inputs, spec.outputs, spec.dim) == (("text", "image"), ("dense",), 40)
    assert (spec.similarity, spec.logit_scale, spec.logit_bias) == ("sigmoid", pytest.approx(np.exp(3)), -7.5)
    assert (spec.pad_to, spec.pad_id, spec.pad_left, spec.lowercase, spec.canonical) == (
        POSITIONS,
        0,
        False,
        True,
        False,
    )
    assert spec.normalize


@pytest.mark.parametrize("missing", ["logit_scale", "logit_bias"])
def test_without_a_scale_no_probabilities_are_made_up(missing: str, tmp_path: Path) -> None:
    left = {name: shape for name, shape in SHAPES.items() if name != missing}
    folder = write(case("bare", shapes=left, draw={}), tmp_path / "model")

    spec = find(str(folder), cache_dir=tmp_path).spec

    assert (spec.similarity, spec.logit_scale, spec.logit_bias) == ("", 0.0, 0.0)


@pytest.mark.parametrize("stored", [(), (1,)])
def test_a_scale_may_be_a_number_or_a_list_of_one(stored: tuple[int, ...], tmp_path: Path) -> None:
    names = [name for name in SHAPES if name.startswith("logit_")]
    draw = {name: np.full(stored, 2.5, np.float32) for name in names}
    tiny = case(
        "scale",
        shapes={**SHAPES, **dict.fromkeys(names, stored)},
        draw=draw,
    )

    spec = find(str(write(tiny, tmp_path / "model")), cache_dir=tmp_path).spec

    assert spec.logit_scale == pytest.approx(np.exp(2.5))


def test_what_a_file_leaves_out_is_as_usual(tmp_path: Path) -> None:
    bare = {"model_type": "siglip", "text_config": {}, "vision_config": {}}
    files = {"preprocessor_config.json": {"image_processor_type": "SiglipImageProcessor"}}

    _, spec, _ = opened(case("bare", config=bare, files=files), tmp_path)

    a, seen = spec.architecture, spec.architecture.vision
    assert (spec.dim, a.vocab, a.positions, a.activation, a.norm_eps) == (768, 32000, 64, "gelu_tanh", 1e-6)
    assert seen is not None
    assert (seen.layers, seen.side, seen.patch, seen.tokens, seen.fit) == (12, 224, 16, 196, "squash")


@pytest.mark.parametrize(("vocab", "strips"), [(32000, True), (256000, False)])
@pytest.mark.parametrize("unsaid", [None, "PreTrainedTokenizerFast"])
def test_the_vocabulary_tells_where_the_tokeniser_is_not_named(
    vocab: int, strips: bool, unsaid: str | None, tmp_path: Path
) -> None:
    settings = {**towers.siglip_settings(), "tokenizer_class": unsaid, "padding_side": "right"}

    _, spec, _ = opened(case("told", config=config(text_config(vocab_size=vocab)), tokenizer_config=settings), tmp_path)

    assert spec.canonical is strips


@pytest.mark.parametrize("kind", ["PreTrainedTokenizerFast", "T5Tokenizer"])
def test_a_tokeniser_of_neither_is_refused(kind: str, tmp_path: Path) -> None:
    settings = {**towers.siglip_settings(), "tokenizer_class": kind}

    with pytest.raises(Unsupported, match=rf"has the tokeniser '{kind}' of {VOCAB} tokens; embedstack has SigLIP with"):
        opened(case("neither", tokenizer_config=settings), tmp_path)


def test_a_side_that_is_not_stated_is_not_guessed(tmp_path: Path) -> None:
    settings = {**towers.gemma_settings(), "padding_side": None}

    with pytest.raises(ConfigError, match="'padding_side' is None, not right or left"):
        opened(case("side", **{**SECOND, "tokenizer_config": settings}), tmp_path)


def test_a_tokenizer_that_begins_texts_with_a_token_is_refused(tmp_path: Path) -> None:
    def begun():  # type: ignore[no-untyped-def]
        from tokenizers import processors

        made = towers.gemma_tokenizer()
        made.post_processor = processors.TemplateProcessing("<bos> $A <eos>", None, [("<bos>", 2), ("<eos>", 1)])
        return made

    with pytest.raises(Unsupported, match="does not end each text with one token and begin it with none"):
        opened(case("begun", **{**SECOND, "tokenizer": begun}), tmp_path)


def test_a_token_for_padding_that_the_tokeniser_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'pad_token' is '<no>', not one of the special tokens"):
        opened(case("pad", tokenizer_config={**towers.siglip_settings(), "pad_token": "<no>"}), tmp_path)


def test_texts_and_images_of_different_widths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="texts of 24 numbers and images of 36"):
        opened(case("widths", config=config(text_config(projection_size=24))), tmp_path)


def test_a_tower_without_its_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="vision_use_head=False"):
        opened(case("headless", config=config(vision=vision_config(vision_use_head=False))), tmp_path)


def test_images_that_keep_their_shape_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="NaFlex, model_type 'siglip2'"):
        opened(case("naflex", config={**config(), "model_type": "siglip2"}), tmp_path)
