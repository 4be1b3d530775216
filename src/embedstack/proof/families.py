"""What test runs wrote beside the families -> what is proven of each: by whom, in which runtimes, how near."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from embedstack.models import FAMILIES, proofs_folder

TOLERANCE = 1e-5
"""Of the judge's largest number: what float32 products of small graphs may differ by. A runtime further off proves
nothing, however it came to be written down.
"""
HEADS = ("dense", "image", "sparse", "multi", "score")
"""What a case compares, in the order in which it is shown: outputs, and vectors of pictures."""


class _Case(msgspec.Struct):
    runtimes: dict[str, float] = {}
    mutations: list[str] = []
    heads: list[str] = []
    judge: str = ""  # that of the file if empty


class _File(msgspec.Struct):
    judge: str = ""
    cases: dict[str, _Case] = {}
    weights: dict[str, float] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """What test runs showed of one family.

    Args:
        judge: whose numbers ours were compared with, with their versions; empty where nobody judged.
        cases: folders of drawn weights that a runtime computed as the judge does.
        heads: what these cases compared, of `HEADS`.
        runtimes: the largest difference in each that is within the tolerance, as a share of the judge's largest number.
        mutations: ways to be wrong that the comparison was shown to see.
        weights: published models whose real weights were compared, and how far off they were.
    """

    family: str
    judge: str = ""
    cases: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    runtimes: Mapping[str, float]
    mutations: tuple[str, ...] = ()
    weights: Mapping[str, float]

    @property
    def level(self) -> str:
        """In one word: weights, graph, or none."""
        return "weights" if self.weights else "graph" if self.cases else "none"


def proven() -> list[Proven]:
    """Every family of the table, proven or not."""
    return [_proven(family) for family in FAMILIES]


def _proven(family: str) -> Proven:
    path = proofs_folder() / f"{family}.json"
    kept = msgspec.json.decode(path.read_bytes(), type=_File) if path.is_file() else _File()
    runtimes: dict[str, float] = {}
    for case in kept.cases.values():
        for name, off in case.runtimes.items():
            runtimes[name] = max(off, runtimes.get(name, 0.0))
    near = {name for name, off in runtimes.items() if off <= TOLERANCE}
    held = {name: case for name, case in sorted(kept.cases.items()) if near & case.runtimes.keys()}
    return Proven(
        family=family,
        judge=_judges(kept, held),
        cases=tuple(held),
        heads=tuple(head for head in HEADS if any(head in case.heads for case in held.values())),
        runtimes={name: off for name, off in sorted(runtimes.items()) if name in near},
        mutations=tuple(sorted({mutation for case in kept.cases.values() for mutation in case.mutations})),
        weights=kept.weights,
    )


def _judges(kept: _File, held: Mapping[str, _Case]) -> str:
    """Each once, the usual ones first."""
    said = [case.judge or kept.judge for case in held.values()] or [kept.judge]
    usual_first = sorted(said, key=lambda judge: judge != kept.judge)
    return ", ".join(dict.fromkeys(package for judge in usual_first for package in judge.split(", ")))
