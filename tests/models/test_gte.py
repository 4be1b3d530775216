"""GTE: turned positions with NTK scaling, a gate, biases, both spellings of its tensors, and a head that scores."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from embedstack.catalog import find
from embedstack.errors import ConfigError, Unsupported
from embedstack.models.folder import Fields
from embedstack.models.gte import FAMILY
from embedstack.models.ops import turning_speeds
from embedstack.models.weights import open_weights
from support import tiny
from support.families import FamilyTests, Tiny, by_transformers, differs, run, write
from support.mutations import (
    Mutation,
    architecture,
    halves_swapped,
    interleaved,
    recipe,
    swapped,
    thirds_changed,
    without,
)

HIDDEN, HEADS, WIDE, LAYERS = 32, 4, 48, 2
SIZE = HIDDEN // HEADS
VOCAB = tiny.tokenizer(tiny.CASES["bert-mean"]).get_vocab_size()
THETA, FACTOR = 40.0, 8.0
NEW: Mapping[str, object] = {  # the fields of Alibaba-NLP/gte-multilingual-base that say anything of the graph
    "architectures": ["NewModel", "NewForTokenClassification"],
    "auto_map": {"AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel"},
    "hidden_act": "gelu",
    "hidden_size": HIDDEN,
    "intermediate_size": WIDE,
    "layer_norm_eps": 1e-2,
    "layer_norm_type": "layer_norm",
    "logn_attention_clip1": False,
    "logn_attention_scale": False,
    "max_position_embeddings": 400,
    "model_type": "new",
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "pack_qkv": True,
    "pad_token_id": 0,
    "position_embedding_type": "rope",
    "rope_scaling": {"factor": FACTOR, "type": "ntk"},
    "rope_theta": THETA,
    "type_vocab_size": 1,
    "unpad_inputs": False,
    "use_memory_efficient_attention": False,
    "vocab_size": VOCAB,
}
SCALED = {"rope_type": "linear", "rope_theta": THETA * FACTOR, "factor": FACTOR ** (2 / SIZE)}
"""NTK scaling in words that transformers has: a larger base, and all speeds divided."""
SEPARATE: Mapping[str, object] = {  # as transformers 5 saves it
    **{key: NEW[key] for key in ("hidden_act", "hidden_size", "intermediate_size", "layer_norm_eps", "vocab_size")},
    **{key: NEW[key] for key in ("max_position_embeddings", "num_attention_heads", "num_hidden_layers")},
    "architectures": ["GteModel"],
    "model_type": "gte",
    "pad_token_id": 0,
    "rope_parameters": {"rope_type": "default", "rope_theta": THETA},
    "type_vocab_size": 1,
}


def fused_shapes(prefix: str = "", types: int = 1, **more: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    made: dict[str, tuple[int, ...]] = {
        f"{prefix}embeddings.word_embeddings.weight": (VOCAB, HIDDEN),
        f"{prefix}embeddings.LayerNorm.weight": (HIDDEN,),
        f"{prefix}embeddings.LayerNorm.bias": (HIDDEN,),
    }
    if types:
        made[f"{prefix}embeddings.token_type_embeddings.weight"] = (types, HIDDEN)
    for number in range(LAYERS):
        at = f"{prefix}encoder.layer.{number}"
        made |= {
            f"{at}.attention.qkv_proj.weight": (3 * HIDDEN, HIDDEN),
            f"{at}.attention.qkv_proj.bias": (3 * HIDDEN,),
        }
        made |= {f"{at}.attention.o_proj.weight": (HIDDEN, HIDDEN), f"{at}.attention.o_proj.bias": (HIDDEN,)}
        made |= {f"{at}.mlp.up_gate_proj.weight": (2 * WIDE, HIDDEN)}
        made |= {f"{at}.mlp.down_proj.weight": (HIDDEN, WIDE), f"{at}.mlp.down_proj.bias": (HIDDEN,)}
        made |= {f"{at}.{name}.{part}": (HIDDEN,) for name in ("attn_ln", "mlp_ln") for part in ("weight", "bias")}
    return made | {name.replace("__", "."): shape for name, shape in more.items()}


def head(prefix: str, labels: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{prefix}pooler.dense.weight": (HIDDEN, HIDDEN),
        f"{prefix}pooler.dense.bias": (HIDDEN,),
        "classifier.weight": (labels, HIDDEN),
        "classifier.bias": (labels,),
    }


RENAMED = {
    "new.": "gte.",
    "encoder.layer": "layers",
    "attention.o_proj": "self_attn.o_proj",
    "attn_ln": "post_attention_layernorm",
    "mlp_ln": "post_mlp_layernorm",
}
PARTS = {
    "attention.qkv_proj": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "mlp.up_gate_proj": ("mlp.up_proj", "mlp.gate_proj"),
}


def separated(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same numbers as transformers 5 names them."""
    made: dict[str, np.ndarray] = {}
    for name, values in tensors.items():
        for old, new in RENAMED.items():
            name = name.replace(old, new)
        fused = next((fused for fused in PARTS if fused in name), "")
        parts = PARTS.get(fused, ("",))
        for part, rows in zip(parts, np.split(values, len(parts)), strict=True):
            made[name.replace(fused, part) if fused else name] = np.ascontiguousarray(rows)
    return made


