"""ModernBERT: windows smaller than the texts, two speeds of turning, a gate and a head of its own, as transformers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.catalog import find
from embedstack.errors import ConfigError, Unsupported
from embedstack.models import outputs
from embedstack.models.folder import Fields
from embedstack.models.modernbert import FAMILY
from embedstack.models.weights import Weights
from embedstack.modelspec import ModelSpec
from embedstack.runtimes.numpy import NumpyOps
from support import tiny
from support.families import SEEN, TOLERANCE, FamilyTests, Tiny, batch_of, by_transformers, differs, write
from support.mutations import Changed, Mutation, architecture, halves_swapped, recipe
from support.proofs import note

HIDDEN, HEADS, WIDE, LAYERS, WINDOW = 32, 4, 24, 5, 4
SIZE = HIDDEN // HEADS
VOCAB = tiny.tokenizer(tiny.CASES["bert-mean"]).get_vocab_size()
THETAS = {"global_rope_theta": 900.0, "local_rope_theta": 40.0}


def config(**more: object) -> dict[str, object]:
    return {
        "architectures": ["ModernBertModel"],
        "model_type": "modernbert",
        "num_hidden_layers": LAYERS,
        "hidden_size": HIDDEN,
        "num_attention_heads": HEADS,
        "intermediate_size": WIDE,
        "hidden_activation": "gelu",
        "norm_eps": 1e-2,
        "max_position_embeddings": 40,
        "vocab_size": VOCAB,
        "local_attention": 2 * WINDOW,
        "global_attn_every_n_layers": 2,
        "position_embedding_type": "absolute",
        **SPECIAL,
        **THETAS,
        **more,
    }


SPECIAL = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}


def shapes(prefix: str = "", labels: int = 0, layers: int = LAYERS) -> dict[str, tuple[int, ...]]:
    made: dict[str, tuple[int, ...]] = {
        f"{prefix}embeddings.tok_embeddings.weight": (VOCAB, HIDDEN),
        f"{prefix}embeddings.norm.weight": (HIDDEN,),
        f"{prefix}final_norm.weight": (HIDDEN,),
    }
    for number in range(layers):
        at = f"{prefix}layers.{number}"
        made |= {f"{at}.attn_norm.weight": (HIDDEN,)} if number else {}
        made |= {f"{at}.attn.Wqkv.weight": (3 * HIDDEN, HIDDEN), f"{at}.attn.Wo.weight": (HIDDEN, HIDDEN)}
        made |= {f"{at}.mlp_norm.weight": (HIDDEN,), f"{at}.mlp.Wi.weight": (2 * WIDE, HIDDEN)}
        made |= {f"{at}.mlp.Wo.weight": (HIDDEN, WIDE)}
    if labels:
        made |= {"head.dense.weight": (HIDDEN, HIDDEN), "head.norm.weight": (HIDDEN,)}
        made |= {"classifier.weight": (labels, HIDDEN), "classifier.bias": (labels,)}
    return made


def scorer(pooling: str, labels: int) -> dict[str, object]:
    names = {str(number): f"LABEL_{number}" for number in range(labels)}
    return config(
        architectures=["ModernBertForSequenceClassification"],
        classifier_pooling=pooling,
        id2label=names,
        label2id={name: int(number) for number, name in names.items()},
    )


NEW_STYLE = config(
    num_hidden_layers=4,
    layer_types=["full_attention", "sliding_attention", "sliding_attention", "sliding_attention"],
    rope_parameters={
        "full_attention": {"rope_type": "default", "rope_theta": 900.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 40.0},
    },
)
SCORES = by_transformers("logits", "AutoModelForSequenceClassification")
CASES = (
    Tiny("modernbert-mean", config(), shapes("model."), by_transformers("mean")),
    # its last layer sees everything, so only the first token's row goes through it
    Tiny("modernbert-cls", config(hidden_activation="silu"), shapes(), by_transformers("cls"), pooling="cls", seed=32),
    # its last layer sees a window
    Tiny("modernbert-types", NEW_STYLE, shapes(layers=4), by_transformers("cls"), pooling="cls", seed=33),
    Tiny(
        "modernbert-long",
        config(max_position_embeddings=400, num_hidden_layers=3),
        shapes(layers=3),
        by_transformers("mean"),
        lengths=(390, 1, 131, 12, 64, 257),
        max_seq_length=400,
        seed=34,
    ),
    Tiny(
        "modernbert-reranker",
        scorer("mean", 1),
        shapes("model.", 1),
        SCORES,
        pooling=None,
        output="score",
        seed=35,
    ),
    Tiny(
        "modernbert-labels",
        scorer("cls", 3),
        shapes("model.", 3),
        SCORES,
        pooling=None,
        output="score",
        seed=36,
    ),
    Tiny(
        "modernbert-head",
        scorer("mean", 1) | {"classifier_bias": True, "classifier_activation": "silu"},
        shapes("model.", 1) | {"head.dense.bias": (HIDDEN,)},
        SCORES,
        pooling=None,
        output="score",
        seed=37,
    ),
)


def interleaved_pairs(spec: ModelSpec, weights: Weights) -> tuple[ModelSpec, Weights]:
    """Queries and keys as rotation of neighbours would have needed them; values stay."""
    order = np.concatenate([np.arange(0, SIZE, 2), np.arange(1, SIZE, 2)])

    def change(name: str, values: np.ndarray) -> np.ndarray:
        if "Wqkv" not in name:
            return values
        heads = values.reshape(3, HEADS, SIZE, HIDDEN)
        return np.concatenate([heads[:2][:, :, order], heads[2:]]).reshape(values.shape)

    return spec, Changed(weights, change)


class TestModernBert(FamilyTests):
    family = "modernbert"
    cases = CASES
    mutations: Mapping[str, Mutation] = {
        "the window one wider": architecture(window=WINDOW + 1),
        "the window one narrower": architecture(window=WINDOW - 1),
        "the window counted on both sides": architecture(window=2 * WINDOW),
        "no window": architecture(window=0),
        "all layers see everything": architecture(global_every=1),
        "another rhythm of layers": architecture(global_every=3),
        "the speeds swapped": architecture(rope_theta=40.0, local_theta=900.0),
        "one speed for all": architecture(local_theta=900.0),
        "gate and input swapped": halves_swapped("mlp.Wi"),
        "neighbours turned": interleaved_pairs,
        "an approximate gelu": architecture(activation="gelu_tanh"),
        "another epsilon": architecture(norm_eps=1e-5),
        "the last token's row": recipe(pooling="last"),
        "another activation of the head": recipe(head_activation="gelu"),
        "a head without its bias": recipe(head_bias=False),
    }
    not_for: Mapping[str, Sequence[str]] = {
        name: [case.name for case in CASES if case.name != "modernbert-head"]
        for name in ("another activation of the head", "a head without its bias")
    }

    @pytest.mark.parametrize("mutant", ["without the last norm", "a norm in the first layer", "no first norm"])
    def test_a_norm_too_many_or_too_few_is_seen(
        self, mutant: str, case: Tiny, folders: dict[str, Path], tmp_path: Path
    ) -> None:
        spec, weights = self.opened(case, folders, tmp_path)
        ops = MUTANTS[mutant](weights, batch_of(case.items(spec)))

        made = outputs(ops, spec, frozenset({case.output}), prune=False)[case.output]

        assert differs(made, self.golden(case)) > SEEN * TOLERANCE
        note(self.family, case.name, f"mutation: {mutant}", 0.0)


class WithoutLastNorm(NumpyOps):
    def layer_norm(self, x: np.ndarray, at: str, width: int, eps: float, *, bias: bool = True) -> np.ndarray:
        return x if at.endswith("final_norm") else super().layer_norm(x, at, width, eps, bias=bias)


class WithoutFirstNorm(NumpyOps):
    def layer_norm(self, x: np.ndarray, at: str, width: int, eps: float, *, bias: bool = True) -> np.ndarray:
        return x if at.endswith("embeddings.norm") else super().layer_norm(x, at, width, eps, bias=bias)


class WithNormInFirstLayer(NumpyOps):
    def linear(self, x: np.ndarray, at: str, wide: int, out: int, *, bias: bool = True) -> np.ndarray:
        if at.endswith("layers.0.attn.Wqkv"):
            x = self.layer_norm(x, at.replace("layers.0.attn.Wqkv", "layers.1.attn_norm"), wide, 1e-2, bias=False)
        return super().linear(x, at, wide, out, bias=bias)


MUTANTS = {
    "without the last norm": WithoutLastNorm,
    "no first norm": WithoutFirstNorm,
    "a norm in the first layer": WithNormInFirstLayer,
}


def read(given: Mapping[str, object]) -> object:
    return FAMILY.architecture(Fields(Path("config.json"), given), "some/model")


@pytest.mark.parametrize(
    "switch",
    [
        {"attention_bias": True},
        {"mlp_bias": True},
        {"norm_bias": True},
        {"head_dim": 16},
        {"is_decoder": True},
        {"rope_scaling": {"rope_type": "linear", "factor": 2.0}},
        {"rope_parameters": {"full_attention": {"rope_type": "yarn"}}},
        {"rope_parameters": {"rope_theta": 10000.0}},
        {"layer_types": ["sliding_attention"] * LAYERS},
        {"layer_types": ["full_attention"]},
    ],
    ids=str,
)
def test_a_switch_that_would_change_the_graph_is_refused_by_name(switch: dict[str, object]) -> None:
    with pytest.raises(Unsupported, match=next(iter(switch))):
        read(config(**switch))


@pytest.mark.parametrize("field", ["local_attention", "global_attn_every_n_layers", "global_rope_theta"])
def test_a_number_that_means_nothing_is_refused(field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        read(config(**{field: 0}))


def test_a_config_that_states_nothing_means_what_transformers_takes_it_for() -> None:
    stated = {"num_hidden_layers": 22, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 1152}
    stated |= {"vocab_size": 50368, "max_position_embeddings": 8192}

    made = FAMILY.architecture(Fields(Path("config.json"), stated), "some/model")

    assert (made.window, made.global_every, made.rope_theta, made.local_theta) == (64, 3, 160_000.0, 10_000.0)
    assert (made.activation, made.norm_eps) == ("gelu", 1e-5)


@pytest.mark.parametrize(
    "switch", [{"classifier_bias": 1}, {"classifier_activation": "gelu_10"}, {"classifier_pooling": "max"}], ids=str
)
def test_a_head_of_a_form_that_is_none_is_refused_by_name(switch: dict[str, object], tmp_path: Path) -> None:
    folder = write(Tiny("head", scorer("cls", 1) | switch, shapes("", 1), SCORES, pooling=None), tmp_path / "head")

    with pytest.raises((Unsupported, ConfigError), match=next(iter(switch))):
        find(str(folder), cache_dir=tmp_path)


def test_the_form_of_a_head_is_part_of_the_space(tmp_path: Path) -> None:
    forms = ({}, {"classifier_bias": True}, {"classifier_activation": "relu"}, {"classifier_activation": "gelu"})
    cases = [replace(CASES[-1], config=scorer("cls", 1) | form) for form in forms]
    folders = [write(case, tmp_path / str(number)) for number, case in enumerate(cases)]

    spaces = [find(str(folder), cache_dir=tmp_path).spec.space for folder in folders]

    assert len(set(spaces)) == 3
    assert spaces[0] == spaces[3]


@pytest.mark.parametrize("kind", ["sans_pos", "absolute", "rope"])
def test_a_kind_of_positions_that_transformers_does_not_read_changes_nothing(kind: str) -> None:
    """The configs of mmBERT and ettin say sans_pos."""
    assert read(config(position_embedding_type=kind)) == read(config(position_embedding_type=None))


def test_the_switches_of_a_head_do_not_concern_a_model_that_gives_vectors(tmp_path: Path) -> None:
    case = Tiny("whole", config(classifier_bias=True, classifier_pooling="mean"), shapes(), SCORES, "cls")

    assert find(str(write(case, tmp_path / "whole")), cache_dir=tmp_path).spec.pooling == "cls"
