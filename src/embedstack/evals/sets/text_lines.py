"""A file of text -> its lines with their numbers: UTF-8 with or without a byte order mark, plain or packed."""

from collections.abc import Iterator
from pathlib import Path

from embedstack.documents.compressed import unpacked
from embedstack.documents.document import Packed
from embedstack.errors import ConfigError

BOM = b"\xef\xbb\xbf"


class NotText(ConfigError):
    """Bytes that are no UTF-8."""


def lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Number, from 1, and text without its \n or \r\n, one after the other; nothing of the file is kept.

    Raises:
        NotText: not UTF-8. ConfigError: it cannot be read, or its archive is torn.
    """
    try:
        with unpacked(path.open("rb"), _packed(path), str(path)) as file:
            for number, line in enumerate(file, 1):
                yield number, _text(line.removeprefix(BOM) if number == 1 else line, number, path)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ConfigError(f"{str(path)!r} cannot be read: {why}; name a file that can be read") from error


def filled(path: Path) -> Iterator[tuple[int, str]]:
    """The same without empty lines."""
    return ((number, line) for number, line in lines(path) if line and not line.isspace())


def _packed(path: Path) -> Packed:
    match path.suffix:
        case ".gz":
            return "gz"
        case ".zst":
            return "zst"
        case _:
            return ""


def _text(line: bytes, number: int, path: Path) -> str:
    try:
        return line.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise NotText(
            f"line {number} of {str(path)!r} is not UTF-8 at its byte {error.start} "
            f"(0x{line[error.start]:02x}); save the file as UTF-8"
        ) from error