def separate_shapes(prefix: str = "", types: int = 1) -> dict[str, tuple[int, ...]]:
    made = separated({name: np.zeros(shape, np.float32) for name, shape in fused_shapes("", types).items()})
    return {prefix + name: values.shape for name, values in made.items()}


def in_words_of_transformers(**change: object) -> dict[str, object]:
    """NEW, as transformers says it."""
    return {**SEPARATE, "rope_parameters": SCALED, **change}


def twin(case: Tiny, folder: Path, to: Path) -> Path:
    """A folder of the same numbers in the other spelling."""
    tensors = separated(load_file(folder / "model.safetensors"))
    write(replace(case, config=in_words_of_transformers(), shapes={"unused": (1,)}), to)
    save_file(tensors, to / "model.safetensors", {"format": "pt"})
    return to


def labelled(stated: Mapping[str, object], name: str, labels: int) -> dict[str, object]:
    names = {str(number): f"LABEL_{number}" for number in range(labels)}
    ids = {label: int(number) for number, label in names.items()}
    return {**stated, "architectures": [name], "id2label": names, "label2id": ids}


SCORER = "AutoModelForSequenceClassification"
NTK = Tiny(
    "gte-ntk",
    NEW,
    # as gte-multilingual-base, which keeps lexical weights beside its encoder
    fused_shapes("new.", classifier__weight=(1, HIDDEN), classifier__bias=(1,)),
    by_transformers("cls", config=in_words_of_transformers()),
    pooling="cls",
)
CASES = (
    NTK,
    # as gte-base-en-v1.5, without types
    Tiny(
        "gte-no-types",
        {**NEW, "type_vocab_size": 0},
        fused_shapes("", 0),
        by_transformers("mean", config=in_words_of_transformers(type_vocab_size=0)),
        seed=32,
    ),
    # the newer name over the older tensors, as a config that was mended by hand
    Tiny("gte-fused", SEPARATE, fused_shapes(), by_transformers("mean"), seed=37),
    Tiny("gte-separate", SEPARATE, separate_shapes(), by_transformers("cls"), pooling="cls", seed=33),
    Tiny(
        "gte-long",
        {**SEPARATE, "rope_parameters": SCALED},
        separate_shapes(),
        by_transformers("mean"),
        lengths=(390, 1, 131, 12, 64, 257),
        max_seq_length=400,
        seed=34,
    ),
    Tiny(
        "gte-reranker",
        labelled(NEW, "NewForSequenceClassification", 1),
        fused_shapes("new.") | head("new.", 1),
        by_transformers("logits", SCORER, labelled(in_words_of_transformers(), "GteForSequenceClassification", 1)),
        pooling=None,
        output="score",
        seed=35,
    ),
    Tiny(
        "gte-labels",
        labelled(SEPARATE, "GteForSequenceClassification", 3),
        separate_shapes("gte.") | head("gte.", 3),
        by_transformers("logits", SCORER),
        pooling=None,
        output="score",
        seed=36,
    ),
)
SCORERS = tuple(case.name for case in CASES if case.output == "score")
MUTATIONS: Mapping[str, Mutation] = {
    "gate and up swapped": halves_swapped("up_gate_proj"),
    "gate and up swapped, separate": swapped("up_proj", "gate_proj"),
    "queries and keys swapped": thirds_changed("qkv_proj", HEADS, (1, 0, 2)),
    "queries and keys swapped, separate": swapped("q_proj", "k_proj"),
    "neighbours turned for halves": thirds_changed("qkv_proj", HEADS, (0, 1, 2), pairs=True),
    "neighbours turned for halves, separate": interleaved("q_proj", "k_proj", size=SIZE),
    "another theta": architecture(rope_theta=10_000.0),
    "no NTK factor": architecture(rope_theta=THETA, rope_factor=1.0),
    "the base of NTK scaling alone": architecture(rope_factor=1.0),
    "no types": without("token_type_embeddings"),
    "another epsilon": architecture(norm_eps=1e-12),
    "tanh for erf": architecture(activation="gelu_tanh"),
    "another gate": architecture(activation="silu"),
    "another pooling": recipe(pooling="max"),
}
FUSED_NAMES = ("gte-ntk", "gte-no-types", "gte-fused", "gte-reranker")
SEPARATE_NAMES = ("gte-separate", "gte-long", "gte-labels")
UNSCALED = ("gte-separate", "gte-fused", "gte-labels")


class TestGte(FamilyTests):
    family = "gte"
    cases = CASES
    mutations = MUTATIONS
    not_for: Mapping[str, Sequence[str]] = {
        **{name: SEPARATE_NAMES for name in MUTATIONS if f"{name}, separate" in MUTATIONS},
        **{name: FUSED_NAMES for name in MUTATIONS if name.endswith("separate")},
        "no types": ("gte-no-types",),
        "no NTK factor": UNSCALED,
        "the base of NTK scaling alone": UNSCALED,
    }


