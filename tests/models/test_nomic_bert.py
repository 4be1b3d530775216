"""nomic-bert: turned positions, a gate, both spellings of its tensors, its prompts and how its rows are cut."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from embedstack.catalog import find
from embedstack.engine.engine import Engine
from embedstack.engine.loaded import Loaded
from embedstack.errors import BadRequest, ConfigError, Unsupported
from embedstack.inputs.text import TextInput
from embedstack.models.folder import Fields
from embedstack.models.nomic_bert import FAMILY, PROMPTS
from embedstack.models.weights import open_weights
from embedstack.modelspec import ModelSpec
from embedstack.runtimes.numpy import NumpyRuntime
from embedstack.types import Encode, Text
from support import tiny
from support.families import SEEN, TOLERANCE, FamilyTests, Tiny, batch_of, by_transformers, differs, run, write
from support.mutations import Mutation, architecture, interleaved, recipe, swapped, thirds_changed, without
from support.proofs import note

HIDDEN, HEADS, WIDE, LAYERS = 32, 4, 48, 2
SIZE = HIDDEN // HEADS
VOCAB = tiny.tokenizer(tiny.CASES["bert-mean"]).get_vocab_size()
ORIGINAL: Mapping[str, object] = {  # the fields of nomic-ai/nomic-embed-text-v1 that say anything of the graph
    "activation_function": "swiglu",
    "architectures": ["NomicBertModel"],
    "auto_map": {"AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel"},
    "causal": False,
    "layer_norm_epsilon": 1e-2,
    "max_trained_positions": 2048,
    "mlp_fc1_bias": False,
    "mlp_fc2_bias": False,
    "model_type": "nomic_bert",
    "n_embd": HIDDEN,
    "n_head": HEADS,
    "n_inner": WIDE,
    "n_layer": LAYERS,
    "n_positions": 8192,
    "parallel_block": False,
    "prenorm": False,
    "qkv_proj_bias": False,
    "rotary_emb_base": 40,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "rotary_scaling_factor": 2,
    "type_vocab_size": 2,
    "use_flash_attn": True,
    "use_rms_norm": False,
    "vocab_size": VOCAB,
}
SEPARATE: Mapping[str, object] = {  # as transformers 5 saves it
    "architectures": ["NomicBertModel"],
    "hidden_act": "silu",
    "hidden_size": HIDDEN,
    "intermediate_size": WIDE,
    "layer_norm_eps": 1e-2,
    "max_position_embeddings": 2048,
    "model_type": "nomic_bert",
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "rope_parameters": {"rope_type": "default", "rope_theta": 40.0},
    "type_vocab_size": 2,
    "vocab_size": VOCAB,
}


def fused_shapes(prefix: str = "") -> dict[str, tuple[int, ...]]:
    made: dict[str, tuple[int, ...]] = {
        f"{prefix}embeddings.word_embeddings.weight": (VOCAB, HIDDEN),
        f"{prefix}embeddings.token_type_embeddings.weight": (2, HIDDEN),
        f"{prefix}emb_ln.weight": (HIDDEN,),
        f"{prefix}emb_ln.bias": (HIDDEN,),
    }
    for number in range(LAYERS):
        at = f"{prefix}encoder.layers.{number}"
        made |= {f"{at}.attn.Wqkv.weight": (3 * HIDDEN, HIDDEN), f"{at}.attn.out_proj.weight": (HIDDEN, HIDDEN)}
        made |= {f"{at}.mlp.{name}.weight": (WIDE, HIDDEN) for name in ("fc11", "fc12")}
        made |= {f"{at}.mlp.fc2.weight": (HIDDEN, WIDE)}
        made |= {f"{at}.norm{n}.{part}": (HIDDEN,) for n in (1, 2) for part in ("weight", "bias")}
    return made


RENAMED = {
    "encoder.layers": "layers",
    "emb_ln": "embeddings.LayerNorm",
    "attn.out_proj": "self_attn.o_proj",
    "fc11": "up_proj",
    "fc12": "gate_proj",
    "fc2": "down_proj",
    "norm1": "post_attention_layernorm",
    "norm2": "post_mlp_layernorm",
}


def separated(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same numbers as transformers 5 names them."""
    made: dict[str, np.ndarray] = {}
    for name, values in tensors.items():
        for old, new in RENAMED.items():
            name = name.replace(old, new)
        if "attn.Wqkv" not in name:
            made[name] = values
            continue
        for part, rows in zip("qkv", np.split(values, 3), strict=True):
            made[name.replace("attn.Wqkv", f"self_attn.{part}_proj")] = np.ascontiguousarray(rows)
    return made


