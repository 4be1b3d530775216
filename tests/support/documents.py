"""Files in a folder -> segments and documents, as a job would have them."""

from collections.abc import Mapping
from pathlib import Path

from embedstack.documents.document import Document, Reading, Segment, Unreadable
from embedstack.documents.reading import Reader, scan
from embedstack.documents.source import BY_ENDING, open_source


def write_files(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    """The folder, with files of these names in it."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def segments_of(folder: Path, reading: Reading = BY_ENDING, shard_docs: int = 1000) -> list[Segment]:
    source = open_source([str(folder)], reading)
    return [segment for entry in source.entries() for segment in scan(source, entry, reading, shard_docs)]


def read_folder(
    folder: Path, reading: Reading = BY_ENDING, shard_docs: int = 1000, *, backwards: bool = False
) -> list[Document | Unreadable]:
    """All of it, segment by segment, in the order of the plan."""
    segments = segments_of(folder, reading, shard_docs)
    with Reader(open_source([str(folder)], reading), reading) as reader:
        found = {segment: list(reader.read(segment)) for segment in (reversed(segments) if backwards else segments)}
    return [one for segment in segments for one in found[segment]]


def read_file(folder: Path, name: str, data: bytes | str, reading: Reading = BY_ENDING) -> list[Document | Unreadable]:
    """What one file of that name becomes."""
    return read_folder(write_files(folder, {name: data}), reading)


def codes(found: list[Document | Unreadable]) -> list[str]:
    """For each its code; "" for a document."""
    return [one.code if isinstance(one, Unreadable) else "" for one in found]


def texts(found: list[Document | Unreadable]) -> list[str]:
    """Of the documents."""
    return [one.text for one in found if isinstance(one, Document)]
