"""Texts and judgements -> digests that tell whether two reports are of the same ones, whatever file they came from."""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import chain

import msgspec

from embedstack.evals.metrics import Qrels

DIGITS = 16  # hexadecimal: 64 bits, so two of a million texts share an id with a chance of 3e-8


def text_id(text: str) -> str:
    """An id for a text that has none: the same in every file, so rankings stay valid when lines are added or moved."""
    return sha256(text.encode()).hexdigest()[:DIGITS]


def digest_of_labelled(documents: Mapping[str, str], queries: Mapping[str, str], qrels: Qrels) -> str:
    """Independent of any order."""
    judgements = chain.from_iterable(_rows(query, qrels[query]) for query in sorted(qrels))
    return _digest(chain(_rows("document", documents), _rows("query", queries), judgements))


def digest_of_pairs(rows: Iterable[tuple[str, str, float]]) -> str:
    """Independent of their order."""
    return _digest(sorted(rows))


def _rows(of: str, values: Mapping[str, str] | Mapping[str, int]) -> Iterator[tuple[str, str, str | int]]:
    return ((of, name, values[name]) for name in sorted(values))


def _digest(rows: Iterable[tuple[object, ...]]) -> str:
    digest = sha256()
    for row in rows:
        digest.update(msgspec.json.encode(row))  # JSON says where a row ends, so other rows are other bytes
    return digest.hexdigest()[:DIGITS]
