"""Texts, rows and files become digests: equal exactly when what they were made of is."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

BLOCK = 1 << 20  # bytes that are read at a time


@dataclass(frozen=True, slots=True)
class Written:
    """What a commit says of a file."""

    bytes: int
    sha256: str


def written(path: Path) -> Written:
    """Of a file that is whole."""
    return Written(path.stat().st_size, of_file(path))


def content_hash(text: str, role: str) -> str:
    """Of what one model makes a vector of: 32 hexadecimal digits."""
    return hashlib.sha256(f"{role}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def of_fields(rows: Iterable[tuple[str, ...]]) -> str:
    """Of rows of texts, in order. Each text's length stands before it, so no two lists of rows have the same bytes."""
    digest = hashlib.sha256()
    add_fields(digest, rows)
    return digest.hexdigest()


def add_fields(digest: "hashlib._Hash", rows: Iterable[tuple[str, ...]]) -> None:
    """More rows, as `of_fields` takes them."""
    for row in rows:
        for field in row:
            data = field.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(data))
            digest.update(data)


def of_shards(digests: Iterable[str]) -> str:
    """Of a whole table, from those of its shards in order; shards without rows have a digest, too."""
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def of_file(file: Path | BinaryIO) -> str:
    """Of all bytes; an open file is read from where it stands to its end."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return of_file(opened)
    digest = hashlib.sha256()
    while block := file.read(BLOCK):
        digest.update(block)
    return digest.hexdigest()
