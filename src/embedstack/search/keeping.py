"""What belongs together, and rules -> which of it is kept, and why each other one is a duplicate of that. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from embedstack.search.near import cosines, slack
from embedstack.types import Floats

Rule = Literal["largest", "longest", "newest", "oldest", "resolution", "name", "first"]
Level = Literal["EXACT", "HIGH", "MEDIUM", "LOW"]
Kind = Literal["exact", "near"]
"""The same bytes or text, or only a like vector."""
Rank: TypeAlias = tuple[bool, float | str]

USUAL: tuple[Rule, ...] = ("resolution", "newest", "largest", "name")
LEVELS: tuple[tuple[Level, float], ...] = (("EXACT", 0.98), ("HIGH", 0.90), ("MEDIUM", 0.85), ("LOW", 0.70))
WORDS: dict[Rule, str] = {
    "largest": "has more bytes",
    "longest": "has more characters",
    "newest": "is newer",
    "oldest": "is older",
    "resolution": "has more pixels",
    "name": "comes first by name",
    "first": "comes first",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What may be a duplicate, as far as the rules ask; None is what nobody knows."""

    name: str
    about: str = ""  # for people, beside a name that says little
    digest: str = ""  # of its bytes; "" where there are none of its own
    size_bytes: int = 0  # that are saved without it
    characters: int | None = None
    pixels: int | None = None
    modified_s: float | None = None  # since 1970


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """One that need not be kept; items are numbers of a list of items."""

    item: int
    similarity: float  # cosine to the one that is kept
    kind: Kind
    level: Level | None  # None: below all of them
    reason: str
    nearest: int  # of all the others of its cluster
    nearest_similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One that is kept, and its duplicates."""

    kept: int
    duplicates: tuple[Duplicate, ...]
    also_kept: tuple[int, ...] = ()  # others of its cluster, which are near to this one only through duplicates


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What belongs together, each near to another one of it."""

    members: Sequence[int]  # numbers of items
    contents: Sequence[int]  # of each member a row of `vectors`: those of one row have the same text or the same bytes
    nearest: Sequence[int]  # of each member another one
    nearest_similarity: Sequence[float]
    vectors: Floats  # (contents, dim), of this and other clusters


def settle(
    cluster: Cluster, items: Sequence[Item], rules: Sequence[Rule], threshold: float, *, is_chained: bool = False
) -> list[Group]:
    """The best by the rules is kept, what is near to it is its duplicate, and the rest settles the same among itself.

    So every duplicate is near to one that is kept, and no two are kept that are near.

    Args:
        rules: the first decides; where it says nothing the next one, then those that are usual, then the order.
        threshold: the least similarity of a duplicate to the one that is kept, as for `near.clusters`.
        is_chained: keep one alone; what is near to it only through others is a duplicate, too.
    Returns:
        Groups that have duplicates, the best by the rules first.
    """
    settling = _Settling(cluster, items, (*dict.fromkeys((*rules, *USUAL)), "first"))
    least = threshold - slack(cluster.vectors.shape[1])
    left = sorted(range(len(cluster.members)), key=settling.ranks.__getitem__)
    settled: list[tuple[int, tuple[Duplicate, ...]]] = []
    while left:
        best, *others = left
        found = dict(zip(others, settling.similarities(best, others), strict=True))
        near = [place for place in others if is_chained or found[place] >= least]
        settled.append((best, tuple(settling.duplicate(best, place, found[place], least) for place in near)))
        left = [place for place in others if not (is_chained or found[place] >= least)]
    kept = [cluster.members[best] for best, _ in settled]
    return [
        Group(kept=item, duplicates=duplicates, also_kept=tuple(other for other in kept if other != item))
        for item, (_, duplicates) in zip(kept, settled, strict=True)
        if duplicates
    ]


def level_of(similarity: float) -> Level | None:
    """The highest that it reaches."""
    return next((level for level, least in LEVELS if similarity >= least), None)


class _Settling:
    """A cluster by its rules; its members are known by their places in it."""

    def __init__(self, cluster: Cluster, items: Sequence[Item], order: tuple[Rule, ...]) -> None:
        self._cluster = cluster
        self._items = [items[member] for member in cluster.members]
        self._order = order
        numbered = zip(cluster.members, self._items, strict=True)
        self.ranks = [[_rank(item, number, rule) for rule in order] for number, item in numbered]

    def similarities(self, best: int, others: Sequence[int]) -> list[float]:
        """Of equal contents it is 1, whatever their vectors are: one that nobody could read has only zeros."""
        contents = self._cluster.contents
        rows = np.array([contents[place] for place in others], np.int64)
        found = cosines(self._cluster.vectors, contents[best], rows)
        return [float(one) for one in np.where(rows == contents[best], 1.0, found)]

    def duplicate(self, best: int, place: int, similarity: float, least: float) -> Duplicate:
        """What is said of it."""
        is_exact = self._cluster.contents[best] == self._cluster.contents[place]
        return Duplicate(
            item=self._cluster.members[place],
            similarity=similarity,
            kind="exact" if is_exact else "near",
            level=level_of(similarity),
            reason=self._exactly(best, place) if is_exact else self._nearly(best, place, similarity, least),
            nearest=self._cluster.nearest[place],
            nearest_similarity=self._cluster.nearest_similarity[place],
        )

    def _exactly(self, best: int, place: int) -> str:
        kept, digest = self._items[best], self._items[place].digest
        return f"same {'bytes' if digest and digest == kept.digest else 'text'} as {kept.name}"

    def _nearly(self, best: int, place: int, similarity: float, least: float) -> str:
        ranks = zip(self._order, self.ranks[best], self.ranks[place], strict=True)
        why = next(WORDS[rule] for rule, mine, other in ranks if mine != other)  # no two have one number
        through = "" if similarity >= least else "near only through others; "
        return f"{through}cosine {similarity:.4f} to {self._items[best].name}, which {why}"


def _rank(item: Item, number: int, rule: Rule) -> Rank:
    """The lowest is kept; where something is not known it stands behind all others."""
    match rule:
        case "largest":
            return False, -item.size_bytes
        case "longest":
            return _falling(item.characters)
        case "newest":
            return _falling(item.modified_s)
        case "oldest":
            return item.modified_s is None, item.modified_s or 0.0
        case "resolution":
            return _falling(item.pixels)
        case "name":
            return False, item.name
        case "first":
            return False, number


def _falling(value: float | None) -> Rank:
    return value is None, -(value or 0.0)
