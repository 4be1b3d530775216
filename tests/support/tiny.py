"""Small model folders as the families' real ones look, with every number drawn from a seed.

Default initialisation hides errors (biases are 0, norms 1, activations near 0), so biases, scales and shifts are drawn
too, and the spread of each product is chosen so that activations stay of order 1. The epsilon is large enough to be
seen in the result.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = [
    *"a an the of and to in is are was what which how many who where when why does do it he she they".split(),
    *"panda bear china river city king queen war music paper light water stone tree bird".split(),
    *"sun moon star night day year man woman child".split(),
    *"##s ##ing ##ed ##er ##ly un re ? . , !".split(),
    *"abcdefghijklmnopqrstuvwxyz0123456789",
]  # fmt: skip
LAYERS, HIDDEN, HEADS, WIDE, POSITIONS = 2, 32, 4, 48, 40
EPS = 1e-3


@dataclass(frozen=True)
class Case:
    """A family with a head, as one folder."""

    name: str
    family: str
    pooling: str = "mean"
    activation: str = "gelu"
    has_classifier: bool = False
    labels: tuple[str, ...] = ("LABEL_0",)  # of a classifier; with one it is a reranker
    has_m3_heads: bool = False
    seed: int = 7
    config: dict[str, object] = field(default_factory=dict)

    @property
    def is_reranker(self) -> bool:
        return self.has_classifier and len(self.labels) == 1

    @property
    def is_classifier(self) -> bool:
        return self.has_classifier and len(self.labels) > 1

    @property
    def is_bert(self) -> bool:
        return self.family == "bert"


CASES = {
    case.name: case
    for case in (
        Case("bert-mean", "bert", "mean"),
        Case("bert-cls", "bert", "cls", "gelu_new", seed=8),
        Case("bert-max", "bert", "max", "relu", seed=9),
        Case("bert-last", "bert", "last", "silu", seed=10),
        Case("bert-classifier", "bert", has_classifier=True, seed=11),
        Case("bert-labels", "bert", has_classifier=True, labels=("calm", "glad", "sad"), seed=21),
        Case("roberta-labels", "roberta", has_classifier=True, labels=("no", "yes"), seed=22),
        Case("roberta-mean", "roberta", "mean", seed=12),
        Case("xlm-roberta-cls", "xlm-roberta", "cls", seed=13),
        Case("xlm-roberta-classifier", "xlm-roberta", has_classifier=True, seed=14),
        Case("camembert-mean", "camembert", "mean", seed=15),
        Case("bge-m3", "xlm-roberta", "cls", has_m3_heads=True, seed=16),
    )
}


def write(case: Case, folder: Path) -> Path:
    """The folder of a case."""
    folder.mkdir(parents=True, exist_ok=True)
    _json(folder / "config.json", config(case))
    tokenizer(case).save(str(folder / "tokenizer.json"))
    _json(folder / "tokenizer_config.json", tokenizer_config(case))
    if not case.has_classifier:
        kinds = ["Transformer", "Pooling", "Normalize"]
        modules = [
            {
                "idx": n,
                "name": str(n),
                "path": f"{n}_{kind}" if n else "",
                "type": f"sentence_transformers.models.{kind}",
            }
            for n, kind in enumerate(kinds)
        ]
        _json(folder / "modules.json", modules)
        (folder / "1_Pooling").mkdir(exist_ok=True)
        _json(folder / "1_Pooling/config.json", pooling(case))
        _json(
            folder / "sentence_bert_config.json", {"max_seq_length": POSITIONS - offset(case), "do_lower_case": False}
        )
    drawn = weights(case)
    heads = {name: drawn.pop(name) for name in list(drawn) if name.split(".")[0] in ("sparse_linear", "colbert_linear")}
    save_file(drawn, folder / "model.safetensors", {"format": "pt"})
    if heads:
        save_file(heads, folder / "heads.safetensors", {"format": "pt"})  # turned into .pt files by the recorder
    return folder


def offset(case: Case) -> int:
    return 0 if case.is_bert else 2


def config(case: Case) -> dict[str, object]:
    kind = {"bert": "Bert", "roberta": "Roberta", "xlm-roberta": "XLMRoberta", "camembert": "Camembert"}[case.family]
    names = dict(enumerate(case.labels))
    head = {"id2label": {str(n): name for n, name in names.items()}, "label2id": {name: n for n, name in names.items()}}
    return {
        "architectures": [f"{kind}{'ForSequenceClassification' if case.has_classifier else 'Model'}"],
        "model_type": case.family,
        "num_hidden_layers": LAYERS,
        "hidden_size": HIDDEN,
        "num_attention_heads": HEADS,
        "intermediate_size": WIDE,
        "hidden_act": case.activation,
        "layer_norm_eps": EPS,
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2 if case.is_bert else 1,
        "vocab_size": tokenizer(case).get_vocab_size(),
        "pad_token_id": 0 if case.is_bert else 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "position_embedding_type": "absolute",
        **(head if case.has_classifier else {}),
        **case.config,
    }


def pooling(case: Case) -> dict[str, object]:
    names = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "last": "lasttoken"}
    modes = {f"pooling_mode_{name}": how == case.pooling for how, name in names.items()}
    return {"word_embedding_dimension": HIDDEN, **modes, "include_prompt": True}


def tokenizer(case: Case) -> Tokenizer:
    """A real tokeniser of the family's kind over a few words."""
    if case.is_bert:
        vocab = {
            word: n for n, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_words(), *_pieces()])
        }
        made = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
        made.normalizer = normalizers.BertNormalizer(lowercase=True)
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
        made.post_processor = processors.BertProcessing(("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]))
        return made
    scored = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -5.0)]
    scored += [(f"▁{word}", -3.0 - n / 50) for n, word in enumerate(_words())]
    scored += [(word, -6.0 - n / 50) for n, word in enumerate(dict.fromkeys("".join(WORDS)))]
    made = Tokenizer(models.Unigram([*scored, ("<mask>", 0.0)], unk_id=3, byte_fallback=False))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    made.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=False, add_prefix_space=False
    )
    return made


