"""A labelled set and what a system answers -> a refusal where the two know nothing of each other. Pure.

Figures of such a pair are all 0, and nothing is worse than a baseline of 0: a gate would let everything pass.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice

from embedstack.errors import BadRequest
from embedstack.evals.sets.labelled import Labelled
from embedstack.evals.sets.rankings import NOTHING
from embedstack.evals.systems.system import Ranked

MOST_LACKING = 0.5  # of the judged queries: what lacks more of them is a part of a file, or another set's
SHOWN = 2  # ids of either side


def check_file(file: str, run: Mapping[str, Sequence[Ranked]], labelled: Labelled, *, is_of_gate: bool) -> None:
    """Before anything is prepared: a file says itself what it answers.

    A query that stands in the file without documents was answered with none. One that is not there counts as 0, too;
    a gate takes no file that lacks more than half of them.

    Raises:
        BadRequest: none of the judged queries is there, or of its documents none is known; of a gate, see above.
    """
    lacking = [query for query in labelled.qrels if query not in run]
    judged = len(labelled.qrels)
    if len(lacking) == judged:
        raise BadRequest(
            f"{file!r} has none of the {judged:,} judged queries of {labelled.name!r}: there they are "
            f"{_some(lacking)}, in the file {_some(run)}; name the rankings of this set"
        )
    check_found(f"{file!r}", {query: run[query] for query in labelled.qrels if query in run}, labelled)
    if is_of_gate and len(lacking) > MOST_LACKING * judged:
        raise BadRequest(
            f"{file!r} lacks {len(lacking):,} of the {judged:,} judged queries of {labelled.name!r}, such as "
            f"{_some(lacking)}, and a gate would count each as 0; name whole rankings, and where nothing was found for "
            f"a query say so with the line: {lacking[0]} Q0 {NOTHING} 1 0 tag"
        )


def check_found(who: str, rankings: Mapping[str, Sequence[Ranked]], labelled: Labelled) -> None:
    """Of what was answered to judged queries.

    Args:
        who: answered, for messages.
    Raises:
        BadRequest: it has documents, and the set knows none of them. One without texts knows what it judges.
    """
    known: Collection[str] = labelled.documents or _judged(labelled)
    found = dict.fromkeys(hit.document for hits in rankings.values() for hit in hits)
    if found and not any(document in known for document in found):
        raise BadRequest(
            f"{labelled.name!r} knows none of the {len(found):,} documents that {who} gives: there they are "
            f"{_some(known)}, here {_some(found)}; name what was made of this set"
        )


def _judged(labelled: Labelled) -> Collection[str]:
    """Documents, in the order of the judgements."""
    return dict.fromkeys(one for grades in labelled.qrels.values() for one in grades)


def _some(ids: Iterable[str]) -> str:
    """The first few, for people."""
    first = list(islice(ids, SHOWN + 1))
    return f"{', '.join(map(repr, first[:SHOWN]))}{', …' if len(first) > SHOWN else ''}"
