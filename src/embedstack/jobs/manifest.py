"""The commits of all shards in order -> the manifest of the table. Pure."""

from collections import Counter
from collections.abc import Iterable

from embedstack.jobs.commit import Commit, Manifest, Part
from embedstack.jobs.digests import of_shards
from embedstack.jobs.plan import Plan

ADDED = ("docs", "docs_out", "docs_dead", "rows", "tokens", "reused")


def manifest_of(plan: Plan, commits: Iterable[Commit], deleted: str = "", deleted_sha256: str = "") -> Manifest:
    """What readers go by.

    Args:
        commits: of all shards, by number.
        deleted: key of the list of chunks that are gone since the job before.
    """
    sums: Counter[str] = Counter()
    parts: list[Part] = []
    dead: list[str] = []
    rows_digests: list[str] = []
    vectors_digests: list[str] = []
    for commit in commits:
        sums.update({name: getattr(commit, name) for name in ADDED})
        parts += parts_of([commit])
        dead += [commit.dead] if commit.dead else []
        rows_digests.append(commit.rows_digest)
        vectors_digests.append(commit.vectors_digest)
    return Manifest(
        plan=plan.digest,
        identity=plan.identity,
        parts=tuple(parts),
        dead=tuple(dead),
        rows_digest=of_shards(rows_digests),
        vectors_digest=of_shards(vectors_digests),
        deleted=deleted,
        deleted_sha256=deleted_sha256,
        docs=sums["docs"],
        docs_out=sums["docs_out"],
        docs_dead=sums["docs_dead"],
        rows=sums["rows"],
        tokens=sums["tokens"],
        reused=sums["reused"],
    )


def parts_of(commits: Iterable[Commit]) -> list[Part]:
    """The files of those that have rows."""
    return [Part(one.part, one.rows, one.part_bytes, one.part_sha256) for one in commits if one.part]
