"""A text becomes the lexical weights of BM25, so that a database that multiplies by rarity ranks as BM25 does.

The score of a document is the sum over the terms of a query, where N documents have terms, n of them this one, and the
mean document has so many as `average` says:

    repeats in the query x ln(1 + (N - n + 0.5) / (n + 0.5)) x tf (k1 + 1) / (tf + k1 (1 - b + b length / average))

The last factor is stored, the first is asked with, and the one between is the database's: `idf` of a sparse
`databases.database.Field`, which is this formula in all of them. It is Lucene's BM25 times k1 + 1, which changes no
ranking.

Source: Robertson and Zaragoza 2009, https://doi.org/10.1561/1500000019; of the variants Kamphuis et al. 2020,
https://doi.org/10.1007/978-3-030-45442-5_4.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache
from typing import get_args

import numpy as np

from embedstack.errors import BadRequest, Mismatch
from embedstack.origin import Identity
from embedstack.search.analysis import LONGEST, REMEMBERED, VERSION, Language, check_language, digest, terms
from embedstack.types import Sparse

K1, B = 1.5, 0.75
AVERAGE = 256.0  # terms; what FastEmbed 0.8 and Qdrant 1.19 take where nobody measured it
MOST_K1 = 100.0
HASH = "blake2b-64 mod 10**9"
IDS = 10**9  # pgvector's sparsevec has none above
REVISION = re.compile(r"\d+ k1=(\S+) b=(\S+) average=(\S+)")


@dataclass(frozen=True, slots=True)
class Bm25:
    """BM25 for one language and one mean length. Several threads may share one.

    The mean is part of the identity and stays as it is while a collection grows: where it is wrong, all long texts
    stand a little too high or too low against short ones.
    """

    language: Language
    _: KW_ONLY
    k1: float = K1  # 0 to 100: how much a repeated term adds; 0: nothing
    b: float = B  # 0 to 1: how much the length counts
    average: float = AVERAGE  # terms of the mean document, at least 1

    def __post_init__(self) -> None:
        check_language(self.language)
        for name, value, least, most in (
            ("k1", self.k1, 0.0, MOST_K1),
            ("b", self.b, 0.0, 1.0),
            ("average", self.average, 1.0, 1e9),
        ):
            if not least <= value <= most:  # NaN is in no range
                raise BadRequest(
                    f"{name}={value!r} of BM25 is not from {least:g} to {most:g}; leave it out for the usual"
                )

    @classmethod
    def of(cls, language: Language, lengths: Iterable[int], *, k1: float = K1, b: float = B) -> "Bm25":
        """With the mean of a corpus.

        Args:
            lengths: terms of each document, as `len(terms(text, language))`; those of 0 do not count.
        Raises:
            BadRequest: no document has a term.
        """
        counts = [length for length in lengths if length]
        if not counts:
            raise BadRequest("no document has a term, so they have no mean length; leave `average` to its default")
        return cls(language, k1=k1, b=b, average=sum(counts) / len(counts))

    def document(self, text: str) -> Sparse:
        """What is stored.

        Of a text without terms nothing: databases do not count such a vector among the N documents.
        """
        counts = Counter(terms(text, self.language))
        damping = self.k1 * (1 - self.b + self.b * counts.total() / self.average)
        return _sparse({term: tf * (self.k1 + 1) / (tf + damping) for term, tf in counts.items()})

    def query(self, text: str) -> Sparse:
        """What is asked with: a term weighs as often as it is there.

        So have it Lucene, which adds up a clause for each word, and bm25s; it is Okapi's formula with an infinite k3
        (https://trec.nist.gov/pubs/trec3/papers/city.ps.gz). FastEmbed and Qdrant count a repeated word once.
        """
        return _sparse(Counter(terms(text, self.language)))

    @property
    def identity(self) -> Identity:
        """Whose vectors these are, of documents as of queries. `revision` says how to make the same: see `known`."""
        space = self._space()
        return Identity(
            model=f"bm25-{self.language}",
            revision=f"{VERSION} k1={float(self.k1)!r} b={float(self.b)!r} average={float(self.average)!r}",
            space=space,
            fingerprint=space,  # nothing is rounded by a device
            dim=0,
            max_tokens=0,  # no text is cut
        )

    def _space(self) -> str:
        """32 hex digits: of all that decides a weight."""
        decides = {
            "analysis": digest(self.language),
            "hash": HASH,
            "k1": float(self.k1),
            "b": float(self.b),
            "average": float(self.average),
        }
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:32]


def known(identity: Identity) -> Bm25:
    """The one that made vectors of this identity, so that a collection can be asked by who finds it.

    Raises:
        Mismatch: it is no BM25 of ours, or another version's, whose terms are others.
    """
    made = _stated(identity)
    if made is None or made.identity.space != identity.space:
        raise Mismatch(
            f"{identity.model!r} of revision {identity.revision!r} is no BM25 of this version (analysis {VERSION}); "
            "make the lexical vectors again, or use the versions of embedstack and snowballstemmer that made them"
        )
    return made


def _stated(identity: Identity) -> Bm25 | None:
    language = next((one for one in get_args(Language) if identity.model == f"bm25-{one}"), None)
    numbers = REVISION.fullmatch(identity.revision)
    if language is None or numbers is None:
        return None
    try:
        k1, b, average = map(float, numbers.groups())
        return Bm25(language, k1=k1, b=b, average=average)
    except (ValueError, BadRequest):
        return None


def _sparse(weights: Mapping[str, float]) -> Sparse:
    """Of terms; where two have one id, their weights add."""
    by_id: dict[int, float] = {}
    for term, weight in weights.items():
        number = term_id(term)
        by_id[number] = by_id.get(number, 0.0) + weight
    ids = sorted(by_id)
    return Sparse(np.array(ids, np.int32), np.array([by_id[number] for number in ids], np.float32))


def term_id(term: str) -> int:
    """From 0 below 10**9, the same everywhere and always.

    Of a million terms about 500 pairs share one (n**2 / 2 / 10**9), so one term in a thousand is found together with
    another's texts; of 100,000 terms 5 pairs.
    """
    return _remembered_id(term) if len(term) <= LONGEST else _id(term)


def _id(term: str) -> int:
    return int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "big") % IDS


_remembered_id = lru_cache(REMEMBERED)(_id)
