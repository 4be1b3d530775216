"""Arguments, files and stdin become texts, a few at a time."""

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, TypeVar

from embedstack.errors import BadRequest, ConfigError

T = TypeVar("T")
FIELD = "text"


def read_texts(given: tuple[str, ...], files: tuple[Path, ...], field: str | None = None) -> Iterator[str]:
    """Texts in order: arguments, then files, else stdin. What is wrong at the beginning is told at once.

    Lines are texts, and empty ones are skipped. In JSON lines each line is an object and a field of it is the text.

    Args:
        field: where the text is in JSON lines. With it everything read is JSON lines, without it `.jsonl` files only.
    Raises:
        ConfigError: a file cannot be read. BadRequest: a line is not what it should be, or there is no text at all.
    """
    if not given and not files and sys.stdin.isatty():
        raise BadRequest("no text; give texts as arguments, with --file, or on stdin")
    for path in files:
        if not path.exists() or path.is_dir():
            raise ConfigError(f"{str(path)!r} {'is a folder' if path.is_dir() else 'is not there'}; give a text file")
    read = [_from_file(path, field) for path in files]
    texts = chain(given, *read) if given or files else _from_lines(sys.stdin.buffer, "stdin", field)
    first = next(texts, None)
    if first is None:
        raise BadRequest("no text; the input was empty")
    return chain([first], texts)


def in_chunks(things: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size`."""
    iterator = iter(things)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _from_file(path: Path, field: str | None) -> Iterator[str]:
    try:
        with path.open("rb") as lines:
            yield from _from_lines(lines, str(path), field or (FIELD if path.suffix == ".jsonl" else None))
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be read: {error.strerror}") from error


def _from_lines(lines: BinaryIO, source: str, field: str | None) -> Iterator[str]:
    for number, raw in enumerate(lines, 1):
        line = _decoded(raw, f"{source} line {number}", "utf-8-sig" if number == 1 else "utf-8")
        if line.strip():
            yield line.rstrip("\r\n") if field is None else _text_of(line, f"{source} line {number}", field)


def _decoded(raw: bytes, place: str, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadRequest(f"{place} is not UTF-8 at byte {error.start + 1}; convert it first") from error


def _text_of(line: str, place: str, field: str) -> str:
    try:
        text = json.loads(line)[field]
    except (ValueError, TypeError, KeyError) as error:
        raise BadRequest(f"{place} is no JSON object with the field {field!r}; name it with --field") from error
    if not isinstance(text, str):
        raise BadRequest(f"{place} holds {type(text).__name__} in {field!r}, not a string; name another with --field")
    return text
