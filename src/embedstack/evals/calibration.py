"""The nouns of a calibration: from which cosine on two texts mean the same, how often that is right. JSON, too."""

import msgspec

from embedstack.evals.outcome import Interval
from embedstack.origin import Identity


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What a threshold does to some pairs: it calls those the same whose cosine is not below it."""

    threshold: float
    called: int  # pairs that it calls the same
    right: int  # of them those that are
    precision: Interval | None  # right / called; None where it calls nothing the same
    recall: Interval  # right / pairs that are the same
    f1: float  # 2 * right / (called + pairs that are the same)


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold that was looked for on one half of the pairs and tried on the other."""

    rule: str  # for people: "best F1", "precision at least 0.95"
    threshold: float | None  # None: none is as asked
    drawn: Interval | None = None  # the threshold, had other pairs like these been drawn; of the best F1 alone
    chosen_on: Effect | None = None
    held_out: Effect | None = None
    reason: str  # for people: how it was chosen, or why there is none


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs whose cosine is from `low` to below `high`; 1 itself is in the last one."""

    low: float
    high: float
    same: int
    other: int


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What the cosines of a model mean."""

    data: str = ""
    digest: str = ""
    identity: Identity | None = None  # whose cosines
    role: str = ""  # as which the texts were read
    pairs: int
    same: int  # of them, those graded `same_from` or higher
    same_from: float
    auc: float  # how often a pair that is the same has a higher cosine than one that is not; 0.5 is chance
    spearman: float  # rank correlation of cosines and grades, from -1 to 1
    best: Chosen
    precise: tuple[Chosen, ...]
    fixed: tuple[Effect, ...]  # thresholds that others use, on all pairs
    bins: tuple[Bin, ...]
    chosen_on: int  # pairs of the half that thresholds are chosen on
    held_out: int
    seed: int  # which pairs are in which half
    confidence: float
    resamples: int
    notes: tuple[str, ...] = ()
    truncated: int = 0  # texts of which the model did not read all
