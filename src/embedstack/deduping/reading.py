"""A file -> the things in it: a picture, a document, or one for each of its rows or lines."""

import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from embedstack.deduping.files import File
from embedstack.deduping.thing import How, Thing, Type
from embedstack.documents.compressed import Torn, unpacked
from embedstack.documents.document import Document, Form, Packed, Reading, Unreadable
from embedstack.documents.forms import WHOLE, form_of
from embedstack.documents.reading import Reader, scan
from embedstack.documents.source import open_source
from embedstack.documents.whole import whole_document
from embedstack.errors import BadRequest, ConfigError, EmbedstackError, TooLong
from embedstack.inputs.picture import check_picture
from embedstack.search.keeping import Item
from embedstack.types import Image

BLOCK = 1 << 20  # bytes read at a time
ROWS_AT_ONCE = 1000


def things_of(file: File, how: How) -> Iterator[Thing]:
    """All of them, one at a time; one that cannot be read has a problem instead of content.

    Raises:
        ConfigError: a package is missing.
    """
    try:
        yield from _things(file, how)
    except OSError as error:
        yield _broken(file, error.strerror or str(error))
    except EmbedstackError as error:
        if isinstance(error.__cause__, ImportError):
            raise
        yield _broken(file, error.message)


def shown(path: Path) -> str:
    """As the file is called from now on: no command takes it for a flag."""
    name = str(path)
    return f".{os.sep}{name}" if name.startswith("-") else name


def text_key(text: str) -> str:
    """Equal for equal texts."""
    return f"text:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _things(file: File, how: How) -> Iterator[Thing]:
    found = None if file.is_picture else form_of(file.path.name, None)
    match found:
        case None:
            yield _picture(file.path, how)
        case "text", packed if how.is_by_line:
            yield from _lines(file.path, packed)
        case form, packed if form in WHOLE:
            yield _document(file.path, form, packed)
        case _:
            yield from _rows(file.path, Reading(text_field=how.text_field))


def _broken(file: File, reason: str) -> Thing:
    kind: Type = "image" if file.is_picture else "text"
    return Thing(item=Item(name=shown(file.path)), type=kind, problem=f"it cannot be read: {reason}")


# ------------------------------------------------------------------------------------------------ a file is a thing


def _picture(path: Path, how: How) -> Thing:
    digest, data, item = _opened(path, how.max_image_bytes)
    try:
        if data is None:
            raise TooLong(f"it has {item.size_bytes} bytes, the limit is {how.max_image_bytes}; raise --max-image-mb")
        limit = how.max_image_pixels
        _, width, height = check_picture(data, max_bytes=how.max_image_bytes, max_pixels=limit, what="it")
    except BadRequest as error:
        return Thing(item=item, type="image", key=digest, problem=error.message)
    return Thing(item=replace(item, pixels=width * height), type="image", key=digest, content=Image(data))


def _document(path: Path, form: Form, packed: Packed) -> Thing:
    most = Reading().max_document_bytes
    digest, data, item = _opened(path, most)
    try:
        text = b"" if data is None else _unpacked(data, packed, path.name, most)
    except Torn as error:
        return Thing(item=item, type="text", key=digest, problem=error.message)
    if data is None or len(text) > most:
        return Thing(item=item, type="text", key=digest, problem=f"it is larger than {most} bytes; split it")
    as_form: Form = "text" if form == "markdown" else form  # its front matter would be lost, too
    return _of(item, whole_document(text, path.name, as_form), digest)


def _of(item: Item, read: Document | Unreadable, digest: str = "") -> Thing:
    if isinstance(read, Unreadable):
        return Thing(item=item, type="text", key=digest, problem=read.message)
    item = replace(item, characters=len(read.text))
    return Thing(item=item, type="text", key=text_key(read.text), content=read.text)


def _opened(path: Path, most: int) -> tuple[str, bytes | None, Item]:
    """Its digest; its bytes, if they are not more than `most`; and what the rules ask."""
    sha256, blocks = hashlib.sha256(), list[bytes]()
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        while block := file.read(BLOCK):
            sha256.update(block)
            if file.tell() <= most:
                blocks.append(block)
        is_whole = file.tell() <= most
    digest = sha256.hexdigest()
    item = Item(name=shown(path), digest=digest, size_bytes=status.st_size, modified_s=status.st_mtime)
    return f"bytes:{digest}", b"".join(blocks) if is_whole else None, item


def _unpacked(data: bytes, packed: Packed, name: str, most: int) -> bytes:
    with unpacked(io.BytesIO(data), packed, name) as file:
        return file.read(most + 1)


# ------------------------------------------------------------------------------------------------ it has many


def _rows(path: Path, reading: Reading) -> Iterator[Thing]:
    source = open_source([path], reading)
    with Reader(source, reading) as reader:
        for entry in source.entries():
            for segment in scan(source, entry, reading, ROWS_AT_ONCE):
                for read in reader.read(segment):
                    yield _row(f"{shown(path)}{read.doc_id.removeprefix(path.name)}", read)


def _lines(path: Path, packed: Packed) -> Iterator[Thing]:
    most = Reading().max_document_bytes
    with unpacked(path.open("rb"), packed, path.name) as file:
        number = 0
        while line := file.readline(most + 1):
            number += 1
            if len(line) > most:
                raise ConfigError(f"line {number} is longer than {most} bytes; split it")
            read = whole_document(line.rstrip(b"\r\n"), path.name, "text")
            if not (isinstance(read, Unreadable) and read.code == "empty"):
                yield _row(f"{shown(path)}:{number}", read)


def _row(name: str, read: Document | Unreadable) -> Thing:
    size = 0 if isinstance(read, Unreadable) else len(read.text.encode("utf-8", "surrogatepass"))
    return _of(Item(name=name, size_bytes=size), read)
