"""DistilBERT against transformers."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from support import tiny
from support.families import FamilyTests, Shapes, Tiny, by_transformers
from support.mutations import Mutation, architecture, recipe, swapped, zeroed
from support.shapes import linear, norm

LAYERS, HIDDEN, HEADS, WIDE, POSITIONS = 2, 32, 4, 48, 40
VOCAB = tiny.tokenizer(tiny.CASES["bert-mean"]).get_vocab_size()


def config(kind: str = "Model", **change: object) -> dict[str, object]:
    return {
        "architectures": [f"DistilBert{kind}"],
        "model_type": "distilbert",
        "n_layers": LAYERS,
        "dim": HIDDEN,
        "n_heads": HEADS,
        "hidden_dim": WIDE,
        "activation": "gelu",
        "max_position_embeddings": POSITIONS,
        "sinusoidal_pos_embds": False,
        "vocab_size": VOCAB,
        "pad_token_id": 0,
        "tie_weights_": True,
        **change,
    }


def shapes(at: str = "", labels: int = 0, has_vocab: bool = False) -> Shapes:
    made = {
        "embeddings.word_embeddings.weight": (VOCAB, HIDDEN),
        "embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
        **norm("embeddings.LayerNorm", HIDDEN),
    }
    for n in range(LAYERS):
        layer = f"transformer.layer.{n}"
        for part in ("q_lin", "k_lin", "v_lin", "out_lin"):
            made |= linear(f"{layer}.attention.{part}", HIDDEN, HIDDEN)
        made |= norm(f"{layer}.sa_layer_norm", HIDDEN)
        made |= linear(f"{layer}.ffn.lin1", HIDDEN, WIDE) | linear(f"{layer}.ffn.lin2", WIDE, HIDDEN)
        made |= norm(f"{layer}.output_layer_norm", HIDDEN)
    made = {f"{at}{name}": shape for name, shape in made.items()}
    if labels:
        made |= linear("pre_classifier", HIDDEN, HIDDEN) | linear("classifier", HIDDEN, labels)
    if has_vocab:
        made |= linear("vocab_transform", HIDDEN, HIDDEN) | norm("vocab_layer_norm", HIDDEN)
        made |= linear("vocab_projector", HIDDEN, VOCAB)
    return made


def scorer(name: str, seed: int, *labels: str) -> Tiny:
    names = {"id2label": {str(n): label for n, label in enumerate(labels)}}
    names["label2id"] = {label: n for n, label in enumerate(labels)}  # type: ignore[dict-item]
    return Tiny(
        name=name,
        config=config("ForSequenceClassification", **names),
        shapes=shapes("distilbert.", len(labels)),
        judge=by_transformers("logits", "AutoModelForSequenceClassification"),
        pooling=None,
        output="score",
        seed=seed,
    )


class TestDistilBert(FamilyTests):
    family = "distilbert"
    cases = (
        Tiny("distilbert-mean", config(), shapes(), by_transformers("mean")),
        Tiny(
            "distilbert-cls", config(activation="relu"), shapes(), by_transformers("cls"), pooling="cls", seed=32
        ),
        # how positions began in training changes no graph: they lie in the file
        Tiny(
            "distilbert-vocab", config("ForMaskedLM", sinusoidal_pos_embds=True),
            shapes("distilbert.", has_vocab=True), by_transformers("mean"), seed=33,
        ),
        scorer("distilbert-labels", 34, "calm", "glad", "sad"),
        scorer("distilbert-reranker", 35, "LABEL_0"),
    )  # fmt: skip
    mutations: ClassVar[Mapping[str, Mutation]] = {
        "positions from 1": architecture(position_offset=1),
        "another epsilon": architecture(norm_eps=1e-3),
        "tanh approximation": architecture(activation="gelu_tanh"),
        "queries and keys swapped": swapped("q_lin", "k_lin"),
        "keys and values swapped": swapped("k_lin", "v_lin"),
        "layer norms swapped": swapped("sa_layer_norm", "output_layer_norm"),
        "twice as many heads": architecture(heads=2 * HEADS),
        "no shift of the first head": zeroed("pre_classifier.bias"),
        "the mean in the place of the first token": recipe(pooling="mean"),
        "the first token in the place of the mean": recipe(pooling="cls"),
    }
    not_for: ClassVar[Mapping[str, Sequence[str]]] = {
        "no shift of the first head": ("distilbert-mean", "distilbert-cls", "distilbert-vocab"),
        "the mean in the place of the first token": ("distilbert-mean", "distilbert-vocab"),
        "the first token in the place of the mean": ("distilbert-cls", "distilbert-labels", "distilbert-reranker"),
    }
    unseen = ("k_lin.bias",)  # it adds the same to all logits of a query
