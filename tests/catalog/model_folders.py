"""Small model folders whose JSON files are as the real repositories have them; the weights are a few bytes."""

import json
from collections.abc import Mapping
from pathlib import Path

Files = dict[str, bytes]

BERT = {  # sentence-transformers/all-MiniLM-L6-v2
    "architectures": ["BertModel"],
    "hidden_act": "gelu",
    "hidden_size": 384,
    "intermediate_size": 1536,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "num_attention_heads": 12,
    "num_hidden_layers": 6,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "type_vocab_size": 2,
    "vocab_size": 30522,
}
XLM_ROBERTA = {  # BAAI/bge-m3
    **BERT,
    "architectures": ["XLMRobertaModel"],
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "layer_norm_eps": 1e-5,
    "max_position_embeddings": 8194,
    "model_type": "xlm-roberta",
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "pad_token_id": 1,
    "type_vocab_size": 1,
    "vocab_size": 250002,
}
SPECIAL = {"cls_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}
CARD = b"---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\nlicense: none of this\n"


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def modules(*kinds: str, package: str = "sentence_transformers.models") -> bytes:
    places = {"Transformer": ""}
    return as_json(
        [
            {"idx": n, "name": str(n), "path": places.get(kind, f"{n}_{kind}"), "type": f"{package}.{kind}"}
            for n, kind in enumerate(kinds)
        ]
    )


def pooling(mode: str, width: int = 384) -> bytes:
    names = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
    return as_json({"word_embedding_dimension": width, **{f"pooling_mode_{n}": n == mode for n in names}})


def minilm(**config: object) -> Files:
    """All files that all-MiniLM-L6-v2 has."""
    return {
        "config.json": as_json({**BERT, **config}),
        "tokenizer.json": as_json(
            {
                "truncation": {"max_length": 128},
                "added_tokens": [{"id": 0, "content": "[PAD]"}, {"id": 100, "content": "[UNK]"}],
                "normalizer": {"type": "BertNormalizer", "lowercase": True},
            }
        ),
        "tokenizer_config.json": as_json({"model_max_length": 512, "do_lower_case": True}),
        "modules.json": modules("Transformer", "Pooling", "Normalize"),
        "1_Pooling/config.json": pooling("mean_tokens"),
        "sentence_bert_config.json": as_json({"max_seq_length": 256, "do_lower_case": False}),
        "config_sentence_transformers.json": as_json({"__version__": {"sentence_transformers": "2.0.0"}}),
        "README.md": CARD,
        "model.safetensors": b"the weights of a small model",
    }


def bge_m3(**config: object) -> Files:
    """The files of BAAI/bge-m3, heads included."""
    return {
        "config.json": as_json({**XLM_ROBERTA, **config}),
        "tokenizer.json": as_json(
            {
                "added_tokens": [
                    {"id": n, "content": text} for n, text in ((0, "<s>"), (1, "<pad>"), (2, "</s>"), (3, "<unk>"))
                ],
            }
        ),
        "tokenizer_config.json": as_json({**SPECIAL, "model_max_length": 8192}),
        "modules.json": modules("Transformer", "Pooling", "Normalize"),
        "1_Pooling/config.json": pooling("cls_token", 1024),
        "sentence_bert_config.json": as_json({"max_seq_length": 8192, "do_lower_case": False}),
        "pytorch_model.bin": b"the weights of a large model",
        "sparse_linear.pt": b"the sparse head",
        "colbert_linear.pt": b"the multi-vector head",
    }


def reranker(**config: object) -> Files:
    """The files of cross-encoder/ms-marco-MiniLM-L6-v2."""
    files = minilm(
        architectures=["BertForSequenceClassification"],
        id2label={"0": "LABEL_0"},
        sentence_transformers={"activation_fn": "torch.nn.modules.linear.Identity", "version": "4.0.1"},
        **config,
    )
    for name in ("modules.json", "1_Pooling/config.json", "sentence_bert_config.json"):
        del files[name]
    return files


def without(files: Files, *names: str) -> Files:
    return {name: data for name, data in files.items() if name not in names}


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder
