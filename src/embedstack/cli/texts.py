"""Arguments, files and stdin become texts, a few at a time."""

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO, TypeVar

from embedstack.errors import BadRequest, ConfigError

T = TypeVar("T")


def read_texts(given: tuple[str, ...], files: tuple[Path, ...], field: str) -> Iterator[str]:
    """Texts in order: arguments, then files, else the lines of stdin.

    A file's lines are texts, empty lines are skipped; in `.jsonl` each line is an object and `field` names its text.

    Raises:
        ConfigError: a file cannot be read. BadRequest: a line is not what it should be, or there is no text at all.
    """
    if not given and not files and sys.stdin.isatty():
        raise BadRequest("no text; give texts as arguments, --file, or on stdin")
    yield from given
    for path in files:
        try:
            with path.open(encoding="utf-8") as lines:
                yield from _from_lines(lines, str(path), field if path.suffix == ".jsonl" else None)
        except OSError as error:
            raise ConfigError(f"{str(path)!r} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise BadRequest(f"{str(path)!r} is not UTF-8 at byte {error.start}; convert it first") from error
    if not given and not files:
        yield from _from_lines(sys.stdin, "stdin", None)


def in_chunks(texts: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size`."""
    iterator = iter(texts)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _from_lines(lines: TextIO, source: str, field: str | None) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield line.rstrip("\r\n") if field is None else _text_of(line, f"{source} line {number}", field)


def _text_of(line: str, place: str, field: str) -> str:
    try:
        text = json.loads(line)[field]
    except (ValueError, TypeError, KeyError) as error:
        raise BadRequest(f"{place} is no JSON object with the field {field!r}; name it with --field") from error
    if not isinstance(text, str):
        raise BadRequest(f"{place} holds {type(text).__name__} in {field!r}, not a string")
    return text
