"""How a table is loaded, who is told how it goes, and what is said at the end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from embedstack.databases.database import Index, Quantization

PATIENCE_S = 300.0  # a database that restarts with large indexes takes minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a table is loaded, and what is done beside."""

    batch: int = 128  # rows that are written by one call
    streams: int = 2  # calls at a time
    patience_s: float = PATIENCE_S  # with a database that is away
    again: bool = False  # also what is there already
    prune: bool = False  # delete every point that the table has not
    keep_gone: bool = False  # delete nothing, whatever list the table has
    alias: str = ""  # stands for the collection afterwards
    claim: bool = False  # points that nobody has signed are of these vectors' space
    dry_run: bool = False  # only say what would be done
    indexes: Mapping[str, Index] = field(default_factory=dict)
    quantization: Quantization = "none"


class Progress(Protocol):
    """Who is told how it goes."""

    def rows(self, done: int, total: int | None) -> None:
        """So many rows of the table are there."""
        ...

    def note(self, text: str) -> None:
        """A line for people; comes from several threads."""
        ...

    def may_delete(self, count: int, name: str) -> bool:
        """Whether so many points of a collection may go."""
        ...


@dataclass(slots=True, kw_only=True)
class Summary:
    """What was done, and how the collection stands."""

    collection: str
    source: str = ""  # its label
    why: str = ""  # it began where it did; see `marks.Why`
    start: int = 0  # rows that were there before
    rows: int = 0  # of the table, from its beginning, that are there now
    written: int = 0  # of these by this load
    numbers: int = 0  # ids of rows that were read by this load and are numbers
    uuids: int = 0  # the others
    checked: int = 0  # rows that were read back
    deleted: int = 0  # points of the table's list of deletions, whether they were there or not
    pruned: int = 0
    points: int = 0  # of the whole collection
    alias: str = ""  # that stands for it
    is_whole: bool = False
    is_contested: bool = False  # something else was loaded meanwhile
    dry_run: bool = False
    stopped: int = 0  # number of the signal that ended it
    took_s: float = 0.0