def separate_shapes(prefix: str = "") -> dict[str, tuple[int, ...]]:
    made = separated({name: np.zeros(shape, np.float32) for name, shape in fused_shapes().items()})
    return {prefix + name: values.shape for name, values in made.items()}


def twin(case: Tiny, folder: Path, to: Path) -> Path:
    """A folder of the same numbers in the other spelling."""
    write(replace(case, config=SEPARATE, shapes=separate_shapes()), to)
    save_file(separated(load_file(folder / "model.safetensors")), to / "model.safetensors", {"format": "pt"})
    return to


FUSED = Tiny("nomic-fused", ORIGINAL, fused_shapes(), by_transformers("mean", config=SEPARATE))
CASES = (
    FUSED,
    Tiny("nomic-separate", SEPARATE, separate_shapes(), by_transformers("cls"), pooling="cls", seed=32),
    Tiny(
        "nomic-long",
        {**SEPARATE, "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0}},
        separate_shapes("nomic_bert."),
        by_transformers("mean"),
        lengths=(390, 1, 131, 12, 64, 257),
        max_seq_length=400,
        seed=33,
    ),
)


MUTATIONS: Mapping[str, Mutation] = {
    "gate and up swapped": swapped("fc11", "fc12"),
    "gate and up swapped, separate": swapped("up_proj", "gate_proj"),
    "queries and keys swapped": thirds_changed("Wqkv", HEADS, (1, 0, 2)),
    "queries and keys swapped, separate": swapped("q_proj", "k_proj"),
    "neighbours turned for halves": thirds_changed("Wqkv", HEADS, (0, 1, 2), pairs=True),
    "neighbours turned for halves, separate": interleaved("q_proj", "k_proj", size=SIZE),
    "another theta": architecture(rope_theta=10_000.0),
    "speeds divided": architecture(rope_factor=1.2),
    "no types": without("token_type_embeddings"),
    "another epsilon": architecture(norm_eps=1e-12),
    "another gate": architecture(activation="gelu"),
    "another pooling": recipe(pooling="max"),
}


class TestNomicBert(FamilyTests):
    family = "nomic_bert"
    cases = CASES
    mutations = MUTATIONS
    not_for: Mapping[str, Sequence[str]] = {
        name: ("nomic-fused",) if name.endswith("separate") else ("nomic-separate", "nomic-long")
        for name in MUTATIONS
        if name.endswith("separate") or f"{name}, separate" in MUTATIONS
    }


# ------------------------------------------------------------------------------------------------ both spellings


def test_both_spellings_of_one_model_give_the_same_rows(tmp_path: Path) -> None:
    folder = write(FUSED, tmp_path / "fused")
    other = twin(FUSED, folder, tmp_path / "separate")
    rows = []

    for place in (folder, other):
        spec = find(str(place), cache_dir=tmp_path).spec
        rows.append(run(FUSED, "numpy", spec, open_weights(place), FUSED.items(spec)))

    assert differs(*rows) < 1e-12


def test_both_spellings_of_config_json_mean_the_same(tmp_path: Path) -> None:
    both = {**ORIGINAL, **SEPARATE, "layer_norm_eps": 1e-2, "rope_parameters": {"rope_type": "default"}}

    made = [FAMILY.architecture(Fields(tmp_path, stated), "x") for stated in (ORIGINAL, SEPARATE, both)]

    assert made[0] == made[1] == made[2]
    assert (made[0].rope_theta, made[0].activation, made[0].norm_eps) == (40.0, "silu", 1e-2)


@pytest.mark.parametrize(("old", "new"), [("n_embd", "hidden_size"), ("rotary_emb_base", "rope_theta")])
def test_two_spellings_that_differ_are_refused(old: str, new: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"'{new}' is 64, not what {old} says"):
        FAMILY.architecture(Fields(tmp_path, {**ORIGINAL, new: 64}), "x")


@pytest.mark.parametrize("gate", ["gelu", "relu"])
def test_a_gate_that_two_fields_state_differently_is_refused(gate: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"'hidden_act' is '{gate}', not what activation_function says"):
        FAMILY.architecture(Fields(tmp_path, {**ORIGINAL, "hidden_act": gate}), "x")


def test_the_originals_spelling_must_state_its_theta(tmp_path: Path) -> None:
    stated = {name: value for name, value in ORIGINAL.items() if name != "rotary_emb_base"}

    with pytest.raises(ConfigError, match="'rotary_emb_base' is missing"):
        FAMILY.architecture(Fields(tmp_path, stated), "x")


def test_a_theta_that_two_fields_state_differently_is_refused(tmp_path: Path) -> None:
    stated = {**ORIGINAL, "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0}}

    with pytest.raises(ConfigError, match="'rope_theta' is 40, not what rope_parameters state"):
        FAMILY.architecture(Fields(tmp_path, stated), "x")


# ------------------------------------------------------------------------------------------------ limits and switches


@pytest.mark.parametrize(
    ("stated", "tokens"),
    [
        ({}, 2048),
        ({"max_trained_positions": 512}, 512),
        ({"n_positions": 100}, 100),
        ({"max_trained_positions": 0}, 2048),
    ],
)
def test_a_text_is_never_longer_than_those_it_was_trained_on(
    stated: dict[str, object], tokens: int, tmp_path: Path
) -> None:
    folder = write(replace(FUSED, config={**ORIGINAL, **stated}, max_seq_length=8192), tmp_path / "model")

    assert find(str(folder), cache_dir=tmp_path).spec.max_tokens == tokens


SWITCHES: tuple[dict[str, object], ...] = (
    {"prenorm": True},
    {"parallel_block": True},
    {"use_rms_norm": True},
    {"causal": True},
    {"qkv_proj_bias": True},
    {"mlp_fc1_bias": True},
    {"mlp_fc2_bias": True},
    {"num_heads_kv": 1},
    {"rotary_emb_fraction": 0.5},
    {"rotary_emb_interleaved": True},
    {"rotary_emb_scale_base": 512},
    {"rotary_head_dim": True},
    {"activation_function": "gelu"},
    {"position_embedding_type": "absolute"},
    {"is_decoder": True},
    {"quantization_config": {"bits": 8}},
    {"num_experts": 8},
    {"moe_every_n_layers": 2},
    {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}},
    {"rope_scaling": {"type": "ntk", "factor": 2.0, "mixed_b": 0.3}},
    {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}},
)


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_a_switch_that_would_change_the_graph_is_refused_by_name(switch: dict[str, object], tmp_path: Path) -> None:
    (name, value), *_ = switch.items()
    named = "yarn|mixed_b|partial_rotary_factor" if isinstance(value, dict) and "rope" in name else name

    with pytest.raises(Unsupported, match=named):
        FAMILY.architecture(Fields(tmp_path, {**ORIGINAL, **switch}), "some/model")


