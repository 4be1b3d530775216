"""A number and the vectors of some questions -> points: passages of many different words, vectors near the questions.

Nothing here means anything. A passage is one sentence or question of ours among made words, which come as often as the
words of a language do (Zipf); a vector lies around that of a question, at a cosine that is drawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product
from random import Random

import numpy as np

from embedstack.databases.database import Points
from embedstack.evals.sentences import SENTENCES, questions
from embedstack.search.analysis import terms
from embedstack.search.bm25 import Bm25
from embedstack.types import Floats, Sparse

LEAST_WORDS, MOST_WORDS = 20, 90  # made words of a passage
ASKED = 0.25  # of the passages have a question of ours, the others a sentence
NEAREST, FARTHEST = 0.9, 0.2  # cosines of a point to the question that it lies around
SAMPLED = 10_000  # passages whose mean length is BM25's, as `embedstack index` samples, too
SYLLABLES = tuple("".join(one) for one in product("bdfgklmnprstvz", "aeiou", ("", "n", "r")))


@dataclass(frozen=True, slots=True)
class Drawn:
    """All points, by place."""

    texts: list[str]
    vectors: Floats  # (points, dim), each of length 1
    weights: list[Sparse]
    bm25: Bm25

    def batches(self, size: int) -> Iterator[Points]:
        """As a database takes them; the id is the place."""
        for at in range(0, len(self.texts), size):
            texts = self.texts[at : at + size]
            yield Points(
                ids=range(at, at + len(texts)),
                vectors={"dense": self.vectors[at : at + size], "bm25": self.weights[at : at + size]},
                payloads=[{"text": text} for text in texts],
            )


def drawn(count: int, centres: Floats) -> Drawn:
    """Always the same ones.

    Args:
        centres: (questions, dim), each of length 1.
    """
    texts = passages(count)
    bm25 = Bm25.of("en", (len(terms(text, "en")) for text in texts[:SAMPLED]))
    return Drawn(texts, around(centres, count), [bm25.document(text) for text in texts], bm25)


def passages(count: int, seed: int = 0) -> list[str]:
    """Of some 65 words each."""
    draw, chance = Random(seed), np.random.default_rng(seed)
    words = np.array(made_words())
    shares = 1 / np.arange(1, len(words) + 1)
    lengths = chance.integers(LEAST_WORDS, MOST_WORDS + 1, count)
    picked = words[chance.choice(len(words), int(lengths.sum()), p=shares / shares.sum())]
    asked = iter(questions(count, seed + 1))
    ours = [next(asked) if draw.random() < ASKED else draw.choice(SENTENCES) for _ in range(count)]
    parts = np.split(picked, np.cumsum(lengths)[:-1])
    return [f"{sentence} {' '.join(part)}." for sentence, part in zip(ours, parts, strict=True)]


def made_words() -> list[str]:
    """Of two syllables, 44,100; the most frequent one first."""
    some = ["".join(pair) for pair in product(SYLLABLES, repeat=2)]
    return Random(0).sample(some, len(some))


def around(centres: Floats, count: int, *, least: float = FARTHEST, most: float = NEAREST) -> Floats:
    """(count, dim), each of length 1 and around one of the centres, as far from it as two cosines say."""
    chance = np.random.default_rng(0)
    centre = centres[chance.integers(0, len(centres), count)].astype(np.float32)
    cosine = chance.uniform(least, most, (count, 1)).astype(np.float32)
    aside = chance.standard_normal(centre.shape, np.float32)
    aside -= np.einsum("ij,ij->i", aside, centre)[:, None] * centre  # at a right angle to the centre
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    return np.asarray(cosine * centre + np.sqrt(1 - cosine**2) * aside, np.float32)


def distinct_questions(count: int) -> list[str]:
    """So many that differ."""
    return list(islice(dict.fromkeys(questions(20 * count + 100, 0)), count))
