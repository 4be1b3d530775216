"""Small folders of families that have no graph here, made by transformers and sentence-transformers from a seed."""

import json
from pathlib import Path

from support.tiny import CASES, POSITIONS, offset, tokenizer, tokenizer_config

KINDS = {"distilbert": "bert-mean", "mpnet": "xlm-roberta-cls", "modernbert": "bert-mean"}
"""A family, and the small case whose tokeniser it gets."""


def embedder(family: str, folder: Path, *, dense: int = 0, normalize: bool = True) -> Path:
    """Transformer, mean pooling, and if asked for a Dense of this width."""
    hidden = _encoder(family, folder)
    kinds = ["Transformer", "Pooling", *(["Dense"] * bool(dense)), *(["Normalize"] * normalize)]
    places = [f"{n}_{kind}" if n else "" for n, kind in enumerate(kinds)]
    _json(
        folder / "modules.json",
        [
            {"idx": n, "name": str(n), "path": place, "type": f"sentence_transformers.models.{kind}"}
            for n, (kind, place) in enumerate(zip(kinds, places, strict=True))
        ],
    )
    for place in places[1:]:
        (folder / place).mkdir()
    _json(folder / "1_Pooling/config.json", {"word_embedding_dimension": hidden, "pooling_mode_mean_tokens": True})
    if dense:
        _dense(folder / "2_Dense", hidden, dense)
    return folder


def reranker(family: str, folder: Path) -> Path:
    """A cross-encoder with one label."""
    _encoder(family, folder, has_classifier=True)
    return folder


def _encoder(family: str, folder: Path, *, has_classifier: bool = False) -> int:
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

    case = CASES[KINDS[family]]
    sizes = (
        {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": POSITIONS}
        if family == "distilbert"
        else {
            "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
            "max_position_embeddings": POSITIONS,
        }
    )  # fmt: skip
    config = AutoConfig.for_model(
        family,
        vocab_size=tokenizer(case).get_vocab_size(),
        pad_token_id=0 if case.is_bert else 1,
        initializer_range=0.4,  # the default leaves activations near 0, where faults hide
        num_labels=1,
        **sizes,
    )
    torch.manual_seed(3)
    kind = AutoModelForSequenceClassification if has_classifier else AutoModel
    kind.from_config(config).save_pretrained(folder)
    tokenizer(case).save(str(folder / "tokenizer.json"))
    _json(folder / "tokenizer_config.json", tokenizer_config(case))
    if not has_classifier:
        limit = POSITIONS - offset(case)
        _json(folder / "sentence_bert_config.json", {"max_seq_length": limit, "do_lower_case": False})
    return 32


def _dense(folder: Path, wide: int, out: int) -> None:
    from sentence_transformers.sentence_transformer.modules import Dense

    Dense(wide, out).save(str(folder))


def _json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2))
