"""Judgements and rankings -> what a reader of the figures must know of them. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from embedstack.evals.measures import parse_measure, recall_cap
from embedstack.evals.metrics import Qrels
from embedstack.evals.systems.system import Ranked


def caps(measures: Sequence[str], qrels: Qrels) -> Iterator[str]:
    """Of each recall that no ranking can bring to 1."""
    for name in measures:
        measure = parse_measure(name)
        if measure.name == "recall" and measure.k and (cap := recall_cap(qrels, measure.k)) < 1:
            many = sum(sum(grade > 0 for grade in grades.values()) > measure.k for grades in qrels.values())
            idle = sum(all(grade < 1 for grade in grades.values()) for grades in qrels.values())
            yield (
                f"{name} is at most {cap:.4f} here, whatever the system: {many} of {len(qrels)} queries have more "
                f"relevant documents than {measure.k}, and {idle} have none"
            )


def oddities(qrels: Qrels, rankings: Mapping[str, Sequence[Ranked]]) -> Iterator[str]:
    """Of one system: queries without an answer, answers that nobody judged, and ties that decide the figures."""
    if silent := [query for query in qrels if not rankings[query]]:
        yield f"{len(silent)} of {len(qrels)} queries got no document and count as 0, the first is {silent[0]!r}"
    if (strange := _none_judged(qrels, rankings)) is not None:
        yield f"nothing that it found is judged, such as {strange!r}; see that its documents have the judgements' ids"
    if tied := [query for query, grades in qrels.items() if _is_tied(grades, rankings[query])]:
        yield (
            f"{len(tied)} of {len(qrels)} queries have documents of equal score and unequal grade, the first is "
            f"{tied[0]!r}: they count in the order in which the system has them"
        )


def _none_judged(qrels: Qrels, rankings: Mapping[str, Sequence[Ranked]]) -> str | None:
    """The first document that was found, where none of them is judged for any query."""
    judged = {document for grades in qrels.values() for document in grades}
    found = [hit.document for query in qrels for hit in rankings[query]]
    return found[0] if found and judged.isdisjoint(found) else None


def _is_tied(grades: Mapping[str, int], ranking: Sequence[Ranked]) -> bool:
    def gain(hit: Ranked) -> int:
        return max(grades.get(hit.document, 0), 0)

    return any(above.score == below.score and gain(above) != gain(below) for above, below in pairwise(ranking))
