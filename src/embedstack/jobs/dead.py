"""Documents that could not be done become lines of JSON, and are read again; never with their content."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from embedstack.errors import Mismatch
from embedstack.jobs.digests import Written, written
from embedstack.jobs.scratch import unwritten

SKIPPED = frozenset({"empty", "index_page"})
"""Codes of documents that are left out on purpose: they do not count against the error budget."""
DUPLICATE = "duplicate_id"
"""Of a document whose id another one of its shard had first. That one has rows, or a letter with a code of its own."""


class Letter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a document has no rows."""

    doc_id: str
    source: str  # key of the file
    place: int  # of the document in its file
    code: str
    message: str
    skipped: bool = False  # on purpose
    shard: int


def letter(doc_id: str, source: str, place: int, code: str, message: str, shard: int) -> Letter:
    """With the code's rule of what counts as skipped."""
    return Letter(
        doc_id=doc_id,
        source=source,
        place=place,
        code=code,
        message=message,
        skipped=code in SKIPPED,
        shard=shard,
    )


def write_dead(path: Path, letters: Iterable[Letter]) -> Written:
    """A line for each, in their order.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        path.write_bytes(msgspec.json.Encoder().encode_lines(list(letters)))
        return written(path)
    except OSError as error:
        raise unwritten(path, error) from error


def read_dead(data: bytes, key: str) -> Sequence[Letter]:
    """The letters of one file.

    Raises:
        Mismatch: these are no dead letters.
    """
    try:
        return msgspec.json.Decoder(Letter).decode_lines(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # torn, not JSON, or of other fields
        raise Mismatch(f"{key!r} holds no dead letters: {error}; run: embedstack job verify --repair") from error