def tokenizer_config(case: Case) -> dict[str, object]:
    limit = POSITIONS - offset(case)
    if case.is_bert:
        names = {
            "unk_token": "[UNK]",
            "sep_token": "[SEP]",
            "pad_token": "[PAD]",
            "cls_token": "[CLS]",
            "mask_token": "[MASK]",
        }
    else:
        names = {
            "unk_token": "<unk>",
            "sep_token": "</s>",
            "pad_token": "<pad>",
            "cls_token": "<s>",
            "mask_token": "<mask>",
        }
        names |= {"bos_token": "<s>", "eos_token": "</s>"}
    inputs = ["input_ids", "token_type_ids", "attention_mask"] if case.is_bert else ["input_ids", "attention_mask"]
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": limit,
        "model_input_names": inputs,
        **names,
    }


def weights(case: Case) -> dict[str, np.ndarray]:
    """Every tensor of the file, by the names of transformers."""
    draw = np.random.default_rng(case.seed)
    vocab = tokenizer(case).get_vocab_size()
    made: dict[str, np.ndarray] = {}

    def linear(name: str, wide: int, out: int) -> None:
        made[f"{name}.weight"] = draw.normal(0, 1.2 / np.sqrt(wide), (out, wide))
        made[f"{name}.bias"] = draw.normal(0, 0.5, out)

    def norm(name: str) -> None:
        made[f"{name}.weight"] = draw.normal(1, 0.3, HIDDEN)
        made[f"{name}.bias"] = draw.normal(0, 0.3, HIDDEN)

    prefix = ("bert." if case.is_bert else "roberta.") if case.has_classifier else ""
    for name, rows in (("word", vocab), ("position", POSITIONS), ("token_type", 2 if case.is_bert else 1)):
        made[f"{prefix}embeddings.{name}_embeddings.weight"] = draw.normal(0, 0.6, (rows, HIDDEN))
    norm(f"{prefix}embeddings.LayerNorm")
    for n in range(LAYERS):
        at = f"{prefix}encoder.layer.{n}"
        for part in ("query", "key", "value"):
            linear(f"{at}.attention.self.{part}", HIDDEN, HIDDEN)
        linear(f"{at}.attention.output.dense", HIDDEN, HIDDEN)
        norm(f"{at}.attention.output.LayerNorm")
        linear(f"{at}.intermediate.dense", HIDDEN, WIDE)
        linear(f"{at}.output.dense", WIDE, HIDDEN)
        norm(f"{at}.output.LayerNorm")
    if not case.has_classifier or case.is_bert:
        linear(f"{prefix}pooler.dense", HIDDEN, HIDDEN)
    if case.has_classifier and case.is_bert:
        linear("classifier", HIDDEN, len(case.labels))
    elif case.has_classifier:
        linear("classifier.dense", HIDDEN, HIDDEN)
        linear("classifier.out_proj", HIDDEN, len(case.labels))
    if case.has_m3_heads:
        linear("sparse_linear", HIDDEN, 1)
        linear("colbert_linear", HIDDEN, HIDDEN)
    return {name: values.astype(np.float32) for name, values in made.items()}


def ragged(case: Case, seed: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    """Items of very different lengths, 1 and the maximum among them: (ids, segments) each."""
    draw = np.random.default_rng(seed)
    longest, vocab = POSITIONS - offset(case), tokenizer(case).get_vocab_size()
    items = []
    for length in (1, 2, 7, 31, longest, 3, 18, longest):
        ids = draw.integers(5, vocab, length).astype(np.int32)
        if length == 18 and not case.is_bert:
            ids[[3, 9]] = 1  # a text may spell the padding token out
        second = np.arange(length) >= length // 2 if case.is_bert and case.has_classifier else np.zeros(length, bool)
        items.append((ids, second.astype(np.int32)))
    return items


def _words() -> list[str]:
    return [word for word in dict.fromkeys(WORDS) if not word.startswith("##")]


def _pieces() -> list[str]:
    return [word for word in dict.fromkeys(WORDS) if word.startswith("##")] + [
        f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz0123456789"
    ]


def _json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2))
