"""Names of measures, such as "ndcg@10", and rankings -> what each measure says of them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal, TypeAlias

from embedstack.errors import BadRequest
from embedstack.evals.metrics import (
    Measured,
    Orders,
    Qrels,
    Run,
    average_precision,
    hit,
    judged,
    mrr,
    ndcg,
    precision,
    recall,
)

Name: TypeAlias = Literal["ndcg", "mrr", "recall", "precision", "hit", "map", "judged"]

DEFAULT: Final = ("ndcg@10", "mrr@10", "recall@100", "map", "judged@10")

SPELLINGS: Final[Mapping[str, Name]] = {
    "ndcg": "ndcg",
    "ndcg_cut": "ndcg",
    "mrr": "mrr",
    "rr": "mrr",
    "recip_rank": "mrr",
    "recall": "recall",
    "r": "recall",
    "precision": "precision",
    "p": "precision",
    "hit": "hit",
    "success": "hit",
    "map": "map",
    "map_cut": "map",
    "ap": "map",
    "judged": "judged",
}
"""Ours, those of ir_measures (https://ir-measur.es) and those of trec_eval, in lower case."""

FIRST: Final[Mapping[Name, Callable[[Qrels, Run | Orders, int], Measured]]] = {
    "ndcg": ndcg,
    "mrr": mrr,
    "recall": recall,
    "precision": precision,
    "hit": hit,
    "map": average_precision,
    "judged": judged,
}
WHOLE: Final[Mapping[Name, Callable[[Qrels, Run | Orders], Measured]]] = {
    "ndcg": ndcg,
    "mrr": mrr,
    "map": average_precision,
    "judged": judged,
}
"""Those that ir_measures, too, has without a cut."""

WRITTEN = re.compile(r"([a-z_]+?)(?:[@._]([0-9]{1,9}))?")  # nDCG@10, P.5, ndcg_cut_10
QUOTED = 40  # characters of a name that an error repeats


@dataclass(frozen=True, slots=True)
class Measure:
    """What is measured, and of how many documents."""

    name: Name
    k: int | None  # the first so many; None: all

    def __str__(self) -> str:
        """As reports and limits call it."""
        return self.name if self.k is None else f"{self.name}@{self.k}"


def parse_measure(text: str) -> Measure:
    """The measure that is meant, in whichever spelling and case.

    Raises:
        BadRequest: no such measure, naming the nearest; a cut of 0, or none where one is needed.
    """
    written = WRITTEN.fullmatch(text.strip().lower())
    if written is None or written[1] not in SPELLINGS:
        raise BadRequest(f"no measure is called {text[:QUOTED]!r}; {_nearest(text)}")
    name = SPELLINGS[written[1]]
    k = int(written[2]) if written[2] else None
    if k == 0 or (k is None and name not in WHOLE):
        raise BadRequest(f"{text!r} does not say of how many documents; write for example {name}@10")
    return Measure(name, k)


def _nearest(text: str) -> str:
    name, k = re.findall(r"([a-z_]*)[^a-z0-9]*([0-9]*)", text[:QUOTED].strip().lower())[0]
    if near := get_close_matches(name, SPELLINGS, n=1, cutoff=0.5):
        return f"the nearest is {SPELLINGS[near[0]]}@{k or 10}"
    return f"there are {', '.join(DEFAULT)}, precision@5 and hit@1, each with any number"


def measured(names: Sequence[str], qrels: Qrels, rankings: Run | Orders) -> dict[str, Measured]:
    """What each measure says, under its own name whichever spelling was asked for, in the order of asking.

    Raises:
        BadRequest: as `parse_measure` and `metrics.ndcg`.
    """
    measures = [parse_measure(name) for name in names]
    return {
        str(measure): WHOLE[measure.name](qrels, rankings)
        if measure.k is None
        else FIRST[measure.name](qrels, rankings, measure.k)
        for measure in measures
    }


def recall_cap(qrels: Qrels, k: int) -> float:
    """The highest mean recall@k that any ranking reaches, from 0 to 1.

    It is below 1 where a query has more than k relevant documents, or none at all.

    Raises:
        BadRequest: k below 1, or no judged query.
    """
    best = {query: sorted(grades, key=lambda document: -grades[document]) for query, grades in qrels.items()}
    return recall(qrels, best, k).mean
