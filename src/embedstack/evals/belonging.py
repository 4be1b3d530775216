"""A labelled set and what a system answers -> a refusal where the two know nothing of each other. Pure.

Figures of such a pair are all 0, and nothing is worse than a baseline of 0: a gate would let everything pass.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import TypeAlias

from embedstack.errors import BadRequest
from embedstack.evals.sets.labelled import Labelled
from embedstack.evals.sets.rankings import NOTHING
from embedstack.evals.systems.system import Ranked

MOST_LACKING = 0.5  # of the judged queries: what lacks more of them is a part of a file, or another set's
SHOWN = 2  # ids of either side

ByQuery: TypeAlias = Mapping[str, Sequence[Ranked]]


def check_file(file: str, run: ByQuery, labelled: Labelled, *, is_of_gate: bool) -> None:
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
    _check_found(f"{file!r}", {query: run[query] for query in labelled.qrels if query in run}, labelled)
    if is_of_gate and len(lacking) > MOST_LACKING * judged:
        raise BadRequest(
            f"{file!r} lacks {len(lacking):,} of the {judged:,} judged queries of {labelled.name!r}, such as "
            f"{_some(lacking)}, and a gate would count each as 0; name whole rankings, and where nothing was found for "
            f"a query say so with the line: {lacking[0]} Q0 {NOTHING} 1 0 tag"
        )


def check_systems(answered: Mapping[str, ByQuery], labelled: Labelled) -> None:
    """Of what was answered to judged queries.

    A set without texts knows only what it judges: who finds nothing of that may be bad, and of this set all the same.
    So there it is refused where no other system finds anything of it either.

    Args:
        answered: by the names of systems.
    Raises:
        BadRequest: a system has documents, and the set knows none of them.
    """
    known = _known(labelled)
    if labelled.documents or not any(one in known for rankings in answered.values() for one in _found(rankings)):
        for name, rankings in answered.items():
            _check_found(f"system {name!r}", rankings, labelled)


def _check_found(who: str, rankings: ByQuery, labelled: Labelled) -> None:
    """
    Args:
        who: answered, for messages.
    """
    known, found = _known(labelled), _found(rankings)
    if found and not any(document in known for document in found):
        raise BadRequest(
            f"{labelled.name!r} knows none of the {len(found):,} documents that {who} gives: there they are "
            f"{_some(known)}, here {_some(found)}; name what was made of this set"
        )


def _known(labelled: Labelled) -> Collection[str]:
    """Documents; of a set without texts those that it judges, in their order."""
    return labelled.documents or dict.fromkeys(one for grades in labelled.qrels.values() for one in grades)


def _found(rankings: ByQuery) -> Collection[str]:
    """Documents, each once."""
    return dict.fromkeys(hit.document for hits in rankings.values() for hit in hits)


def _some(ids: Iterable[str]) -> str:
    """The first few, for people."""
    first = list(islice(ids, SHOWN + 1))
    return f"{', '.join(map(repr, first[:SHOWN]))}{', …' if len(first) > SHOWN else ''}"
