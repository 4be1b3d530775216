"""A database becomes a list of broken promises: what every database must do."""

from collections.abc import Callable
from uuid import uuid4

from embedstack.databases.database import Database
from embedstack.testing import (
    check_collections,
    check_conditions,
    check_fusing,
    check_marks,
    check_points,
    check_queries,
)
from embedstack.testing.promises import Trial, broken_promises


def check_database(
    database: Database, *, together: bool = True, reopen: Callable[[], Database] | None = None
) -> list[str]:
    """Make collections, write, read, ask and drop; what it made is gone at the end. An empty list is a pass.

    What a database may lack is asked of it: sparse and multi vectors, and quantization, may be Unsupported.

    Args:
        database: other collections may be in it, and stay as they are.
        together: also let several threads make, sign and write one thing at the same instant: not of a database whose
            `sign` compares as well as it can, and may let two through.
        reopen: gives another handle on the same data, beside this one; it is closed here.
    """
    trial = Trial(database, f"check-{uuid4().hex[:8]}", reopen)
    parts = [*check_collections.PARTS, *check_marks.PARTS, *check_points.PARTS, *check_queries.PARTS]
    parts += [*check_conditions.PARTS, *check_fusing.PARTS]
    if together:
        parts += [*check_collections.TOGETHER, *check_marks.TOGETHER, *check_points.TOGETHER]
    return broken_promises(trial, parts)
