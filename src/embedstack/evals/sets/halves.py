"""A labelled set -> the half of its queries by which something is chosen, or the other, by which the choice is judged.

What was chosen by some queries looks better on them than it is on others.
"""

from dataclasses import replace
from hashlib import sha256
from typing import Literal

from embedstack.errors import BadRequest
from embedstack.evals.sets.digests import digest_of_labelled
from embedstack.evals.sets.labelled import Labelled

Half = Literal["tune", "judge"]


def half_of(labelled: Labelled, half: Half, seed: int) -> Labelled:
    """All of its documents, and about half of its queries.

    In which half a query is depends on its id and the seed alone, so it stays there when others are added.

    Raises:
        BadRequest: no query is in that half.
    """
    qrels = {query: grades for query, grades in labelled.qrels.items() if where(query, seed) == half}
    if not qrels:
        raise BadRequest(
            f"none of the {len(labelled.qrels)} judged queries of {labelled.name!r} is in the half {half!r} of seed "
            f"{seed}; write more of them, or leave the half out"
        )
    queries = {query: labelled.queries[query] for query in qrels if query in labelled.queries}
    note = f"the half {half!r} of the queries: {len(qrels)} of {len(labelled.qrels)}, by seed {seed}"
    return replace(
        labelled,
        digest=digest_of_labelled(labelled.documents, queries, qrels),
        queries=queries,
        qrels=qrels,
        notes=(*labelled.notes, note),
    )


def where(query: str, seed: int) -> Half:
    """The half of a query, by its id."""
    return "tune" if sha256(f"{seed} {query}".encode()).digest()[0] % 2 else "judge"
