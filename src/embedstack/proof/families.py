"""What test runs wrote beside the families -> what is proven of each: by whom, in which runtimes, how near."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from embedstack.models import FAMILIES, proofs_folder

TOLERANCE = 1e-5
"""Of the judge's largest number: what float32 products of small graphs may differ by. A runtime further off proves
nothing, however it came to be written down.
"""


class _Case(msgspec.Struct):
    runtimes: dict[str, float] = {}
    mutations: list[str] = []


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
        runtimes: the largest difference in each that is within the tolerance, as a share of the judge's largest number.
        mutations: ways to be wrong that the comparison was shown to see.
        weights: published models whose real weights were compared, and how far off they were.
    """

    family: str
    judge: str = ""
    cases: tuple[str, ...] = ()
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
    held = {name for name, off in runtimes.items() if off <= TOLERANCE}
    mutations = sorted({mutation for case in kept.cases.values() for mutation in case.mutations})
    return Proven(
        family=family,
        judge=kept.judge,
        cases=tuple(sorted(name for name, case in kept.cases.items() if held & case.runtimes.keys())),
        runtimes={name: off for name, off in sorted(runtimes.items()) if name in held},
        mutations=tuple(mutations),
        weights=kept.weights,
    )
