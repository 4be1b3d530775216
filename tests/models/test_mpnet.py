"""MPNet, with its biases of relative positions, against transformers."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from embedstack.catalog import find
from embedstack.errors import Unsupported
from embedstack.models import mpnet
from embedstack.models.mpnet import BUCKETS, bucket
from embedstack.models.weights import Weights
from embedstack.modelspec import ModelSpec
from support import tiny
from support.families import SEEN, TOLERANCE, FamilyTests, Shapes, Tiny, by_transformers, differs, run, write
from support.mutations import Mutation, architecture, halves_swapped, recipe, swapped, zeroed
from support.shapes import linear, norm

ROBERTA = tiny.CASES["roberta-mean"]
LAYERS, HIDDEN, HEADS, WIDE, POSITIONS = 2, 32, 4, 48, 160
VOCAB = tiny.tokenizer(ROBERTA).get_vocab_size()
LONG = (1, 150, 2, 31, 158, 7)  # past the distance from which on all share a bucket
TABLE = "encoder.relative_attention_bias.weight"


def config(kind: str = "Model", **change: object) -> dict[str, object]:
    return {
        "architectures": [f"MPNet{kind}"],
        "model_type": "mpnet",
        "num_hidden_layers": LAYERS,
        "hidden_size": HIDDEN,
        "num_attention_heads": HEADS,
        "intermediate_size": WIDE,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-3,
        "max_position_embeddings": POSITIONS,
        "relative_attention_num_buckets": BUCKETS,
        "vocab_size": VOCAB,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        **change,
    }


def shapes(at: str = "", labels: int = 0) -> Shapes:
    made = {
        "embeddings.word_embeddings.weight": (VOCAB, HIDDEN),
        "embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
        **norm("embeddings.LayerNorm", HIDDEN),
        TABLE: (BUCKETS, HEADS),
    }
    for n in range(LAYERS):
        layer = f"encoder.layer.{n}"
        for part in "qkvo":
            made |= linear(f"{layer}.attention.attn.{part}", HIDDEN, HIDDEN)
        made |= norm(f"{layer}.attention.LayerNorm", HIDDEN)
        made |= linear(f"{layer}.intermediate.dense", HIDDEN, WIDE) | linear(f"{layer}.output.dense", WIDE, HIDDEN)
        made |= norm(f"{layer}.output.LayerNorm", HIDDEN)
    if labels:
        head = linear("classifier.dense", HIDDEN, HIDDEN) | linear("classifier.out_proj", HIDDEN, labels)
    else:
        head = linear(f"{at}pooler.dense", HIDDEN, HIDDEN)
    return {f"{at}{name}": shape for name, shape in made.items()} | head


def case(name: str, judge: str, **change: object) -> Tiny:
    given = {"config": config(), "shapes": shapes(), "lengths": LONG, "max_seq_length": 158, **change}
    kind = "AutoModelForSequenceClassification" if judge == "logits" else "AutoModel"
    return Tiny(
        name=name,
        judge=by_transformers(judge, kind),
        tokenizer=lambda: tiny.tokenizer(ROBERTA),
        tokenizer_config=tiny.tokenizer_config(ROBERTA) | {"model_max_length": 158},
        **given,  # type: ignore[arg-type]
    )


LABELS = {"id2label": {"0": "calm", "1": "glad", "2": "sad"}, "label2id": {"calm": 0, "glad": 1, "sad": 2}}


def half_as_many(spec: ModelSpec, weights: Weights) -> tuple[ModelSpec, Weights]:
    """The rows of 16 buckets in the place of 32: distances share them otherwise."""

    class Halved(Weights):
        def __init__(self) -> None:
            self.__dict__ = dict(weights.__dict__)

        def take(self, name: str, shape: tuple[int, ...], stored_as: tuple[int, ...] | None = None) -> np.ndarray:
            whole = super().take(name, (BUCKETS, HEADS) if name.endswith(TABLE) else shape, stored_as)
            return whole[: shape[0]]

    return architecture(buckets=BUCKETS // 2)(spec, Halved())


class TestMPNet(FamilyTests):
    family = "mpnet"
    cases = (
        case("mpnet-mean", "mean", least_id=0),  # the padding token is among the ids
        case("mpnet-cls", "cls", pooling="cls", config=config(hidden_act="relu"), seed=32),
        case("mpnet-prefix", "mean", config=config("ForMaskedLM"), shapes=shapes("mpnet."), seed=33),
        case(
            "mpnet-labels", "logits", pooling=None, output="score", seed=34,
            config=config("ForSequenceClassification", **LABELS), shapes=shapes("mpnet.", 3),
        ),
    )  # fmt: skip
    mutations: ClassVar[Mapping[str, Mutation]] = {
        "positions from 0": architecture(position_offset=0),
        "positions from 1": architecture(position_offset=1),
        "half as many buckets": half_as_many,
        "keys behind take the biases of those before": halves_swapped("relative_attention_bias"),
        "no biases": zeroed(TABLE),
        "no biases, under a prefix": zeroed(f"mpnet.{TABLE}"),
        "queries and keys swapped": swapped("attn.q.", "attn.k."),
        "keys and values swapped": swapped("attn.k.", "attn.v."),
        "layer norms swapped": swapped("attention.LayerNorm", "output.LayerNorm"),
        "another epsilon": architecture(norm_eps=1e-5),
        "tanh approximation": architecture(activation="gelu_tanh"),
        "the first token in the place of the mean": recipe(pooling="cls"),
    }
    not_for: ClassVar[Mapping[str, Sequence[str]]] = {
        "no biases": ("mpnet-prefix", "mpnet-labels"),
        "no biases, under a prefix": ("mpnet-mean", "mpnet-cls"),
        "the first token in the place of the mean": ("mpnet-cls", "mpnet-labels"),
    }
    unseen = ("attn.k.bias",)  # it adds the same to all logits of a query


def test_the_items_hold_the_padding_token(tmp_path: Path) -> None:
    one = TestMPNet.cases[0]
    spec = find(str(write(one, tmp_path / "m")), cache_dir=tmp_path).spec

    assert any(1 in item for item in one.items(spec))


@pytest.mark.parametrize("farthest", [127, 64])
def test_another_farthest_distance_is_seen(farthest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = TestMPNet.cases[0]
    folder = write(one, tmp_path / "m")
    spec, weights = TestMPNet().opened(one, {one.name: folder}, tmp_path)
    monkeypatch.setattr(mpnet, "FARTHEST", farthest)
    monkeypatch.setattr(mpnet, "_rows", mpnet._rows.__wrapped__)

    made = run(one, "numpy", spec, weights, one.items(spec))

    assert differs(made, TestMPNet().golden(one)) > SEEN * TOLERANCE


# ------------------------------------------------------------------------------------------------ buckets


def test_near_distances_have_a_bucket_each() -> None:
    assert [bucket(apart, 32) for apart in range(-8, 9)] == [8, 7, 6, 5, 4, 3, 2, 1, 0, *range(17, 25)]


def test_far_distances_share_buckets_by_their_logarithm() -> None:
    """Boundaries at 8 * 2 ** (n / 2): a whole number at every second one, and there no rounding may decide."""
    first = {apart: bucket(-apart, 32) for apart in range(8, 200)}

    begins = [apart for apart in first if apart == 8 or first[apart] != first[apart - 1]]

    assert begins == [math.ceil(8 * 2 ** (n / 2)) for n in range(7)] + [91]
    assert first[199] == 15


@pytest.mark.reference
def test_every_distance_has_the_bucket_of_transformers() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    modeling = pytest.importorskip("transformers.models.mpnet.modeling_mpnet", reason="transformers is not installed")
    apart = torch.arange(-600, 601)

    theirs = modeling.MPNetEncoder.relative_position_bucket(apart, num_buckets=32)

    assert theirs.tolist() == [bucket(int(distance), 32) for distance in apart]


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("change", [{"pad_token_id": 0}, {"relative_attention_num_buckets": 16}])
def test_what_transformers_would_not_follow_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    folder = write(case("m", "mean", config=config(**change)), tmp_path / "m")

    with pytest.raises(Unsupported, match=next(iter(change))):
        find(str(folder), cache_dir=tmp_path)
