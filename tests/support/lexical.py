"""Small SPLADE folders, as both generations of sentence-transformers save them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from support import tiny
from support.families import Item, Shapes, Tiny
from support.shapes import linear, norm

LAYERS, HIDDEN, HEADS, WIDE, POSITIONS = 1, 32, 4, 48, 40
BERT, ROBERTA = tiny.CASES["bert-mean"], tiny.CASES["roberta-mean"]
VOCAB, ROBERTA_VOCAB = (max(tiny.tokenizer(case).get_vocab().values()) + 1 for case in (BERT, ROBERTA))
MLM, OLD = "sentence_transformers.sparse_encoder.modules", "sentence_transformers.sparse_encoder.models"


def judge(folder: Path, items: Sequence[Item]) -> np.ndarray:
    import torch
    from sentence_transformers import SparseEncoder

    model = SparseEncoder(str(folder), device="cpu").eval()

    def alone(item: Item) -> np.ndarray:
        ids = torch.tensor(item[None].astype(np.int64))
        with torch.no_grad():
            made = model({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
        return made["sentence_embedding"][0].to_dense().numpy()

    return np.stack([alone(item) for item in items])


def files(first: str, package: str, pooling: Mapping[str, object], **settings: object) -> Mapping[str, object]:
    """modules.json and what it names, as sentence-transformers 5 (its models) or 6 (its modules) has written them."""
    rows = [
        {"idx": 0, "name": "0", "path": "", "type": first},
        {"idx": 1, "name": "1", "path": "1_SpladePooling", "type": f"{package}.SpladePooling"},
    ]
    return {
        "modules.json": rows,
        "config_sentence_transformers.json": {"model_type": "SparseEncoder", "prompts": {}},
        "1_SpladePooling/config.json": {"word_embedding_dimension": None, **pooling},
        "sentence_bert_config.json": {"max_seq_length": POSITIONS - 2, "do_lower_case": False, **settings},
    }


MAX = {"pooling_strategy": "max", "activation_function": "relu"}
TWICE = {"pooling_strategy": "max", "activation_function": "log1p_relu"}


def bert_config(kind: str, vocab: int, **change: object) -> dict[str, object]:
    return {
        "architectures": [f"{kind}ForMaskedLM"],
        "vocab_size": vocab,
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": WIDE,
        "hidden_act": "gelu",
        "max_position_embeddings": POSITIONS,
        "layer_norm_eps": 0.05,
        **change,
    }


def bert_shapes(prefix: str, vocab: int, segments: int) -> Shapes:
    made = {
        "embeddings.word_embeddings.weight": (vocab, HIDDEN),
        "embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": (segments, HIDDEN),
        **norm("embeddings.LayerNorm", HIDDEN),
    }
    for n in range(LAYERS):
        at = f"encoder.layer.{n}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            made |= linear(f"{at}.attention.{part}", HIDDEN, HIDDEN)
        made |= norm(f"{at}.attention.output.LayerNorm", HIDDEN) | norm(f"{at}.output.LayerNorm", HIDDEN)
        made |= linear(f"{at}.intermediate.dense", HIDDEN, WIDE) | linear(f"{at}.output.dense", WIDE, HIDDEN)
    return {f"{prefix}{name}": shape for name, shape in made.items()}


def distilbert_shapes() -> Shapes:
    made = {
        "embeddings.word_embeddings.weight": (VOCAB, HIDDEN),
        "embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
        **norm("embeddings.LayerNorm", HIDDEN),
    }
    at = "transformer.layer.0"
    for part in ("q_lin", "k_lin", "v_lin", "out_lin"):
        made |= linear(f"{at}.attention.{part}", HIDDEN, HIDDEN)
    made |= norm(f"{at}.sa_layer_norm", HIDDEN) | norm(f"{at}.output_layer_norm", HIDDEN)
    made |= linear(f"{at}.ffn.lin1", HIDDEN, WIDE) | linear(f"{at}.ffn.lin2", WIDE, HIDDEN)
    made = {f"distilbert.{name}": shape for name, shape in made.items()}
    head = linear("vocab_transform", HIDDEN, HIDDEN) | norm("vocab_layer_norm", HIDDEN)
    return made | head | {"vocab_projector.bias": (VOCAB,)}


BERT_HEAD = {
    **linear("cls.predictions.transform.dense", HIDDEN, HIDDEN),
    **norm("cls.predictions.transform.LayerNorm", HIDDEN),
}
ROBERTA_HEAD = {
    **linear("lm_head.dense", HIDDEN, HIDDEN), **norm("lm_head.layer_norm", HIDDEN), "lm_head.bias": (ROBERTA_VOCAB,)
}  # fmt: skip
DISTILBERT = {
    "architectures": ["DistilBertForMaskedLM"],
    "model_type": "distilbert",
    "n_layers": LAYERS,
    "dim": HIDDEN,
    "n_heads": HEADS,
    "hidden_dim": WIDE,
    "activation": "gelu",
    "max_position_embeddings": POSITIONS,
    "vocab_size": VOCAB,
}

TIED = Tiny(
    name="splade-bert",
    config=bert_config("Bert", VOCAB, model_type="bert", type_vocab_size=2),
    shapes=bert_shapes("bert.", VOCAB, 2) | BERT_HEAD | {"cls.predictions.bias": (VOCAB,)},
    judge=judge,
    pooling=None,
    files=files(f"{OLD}.MLMTransformer", OLD, MAX),
    output="sparse",
)
OWN = Tiny(
    name="splade-bert-own-decoder",
    config=bert_config(
        "Bert", VOCAB, model_type="bert", type_vocab_size=2, hidden_act="relu", tie_word_embeddings=False
    ),
    shapes=bert_shapes("bert.", VOCAB, 2) | BERT_HEAD | linear("cls.predictions.decoder", HIDDEN, VOCAB),
    judge=judge,
    pooling=None,
    files=files("sentence_transformers.base.modules.transformer.Transformer", MLM, TWICE, transformer_task="fill-mask"),
    output="sparse",
    seed=41,
)
SMALL = Tiny(
    name="splade-distilbert",
    config=DISTILBERT,
    shapes=distilbert_shapes(),
    judge=judge,
    pooling=None,
    files=files(f"{OLD}.MLMTransformer", OLD, MAX),
    output="sparse",
    seed=42,
)
ROBUST = Tiny(
    name="splade-roberta",
    config=bert_config(
        "Roberta", ROBERTA_VOCAB, model_type="roberta", type_vocab_size=1, pad_token_id=1, hidden_act="gelu_new"
    ),
    shapes=bert_shapes("roberta.", ROBERTA_VOCAB, 1) | ROBERTA_HEAD,
    judge=judge,
    pooling=None,
    tokenizer=lambda: tiny.tokenizer(ROBERTA),
    tokenizer_config=tiny.tokenizer_config(ROBERTA),
    files=files(f"{MLM}.MLMTransformer", MLM, MAX),
    output="sparse",
    seed=43,
)