def test_a_mixture_of_experts_is_told_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"mixture of experts .* embedstack has the dense models v1 and v1\.5"):
        FAMILY.architecture(Fields(tmp_path, {**ORIGINAL, "num_experts": 8}), "nomic-embed-text-v2-moe")


@pytest.mark.parametrize(
    "stated", [{"type": "linear"}, {"type": "linear", "factor": 0.5}, {"rope_type": "ntk", "factor": "8"}], ids=str
)
def test_a_factor_that_means_nothing_is_refused(stated: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="factor"):
        FAMILY.architecture(Fields(tmp_path, {**ORIGINAL, "rope_scaling": stated}), "x")


def test_a_head_of_an_odd_width_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="num_attention_heads"):
        FAMILY.architecture(Fields(tmp_path, {**ORIGINAL, "n_embd": 12, "n_head": 4}), "x")


# ------------------------------------------------------------------------------------------------ prompts


@pytest.fixture(scope="module")
def nomic(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelSpec]:
    root = tmp_path_factory.mktemp("nomic")
    folder = write(FUSED, root / "nomic-embed-text-v1.5")
    return folder, find(str(folder), cache_dir=root).spec


def rows_of(model: tuple[Path, ModelSpec], spec: ModelSpec, *texts: Text) -> np.ndarray:
    """(texts, hidden), not normalised."""
    folder, weights = model[0], open_weights(model[0])
    items = [encoding.ids for encoding in TextInput(folder, spec).encode(texts)]
    return NumpyRuntime(spec, weights).run(batch_of(items), frozenset({"dense"}))["dense"]


