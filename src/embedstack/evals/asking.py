"""A system and queries -> its rankings, which are looked at before anybody counts on them; errors name the system."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isfinite

from embedstack.errors import BadRequest, EmbedstackError
from embedstack.evals.systems.system import Asked, Ranked, Rankings, System


@contextmanager
def named(system: System) -> Iterator[None]:
    """Errors inside keep their class and what it carries, such as when to try again, and say whose they are."""
    try:
        yield
    except EmbedstackError as error:
        if f"system {system.name!r}" not in error.message:
            error.args = (f"system {system.name!r}: {error.message}",)
        raise


def answers(system: System, queries: Sequence[Asked], limit: int) -> Rankings:
    """What the system answers.

    Raises:
        BadRequest: a ranking that is none: too long, a document twice, a score that rises or is no number.
        What the system raises, which names it.
    """
    with named(system):
        rankings = system.search(queries, limit)
        if len(rankings.hits) != len(queries):
            raise BadRequest(f"it answers {len(rankings.hits)} of {len(queries)} queries; each needs a ranking")
        for query, hits in zip(queries, rankings.hits, strict=True):
            _check(query.id, hits, limit)
    return rankings


def _check(query: str, hits: Sequence[Ranked], limit: int) -> None:
    if len(hits) > limit:
        raise BadRequest(f"query {query!r} has {len(hits)} documents, and {limit} were asked for; give the best alone")
    seen: set[str] = set()
    last = float("inf")
    for rank, (document, score) in enumerate(hits, 1):
        if document in seen:
            raise BadRequest(f"query {query!r} has document {document!r} twice; leave the second one out")
        if not isfinite(score):
            raise BadRequest(f"query {query!r} gives document {document!r} the score {score!r}, which is no number")
        if score > last:
            raise BadRequest(
                f"query {query!r} has document {document!r} with score {score!r} at rank {rank}, below {last!r}; "
                "a ranking begins with its best"
            )
        seen.add(document)
        last = score
