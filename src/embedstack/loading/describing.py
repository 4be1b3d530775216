"""What was found and what is made of it -> the digest of a source, and the fields that its rows have. Pure."""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict

import msgspec
from msgspec.structs import replace

from embedstack.databases.database import Field
from embedstack.errors import BadRequest
from embedstack.jobs.plan import Plan
from embedstack.loading.source import How
from embedstack.origin import Origin

RULES = 1  # raised where the same files become other points
Part = tuple[str, int, str]
"""Key, bytes, and what changes with the content: a digest or a version."""


def digest_of(kind: str, parts: Iterable[Part], how: How) -> str:
    """64 hexadecimal digits, equal exactly where the same rows are loaded in the same way."""
    said = {"rules": RULES, "kind": kind, "parts": list(parts), "how": asdict(how)}
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()


def fields_of(how: How, origin: Origin, *, has_sparse: bool) -> dict[str, Field]:
    """By the names that they get. Probes are of dense vectors, so those of sparse ones have none."""
    made = {
        how.vector: Field(dim=origin.identity.dim, distance=how.distance, storing=how.storing, origin=origin),
    }
    if has_sparse and how.sparse is not None:
        made[how.sparse] = Field(kind="sparse", distance="dot", origin=replace(origin, probes=()))
    return made


def job_origin(plan: Plan) -> Origin:
    """Whose the vectors of a job's table are."""
    return Origin(
        identity=plan.identity, role=plan.wish.role, probes=plan.probes, late_chunking=plan.wish.late_chunking
    )


def check_names(how: How) -> None:
    """Raises: BadRequest: two kinds of vectors shall have one name."""
    if how.vector == how.sparse:
        raise BadRequest(f"dense and sparse vectors cannot both be called {how.vector!r}; name one otherwise")
