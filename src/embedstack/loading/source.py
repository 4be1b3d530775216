"""What is loaded: rows of vectors in an order that stays, with whose they are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from embedstack.databases.database import Distance, Field, PointId, Points, Storing
from embedstack.errors import BadRequest

DENSE, SPARSE = "", "sparse"  # the names of fields where nobody chose others


class BadRow(BadRequest):
    """A row that cannot be loaded; the message names the file and its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """What is made of the rows. Part of a source's digest, so that another wish starts from the beginning."""

    vector: str = DENSE  # the field that dense vectors go to
    sparse: str | None = SPARSE  # that sparse ones go to; None leaves them out
    distance: Distance = "cosine"
    storing: Storing = "float32"
    text_key: str = "text"  # in the payload
    is_flat: bool = False  # the keys of the metadata stand at the top of the payload


class Source(Protocol):
    """Rows that can be read again from any place."""

    label: str  # for people, without secrets
    digest: str  # of what is read and how: 64 hexadecimal digits
    total: int | None  # rows, where that is known before they are read
    fields: Mapping[str, Field]  # by the names that `How` chose, with origins
    plan: str  # digest of the job's plan; "" where it is no job's table
    previous: str | None  # digest of the plan that the list of deletions is against; "" where that cannot be read
    notes: Sequence[str]  # what a user should be told before anything is written

    def batches(self, start: int, size: int) -> Iterator[Points]:
        """The rows behind the first `start`, so many at a time; the last batch may be smaller.

        Raises:
            BadRow: a vector that is not finite or all zeros, an id twice in one batch, a row that cannot be read.
            Mismatch: a file is not as it was when the source was opened.
        """
        ...

    def ids(self) -> Iterator[Sequence[PointId]]:
        """Of all rows, in order, some at a time."""
        ...

    def gone(self) -> Iterator[Sequence[PointId]]:
        """What is to be deleted after all rows are written; nothing where `previous` is None."""
        ...

    def close(self) -> None:
        """Give back files and models; twice is once."""
        ...