def test_a_model_of_its_name_gets_the_familys_prompts(nomic: tuple[Path, ModelSpec]) -> None:
    spec = nomic[1]

    assert dict(spec.prompts) == PROMPTS
    assert spec.needs_prompt
    assert spec.cut_norm


@pytest.mark.parametrize(
    ("stated", "needs"),
    [
        ({"query": "search_query: ", "document": "search_document: "}, True),
        ({"query": "search_query: "}, True),
        ({"query": "Represent this code: "}, False),
    ],
)
def test_a_repository_that_states_prompts_has_those_alone(stated: dict[str, str], needs: bool, tmp_path: Path) -> None:
    files = {"config_sentence_transformers.json": {"prompts": stated}}
    folder = write(replace(FUSED, files=files), tmp_path / "nomic-embed-text-v1.5")

    spec = find(str(folder), cache_dir=tmp_path).spec

    assert dict(spec.prompts) == stated
    assert spec.needs_prompt is needs


EMPTY = {"query": "", "document": ""}  # what sentence-transformers 5 writes for any model


def stating(prompts: Mapping[str, str | None], tmp: Path) -> ModelSpec:
    files = {"config_sentence_transformers.json": {"prompts": prompts}}
    folder = write(replace(FUSED, files=files), tmp / "nomic-embed-text-v1.5")
    return find(str(folder), cache_dir=tmp).spec


def called(tmp: Path, prompts: Mapping[str, str], card: str = "") -> ModelSpec:
    """Of a folder with a card, if there is one."""
    files = {"config_sentence_transformers.json": {"prompts": prompts}}
    folder = write(replace(FUSED, files=files), tmp / "embedder")
    if card:
        (folder / "README.md").write_text(card)
    return find(str(folder), cache_dir=tmp).spec


@pytest.mark.parametrize("stated", [{}, EMPTY], ids=str)
def test_another_model_of_the_family_has_no_prompts(stated: dict[str, str], tmp_path: Path) -> None:
    """As sentence-transformers has none for it; its rows are cut like those of the family all the same."""
    spec = called(tmp_path, stated, "# Finds recipes, made of nomic-embed-text-v1.5\n")

    assert (spec.prompts, spec.needs_prompt, spec.cut_norm) == ({}, False, True)


@pytest.mark.parametrize("stated", [{}, EMPTY], ids=str)
@pytest.mark.parametrize("card", ["", "---\nlicense: apache-2.0\n---\n"], ids=["none", "a front alone"])
def test_a_folder_without_a_card_and_a_name_may_be_nomics_and_needs_its_prompts(
    stated: dict[str, str], card: str, tmp_path: Path
) -> None:
    spec = called(tmp_path, stated, card)

    assert (spec.prompts, spec.needs_prompt) == (PROMPTS, True)


def test_a_folder_without_a_card_has_the_prompts_that_it_states(tmp_path: Path) -> None:
    spec = called(tmp_path, {"query": "find: ", "document": "found: "})

    assert (spec.prompts, spec.needs_prompt) == ({"query": "find: ", "document": "found: "}, False)


def test_prompts_under_the_cards_names_are_followed_without_a_card_too(tmp_path: Path) -> None:
    spec = called(tmp_path, {"search_query": "find: ", "search_document": "found: "})

    assert (spec.prompts["query"], spec.prompts["document"], spec.needs_prompt) == ("find: ", "found: ", False)


@pytest.mark.parametrize("stated", [{}, {"query": None, "document": None}, EMPTY], ids=str)
def test_a_table_without_words_states_nothing(stated: dict[str, str | None], tmp_path: Path) -> None:
    """sentence-transformers 5 writes empty prompts where it saves the original again."""
    spec = stating(stated, tmp_path)

    assert (spec.prompts, spec.needs_prompt) == (PROMPTS, True)


def test_prompts_under_the_cards_names_are_those_of_the_roles(tmp_path: Path) -> None:
    stated = {"query": "", "document": "", "search_query": "search_query: ", "search_document": "search_document: "}

    spec = stating(stated, tmp_path)

    assert (spec.prompts["query"], spec.prompts["document"]) == ("search_query: ", "search_document: ")
    assert spec.needs_prompt


