"""A file's name and the form that was asked for -> what its bytes are, and how they are packed."""

from collections.abc import Mapping
from pathlib import PurePosixPath

from embedstack.documents.document import Form, Packed

ENDINGS: Mapping[str, Form] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
    ".text": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
PACKINGS: Mapping[str, Packed] = {".gz": "gz", ".zst": "zst"}
WHOLE: frozenset[Form] = frozenset({"markdown", "text", "html"})  # a file is one document
LONGEST_ENDING = 12  # what is longer is a name with a dot in it


def form_of(key: str, form: Form | None) -> tuple[Form, Packed] | None:
    """What the file is; None where its ending says nothing to us.

    Args:
        form: of all files, whatever their names; only the packing is then told by the ending.
    """
    path = PurePosixPath(key.lower())
    packed = PACKINGS.get(path.suffix, "")
    found = form or ENDINGS.get(path.with_suffix("").suffix if packed else path.suffix)
    if found is None or (found == "parquet" and packed):  # its end is read first, which a packed stream has last
        return None
    return found, packed


def ending_of(key: str) -> str:
    """What to count a file under that is left out."""
    suffix = PurePosixPath(key.lower()).suffix
    return suffix if 0 < len(suffix) <= LONGEST_ENDING else "(none)"


def all_endings() -> str:
    """For messages."""
    return " ".join(ENDINGS) + ", each also with .gz or .zst"
