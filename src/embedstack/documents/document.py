"""The nouns of reading: a document, what could not become one, and where in which file a run of them stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import msgspec

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
Kind = Literal["markdown", "text"]
"""Whether the text's headings, lists and fences mean something. HTML becomes Markdown."""
Form = Literal["markdown", "text", "html", "jsonl", "csv", "parquet"]
Packed = Literal["", "gz", "zst"]


@dataclass(frozen=True, slots=True)
class Document:
    """One text with what is known about it."""

    doc_id: str
    text: str
    kind: Kind = "text"
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What stands where a document should be; it goes to the dead letters."""

    doc_id: str
    code: str  # bad_utf8, too_large, bad_json, no_text, bad_front_matter, ...: a closed list in `reading.py`
    message: str  # a sentence, without the content


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """A run of documents in one file."""

    key: str
    size: int  # of the whole file
    version: str  # of the whole file, as the listing said
    docs: int  # how many
    first: int = 0  # the number of the first one in the file
    start: int = 0  # JSON lines, CSV: the byte where it begins, after unpacking
    stop: int = 0  # the byte after the last; 0: to the end of the file


class Reading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How files become documents; part of a plan, so of its digest."""

    form: Form | None = None  # of all files; None: by the ending of each
    text_field: str = "text"  # JSON lines, CSV, Parquet
    id_field: str = ""  # "": KEY#doc_id=... or KEY#id=... if a row has such a field, else KEY#ROW
    max_document_bytes: int = 16 << 20  # what is larger is a dead letter and never in memory
    version: int = 1  # of this package's readers: raised where the same bytes become another text


class Unfit(ValueError):
    """What stands in a file cannot become a document. It never leaves this room: an `Unreadable` is made of it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message  # a sentence, without the content