def test_a_missing_prompt_is_another_vector_and_never_given(nomic: tuple[Path, ModelSpec]) -> None:
    spec = nomic[1]
    free = replace(spec, needs_prompt=False)

    with_prompt = rows_of(nomic, spec, Text("a panda", "query"))
    bare = rows_of(nomic, free, Text("a panda", "none"))

    assert differs(rows_of(nomic, free, Text("search_query: a panda", "none")), with_prompt) < 1e-9
    assert differs(bare, with_prompt) > SEEN * TOLERANCE
    note("nomic_bert", FUSED.name, "mutation: missing prefix", 0.0)
    with pytest.raises(BadRequest, match="text 0 has no prompt"):
        rows_of(nomic, spec, Text("a panda", "none"))


# ------------------------------------------------------------------------------------------------ cuts


def encoded(model: tuple[Path, ModelSpec], spec: ModelSpec, dim: int | None, **how: bool) -> np.ndarray:
    folder = model[0]
    engine = Engine([Loaded(spec, TextInput(folder, spec), NumpyRuntime(spec, open_weights(folder)))])
    answer = asyncio.run(
        engine.encode(Encode(model=spec.name, items=(Text("a panda"), Text("the moon")), dim=dim, **how))
    )
    assert answer.dense is not None
    return answer.dense


def card(rows: np.ndarray, dim: int) -> np.ndarray:
    """layer_norm without weights, cut, length 1: the lines of the model card."""
    wide = rows.astype(np.float64)
    levelled = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-5)
    return levelled[:, :dim] / np.linalg.norm(levelled[:, :dim], axis=1, keepdims=True)


def test_a_row_is_levelled_before_it_is_cut(nomic: tuple[Path, ModelSpec]) -> None:
    spec = replace(nomic[1], cuts=(16, 8))
    rows = rows_of(nomic, spec, Text("a panda"), Text("the moon"))

    cut = encoded(nomic, spec, 8)

    assert differs(cut, card(rows, 8)) < 1e-6
    assert differs(encoded(nomic, replace(spec, cut_norm=False), 8), card(rows, 8)) > SEEN * TOLERANCE
    note("nomic_bert", FUSED.name, "mutation: cut without the LayerNorm", 0.0)


def test_a_row_that_is_cut_has_length_1_where_the_repository_has_no_normalize(nomic: tuple[Path, ModelSpec]) -> None:
    spec = replace(nomic[1], cuts=(16, 8), normalize=False)
    rows = rows_of(nomic, spec, Text("a panda"), Text("the moon"))

    assert differs(encoded(nomic, spec, 8), card(rows, 8)) < 1e-6
    assert np.linalg.norm(encoded(nomic, spec, 8, normalize=False), axis=1) != pytest.approx(1, rel=0.01)
    assert differs(encoded(nomic, spec, None), rows) < 1e-6


def test_a_row_of_full_width_is_not_levelled(nomic: tuple[Path, ModelSpec]) -> None:
    spec = replace(nomic[1], cuts=(16,))
    rows = rows_of(nomic, spec, Text("a panda"), Text("the moon"))

    whole = encoded(nomic, spec, HIDDEN)

    assert differs(whole, rows / np.linalg.norm(rows, axis=1, keepdims=True)) < 1e-6


def test_a_width_it_was_not_trained_for_is_refused(nomic: tuple[Path, ModelSpec]) -> None:
    with pytest.raises(Unsupported, match="was not trained for 16 dimensions"):
        encoded(nomic, nomic[1], 16)


# ------------------------------------------------------------------------------------------------ code of its own


def test_code_that_a_repository_brings_is_no_reason_to_refuse_a_family_that_is_ours(
    nomic: tuple[Path, ModelSpec],
) -> None:
    assert "auto_map" in ORIGINAL
    assert nomic[1].architecture.family == "nomic_bert"


def test_a_module_of_its_own_is_refused_also_of_a_family_that_is_ours(tmp_path: Path) -> None:
    rows = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers_nomic.Transformer"}]
    folder = write(replace(FUSED, files={"modules.json": rows}), tmp_path / "model")

    with pytest.raises(Unsupported, match=r"sentence_transformers_nomic\.Transformer', code of its own"):
        find(str(folder), cache_dir=tmp_path)


def test_tensors_of_neither_spelling_are_refused(tmp_path: Path) -> None:
    folder = write(replace(FUSED, shapes=fused_shapes() | {"encoder.layers.0.attn.extra": (3,)}), tmp_path / "model")
    spec = find(str(folder), cache_dir=tmp_path).spec

    with pytest.raises(ConfigError, match=r"encoder\.layers\.0\.attn\.extra"):
        run(FUSED, "numpy", spec, open_weights(folder), FUSED.items(spec))
