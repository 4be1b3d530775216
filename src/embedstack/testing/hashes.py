"""Words become numbers made from their sha256: what the fake encoder answers with. Pure."""

import hashlib
from collections.abc import Sequence

import numpy as np

from embedstack.types import Floats, Sparse

VOCAB = 1000
BEGIN = "<s>"  # the one special token, id 0
SHARPNESS = 8.0  # logits run from -4 (no word of the query is in the document) to 4 (all are)
FOUND = 4.0  # logit of a label that is among the words


def word_id(word: str) -> int:
    """Its id: of a number from 1 to 999 that number, so that such texts come back whole; of others any of these."""
    if word.isdecimal() and word.isascii() and word == str(int(word)) and 0 < int(word) < VOCAB:
        return int(word)
    return 1 + _number(word) % (VOCAB - 1)


def id_word(token_id: int) -> str:
    """The word of an id, the special one too."""
    return str(token_id) if token_id else BEGIN


def vector(words: Sequence[str], full: int, dim: int) -> Floats:
    """(dim,), cut first and then brought to length 1, as Matryoshka vectors are."""
    row = np.random.default_rng(_number("\0".join(words))).standard_normal(full)[:dim]
    return np.asarray(row / np.linalg.norm(row), np.float32)


def sparse(words: Sequence[str]) -> Sparse:
    """A weight above 0 for each id."""
    ids = sorted({word_id(word) for word in words})
    weights = [(1 + _number(f"weight {i}") % 100) / 100 for i in ids]
    return Sparse(np.array(ids, np.int32), np.array(weights, np.float32))


def multi(words: Sequence[str], dim: int) -> Floats:
    """(words, dim), each row of length 1."""
    return np.array([vector((word,), dim, dim) for word in words], np.float32).reshape(-1, dim)


def relevance(query: str, document: Sequence[str]) -> float:
    """A logit: the share of the query's words that stand in the document; ties are broken by a hash."""
    asked = set(query.lower().split())
    share = len(asked & {word.lower() for word in document}) / max(1, len(asked))
    tie = hashlib.sha256(" ".join(document).encode()).digest()[0] / 25_600  # below a hundredth
    return SHARPNESS * (share - 0.5) + tie


def label_logits(words: Sequence[str], labels: Sequence[str]) -> list[float]:
    """A logit for each label: large if it is among the words, else between -1 and 1 by a hash."""
    known = {word.lower() for word in words}
    text = " ".join(words)
    return [FOUND if label in known else _number(f"{label} {text}") % 2000 / 1000 - 1 for label in labels]


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
