"""Vectors of some rows -> the first that no database can take, and why. Pure."""

from collections.abc import Sequence

import numpy as np

from embedstack.databases.database import Storing
from embedstack.types import Floats, Sparse


def first_fault(rows: Floats, storing: Storing) -> tuple[int, str] | None:
    """The number of the row, and what is wrong with it as it will be stored.

    Args:
        rows: (rows, dim), in float32, where too large numbers and nulls are no longer finite.
    """
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is found
        kept = rows.astype(storing, copy=False)
    unsound = ~np.isfinite(kept).all(axis=1)
    wrong = np.flatnonzero(unsound | ~kept.any(axis=1))
    if not len(wrong):
        return None
    row = int(wrong[0])
    what = "has a number that is not finite" if unsound[row] else "is all zeros, so it has no direction,"
    return row, f"{what} as {storing}"


def first_sparse_fault(rows: Sequence[Sparse]) -> tuple[int, str] | None:
    """As `first_fault`; one without any term is sound."""
    for number, row in enumerate(rows):
        if not np.isfinite(row.weights).all():
            return number, "has a weight that is not finite"
        if len(row.ids) and (row.ids[0] < 0 or not (np.diff(row.ids) > 0).all()):
            return number, "has terms that do not rise from 0"
    return None
