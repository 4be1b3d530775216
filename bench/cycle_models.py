"""A folder -> two BERT models in it, drawn: much product and little table of words, and the other way round."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

# layers, width, heads, inner width, rows of the vocabulary
SHAPES = {"base": (12, 768, 12, 3072, 30522), "wide-vocabulary": (12, 384, 12, 1536, 250037)}
WORDS = [f"word{n}" for n in range(200)]


def draw_all(folder: Path) -> list[Path]:
    """Each of SHAPES, 1 GB together."""
    return [draw(folder / name, *shape) for name, shape in SHAPES.items()]


def draw(folder: Path, layers: int, wide: int, heads: int, inner: int, vocab: int) -> Path:
    """A BERT folder, every number drawn: memory does not depend on what the weights are."""
    folder.mkdir(parents=True)
    config = {
        "architectures": ["BertModel"], "model_type": "bert", "num_hidden_layers": layers, "hidden_size": wide,
        "num_attention_heads": heads, "intermediate_size": inner, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512, "type_vocab_size": 2, "vocab_size": vocab, "pad_token_id": 0,
        "position_embedding_type": "absolute",
    }  # fmt: skip
    kinds = {"Transformer": "", "Pooling": "1_Pooling"}
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (kind, path) in enumerate(kinds.items())
    ]
    pooling = {"word_embedding_dimension": wide, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    (folder / "1_Pooling").mkdir()
    for name, content in {
        "config.json": config, "modules.json": modules, "1_Pooling/config.json": pooling,
        "sentence_bert_config.json": {"max_seq_length": 512, "do_lower_case": False},
    }.items():  # fmt: skip
        (folder / name).write_text(json.dumps(content))
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    made = Tokenizer(models.WordLevel({w: n for n, w in enumerate([*special, *WORDS])}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.save(str(folder / "tokenizer.json"))
    save_file(_weights(layers, wide, inner, vocab), folder / "model.safetensors", {"format": "pt"})
    return folder


def _weights(layers: int, wide: int, inner: int, vocab: int) -> dict[str, np.ndarray]:
    rng, made = np.random.default_rng(0), {}

    def put(name: str, *shape: int) -> None:
        made[name] = rng.standard_normal(shape, np.float32) * np.float32(shape[-1] ** -0.5)

    def linear(name: str, out: int, into: int) -> None:
        put(f"{name}.weight", out, into)
        made[f"{name}.bias"] = np.zeros(out, np.float32)

    def norm(name: str) -> None:
        made[f"{name}.weight"], made[f"{name}.bias"] = np.ones(wide, np.float32), np.zeros(wide, np.float32)

    for name, rows in (("word", vocab), ("position", 512), ("token_type", 2)):
        put(f"embeddings.{name}_embeddings.weight", rows, wide)
    norm("embeddings.LayerNorm")
    for n in range(layers):
        at = f"encoder.layer.{n}"
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            linear(f"{at}.{part}", wide, wide)
        linear(f"{at}.intermediate.dense", inner, wide)
        linear(f"{at}.output.dense", wide, inner)
        norm(f"{at}.attention.output.LayerNorm")
        norm(f"{at}.output.LayerNorm")
    linear("pooler.dense", wide, wide)
    return made
