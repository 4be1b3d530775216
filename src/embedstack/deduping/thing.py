"""The nouns of looking for duplicates: a thing that was read, what was left out, and what was found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from embedstack.search.keeping import Duplicate, Item
from embedstack.types import Floats, Image

Type = Literal["image", "text", "vectors"]
"""Things of one type are compared with each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How sources are read."""

    text_field: str = "text"  # of rows: in files what is read, beside vectors what tells which are quite the same
    is_by_line: bool = False  # each line of a text file is a thing, in place of the file
    vector: str = ""  # which field of a collection with several kinds of vectors
    api_key: str = field(default="", repr=False)  # of Qdrant
    max_image_bytes: int = 10 << 20
    max_image_pixels: int = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One that was read."""

    item: Item
    type: Type
    key: str = ""  # equal where the content is; "": nobody can tell
    content: str | Image | Floats | None = None  # what a model reads, or a vector (dim,); None: there is neither
    problem: str = ""  # why not


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What no vector was made of. A file is still compared by its bytes."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One that is kept, with what need not be."""

    type: Type
    cluster: int  # groups of one number belong together through what is near to several of them
    keep: Item
    duplicates: tuple[tuple[Item, Duplicate], ...]
    nearest: tuple[Item, ...]  # of each duplicate the one that it is most like
    also_kept: tuple[Item, ...]

    @property
    def saved_bytes(self) -> int:
        """Without the duplicates."""
        return sum(item.size_bytes for item, _ in self.duplicates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """By which model the vectors of a type were made, as far as that is known."""

    model: str
    space: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that was found, and all that was not looked at."""

    threshold: float
    is_exact: bool  # nothing was compared but whether it is equal
    items: Mapping[Type, int]
    models: Mapping[Type, Made]
    groups: Sequence[Found]
    left_out: Sequence[LeftOut]
    skipped: Mapping[str, int]  # files that nobody looked at, by ending, links and hidden ones among them

    @property
    def saved_bytes(self) -> int:
        """Without all duplicates."""
        return sum(group.saved_bytes for group in self.groups)
