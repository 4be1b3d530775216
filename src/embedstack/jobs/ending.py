"""The manifest of a job, its mark of success and its list of deletions -> what of them is not as the commits say."""

from collections.abc import Iterator
from dataclasses import dataclass

from embedstack.jobs.commit import Manifest
from embedstack.jobs.deletions import DELETED
from embedstack.jobs.digests import of_file
from embedstack.jobs.layout import MANIFEST, SUCCESS
from embedstack.jobs.plan import Plan
from embedstack.jobs.rereading import Fault
from embedstack.storage.storage import Storage


@dataclass(frozen=True, slots=True)
class End:
    """What a job says of its end, and what its commits say."""

    made: Manifest  # of the commits that are there
    found: Manifest | None  # that is stored
    is_done: bool  # whether there is the mark of success
    committed: int  # shards


def end_faults(storage: Storage, plan: Plan, end: End, *, deep: bool) -> Iterator[Fault]:
    """The next run mends them all once there is no manifest any more.

    Args:
        deep: whether the list of deletions is read.
    """
    made, found = end.made, end.found
    if end.is_done != (found is not None):
        there, gone = (SUCCESS, MANIFEST) if end.is_done else (MANIFEST, SUCCESS)
        yield "unfinished", f"there is {there} and no {gone}"
    if found is None:
        return
    if end.committed < plan.shards:
        yield "unfinished", f"there is a manifest, and {end.committed} of {plan.shards} shards are committed"
    elif names := [name for name in made.__struct_fields__ if getattr(made, name) != getattr(found, name)]:
        yield "bad_manifest", f"{MANIFEST} differs from the commits in: {', '.join(names)}"
    yield from _deletion_faults(storage, plan, found, deep=deep)


def _deletion_faults(storage: Storage, plan: Plan, found: Manifest, *, deep: bool) -> Iterator[Fault]:
    """The list is there exactly where there was a finished job before."""
    wanted = DELETED if plan.lists_deleted else ""
    if found.deleted != wanted:
        yield "bad_deleted", f"{MANIFEST} names {found.deleted!r} as list of deletions, and it should be {wanted!r}"
    elif wanted and storage.entry(wanted) is None:
        yield "bad_deleted", f"{wanted} is missing"
    elif wanted and deep:
        with storage.open(wanted) as file:
            if of_file(file) != found.deleted_sha256:
                yield "bad_deleted", f"{wanted} is not what {MANIFEST} says of it"
