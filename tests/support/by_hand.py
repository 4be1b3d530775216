"""A BERT written out in numpy over the tokeniser's own reading: vectors of known recipes, made without code of ours.

Its folder is a small one of drawn weights, with places for 520 tokens, so that texts can be cut where others cut them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.special import erf
from tokenizers import Tokenizer, normalizers

from support.tiny import EPS, HEADS, HIDDEN, LAYERS, Case, write

POSITIONS, LIMIT = 520, 256
PROMPTS = {"query": "what is ", "document": "a river of "}
NOUNS = "panda bear china river city king queen war music paper light water stone tree bird sun moon star night".split()
VERBS = "is was are were do does which who of the in to and".split()


@dataclass(frozen=True)
class By:
    """How vectors are made."""

    pooling: str = "mean"
    prompt: str = ""
    cut: int = LIMIT
    is_normalised: bool = True
    dim: int = HIDDEN
    is_cased: bool = False
    is_bare: bool = False
    first_position: int = 0
    seed: int = 7  # of the weights: another one is another model

    def says(self) -> dict[str, object]:
        """As the report of `identify` has it."""
        return {
            "pooling": self.pooling, "prompt": self.prompt, "max_tokens": self.cut, "dim": self.dim,
            "case": "kept" if self.is_cased else "own", "special_tokens": not self.is_bare,
        }  # fmt: skip


def folder(root: Path, name: str = "first", seed: int = 7, prompts: dict[str, str] | None = None) -> Path:
    """A model of mean pooling whose limit is 256 tokens, and that has places for 520."""
    made = write(Case(name, "bert", seed=seed), root / name)
    tensors = load_file(made / "model.safetensors")
    places = "embeddings.position_embeddings.weight"
    drawn = np.random.default_rng(seed + 100).normal(0, 0.6, (POSITIONS, HIDDEN))
    save_file({**tensors, places: drawn.astype(np.float32)}, made / "model.safetensors", {"format": "pt"})
    _change(made / "config.json", max_position_embeddings=POSITIONS)
    _change(made / "tokenizer_config.json", model_max_length=POSITIONS)
    _change(made / "sentence_bert_config.json", max_seq_length=LIMIT)
    if prompts:
        (made / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))
    mended(made)
    return made


def mended(made: Path) -> None:
    """The tokeniser of `support.tiny` gives `##9` an id past its table."""
    path = made / "tokenizer.json"
    stated = json.loads(path.read_text())
    vocab = stated["model"]["vocab"]
    (free,) = set(range(len(vocab))) - set(vocab.values())
    vocab["##9"] = free
    path.write_text(json.dumps(stated))


def _change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


# ------------------------------------------------------------------------------------------------ texts


def texts(count: int, most: int = 400, seed: int = 1) -> list[str]:
    """Each another one, of 3 to `most` words, with a capital at the beginning."""
    draw = np.random.default_rng(seed)
    lengths = np.geomspace(3, most, count).astype(int)
    return [_text(draw, number, length) for number, length in enumerate(draw.permutation(lengths))]


def _text(draw: np.random.Generator, number: int, words: int) -> str:
    chosen = [str(draw.choice(NOUNS if place % 2 else VERBS)) for place in range(words - 1)]
    return f"{chosen[0].title()} {number} " + " ".join(chosen[1:])


# ------------------------------------------------------------------------------------------------ vectors


@dataclass
class Hand:
    """The graph of one folder."""

    folder: Path
    tensors: dict[str, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        loaded = load_file(self.folder / "model.safetensors")
        self.tensors = {name: values.astype(np.float64) for name, values in loaded.items()}

    def vectors(self, given: Sequence[str], by: By) -> np.ndarray:
        """(texts, dim)."""
        tokeniser = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokeniser.no_padding()
        tokeniser.enable_truncation(by.cut)
        if by.is_cased:
            tokeniser.normalizer = normalizers.BertNormalizer(lowercase=False)
        made = [tokeniser.encode(by.prompt + text, add_special_tokens=not by.is_bare).ids for text in given]
        rows = np.stack([self._pooled(np.array(ids), by) for ids in made])[:, : by.dim]
        if by.is_normalised:
            rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return rows.astype(np.float32)

    def _pooled(self, ids: np.ndarray, by: By) -> np.ndarray:
        x = self._states(ids, by.first_position)
        return {"mean": x.mean(0), "cls": x[0], "last": x[-1], "max": x.max(0)}[by.pooling]

    def _states(self, ids: np.ndarray, first: int) -> np.ndarray:
        t = self.tensors
        places = t["embeddings.position_embeddings.weight"][first : first + len(ids)]
        x = t["embeddings.word_embeddings.weight"][ids] + places
        x = self._norm(x + t["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for number in range(LAYERS):
            x = self._layer(x, f"encoder.layer.{number}")
        return x

    def _layer(self, x: np.ndarray, at: str) -> np.ndarray:
        q, k, v = (self._linear(x, f"{at}.attention.self.{part}") for part in ("query", "key", "value"))
        size = HIDDEN // HEADS
        heads = [slice(head * size, (head + 1) * size) for head in range(HEADS)]
        mixed = np.concatenate([self._softmax(q[:, h] @ k[:, h].T / np.sqrt(size)) @ v[:, h] for h in heads], axis=1)
        x = self._norm(x + self._linear(mixed, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
        wide = self._linear(x, f"{at}.intermediate.dense")
        wide = 0.5 * wide * (1 + erf(wide / np.sqrt(2)))
        return self._norm(x + self._linear(wide, f"{at}.output.dense"), f"{at}.output.LayerNorm")

    def _linear(self, x: np.ndarray, at: str) -> np.ndarray:
        return x @ self.tensors[f"{at}.weight"].T + self.tensors[f"{at}.bias"]

    def _norm(self, x: np.ndarray, at: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + EPS)
        return centred / spread * self.tensors[f"{at}.weight"] + self.tensors[f"{at}.bias"]

    @staticmethod
    def _softmax(x: np.ndarray) -> np.ndarray:
        shares = np.exp(x - x.max(-1, keepdims=True))
        return shares / shares.sum(-1, keepdims=True)