# ------------------------------------------------------------------------------------------------ both spellings


def test_both_spellings_of_one_model_give_the_same_rows(tmp_path: Path) -> None:
    folder = write(NTK, tmp_path / "fused")
    other = twin(NTK, folder, tmp_path / "separate")
    rows = []

    for place in (folder, other):
        spec = find(str(place), cache_dir=tmp_path).spec
        rows.append(run(NTK, "numpy", spec, open_weights(place), NTK.items(spec)))

    assert differs(*rows) < 1e-12


def read(stated: Mapping[str, object]) -> object:
    return FAMILY.architecture(Fields(Path("config.json"), stated), "some/model")


@pytest.mark.parametrize(
    "stated",
    [
        {"rope_scaling": {"type": "ntk", "factor": FACTOR}},
        {"rope_scaling": {"rope_type": "ntk", "factor": FACTOR, "mixed_b": None}},
        {"rope_scaling": None, "rope_parameters": SCALED, "rope_theta": None},
        {"rope_scaling": None, "rope_parameters": {"rope_type": "ntk", "factor": FACTOR, "rope_theta": THETA}},
    ],
    ids=str,
)
def test_ntk_scaling_means_the_same_however_it_is_stated(stated: dict[str, object]) -> None:
    made = FAMILY.architecture(Fields(Path("config.json"), {**NEW, **stated}), "some/model")

    assert (made.rope_theta, made.rope_factor) == (320.0, pytest.approx(8**0.25))


def test_ntk_speeds_are_those_of_the_published_formula() -> None:
    """https://kexue.fm/archives/9706, (6): the speed of place i is theta^(-2i/d) divided by F^(2(i+1)/d)."""
    made = FAMILY.architecture(Fields(Path("config.json"), NEW), "some/model")
    places = np.arange(SIZE // 2)

    speeds = turning_speeds(made.rope_theta, SIZE, made.rope_factor)

    assert speeds == pytest.approx(THETA ** (-2 * places / SIZE) / FACTOR ** (2 * (places + 1) / SIZE), rel=1e-6)


@pytest.mark.parametrize(("kind", "theta"), [("new", 10_000.0), ("gte", 160_000.0)])
def test_a_config_without_theta_has_the_default_of_its_kind(kind: str, theta: float) -> None:
    stated = {**NEW, "model_type": kind, "rope_theta": None, "rope_scaling": None}

    assert FAMILY.architecture(Fields(Path("config.json"), stated), "x").rope_theta == theta


# ------------------------------------------------------------------------------------------------ switches

SWITCHES: tuple[tuple[dict[str, object], str], ...] = (
    ({"layer_norm_type": "rms_norm"}, "layer_norm_type"),
    ({"logn_attention_scale": True}, "logn_attention_scale"),
    ({"logn_attention_clip1": True}, "logn_attention_clip1"),
    ({"pack_qkv": False}, "pack_qkv"),
    ({"head_dim": 16}, "head_dim"),
    ({"position_embedding_type": "absolute"}, "position_embedding_type"),
    ({"hidden_act": "gelu_10"}, "gelu_10"),
    ({"is_decoder": True}, "is_decoder"),
    ({"quantization_config": {"bits": 8}}, "quantization_config"),
    ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "dynamic"),
    ({"rope_scaling": {"type": "ntk", "factor": 2.0, "mixed_b": 0.6}}, "mixed_b"),
)


@pytest.mark.parametrize(("switch", "named"), SWITCHES, ids=str)
def test_a_switch_that_would_change_the_graph_is_refused_by_name(switch: dict[str, object], named: str) -> None:
    with pytest.raises(Unsupported, match=named):
        read({**NEW, **switch})


@pytest.mark.parametrize("field", ["rope_theta", "num_attention_heads", "intermediate_size"])
def test_a_field_of_the_wrong_kind_is_named(field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        read({**NEW, field: "many"})


def test_layers_after_pooling_are_refused_by_name(tmp_path: Path) -> None:
    """As stella_en_400M_v5 has one."""
    kinds = ("Transformer", "Pooling", "Dense")
    rows = [
        {"path": f"{n}_{kind}" if n else "", "type": f"sentence_transformers.models.{kind}"}
        for n, kind in enumerate(kinds)
    ]
    folder = write(replace(NTK, files={"modules.json": rows}), tmp_path / "stella")

    with pytest.raises(Unsupported, match="is built with Dense"):
        find(str(folder), cache_dir=tmp_path)


def test_a_reranker_of_several_spellings_is_a_reranker(tmp_path: Path) -> None:
    for case in CASES:
        if case.name in SCORERS:
            spec = find(str(write(case, tmp_path / case.name)), cache_dir=tmp_path).spec

            assert (spec.task, spec.head) == ("rerank" if spec.labels == 1 else "classify", "bert")
