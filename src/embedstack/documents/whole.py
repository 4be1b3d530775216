"""The bytes of a file that is one document -> the document."""

import codecs
import re

from embedstack.documents.document import Document, Form, Json, Unfit, Unreadable
from embedstack.documents.front_matter import front_matter
from embedstack.documents.html import page

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# https://html.spec.whatwg.org/multipage/parsing.html#prescanning-a-byte-stream-to-determine-its-encoding
DECLARED = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([a-zA-Z0-9_:.-]{1,40})""", re.IGNORECASE)
# encodings that pages are written in; others of Python turn any bytes into something, and UTF-8 was tried before
OF_PAGES = ("cp", "iso8859", "koi8", "gb", "big5", "euc", "shift_jis", "mac-", "tis-620", "iso2022", "hz", "johab")
LOOKED_AT = 1024  # bytes, as browsers do
# https://encoding.spec.whatwg.org/#names-and-labels: what pages call so is the superset
AS_BROWSERS = {"iso-8859-1": "cp1252", "latin1": "cp1252", "ascii": "cp1252", "us-ascii": "cp1252", "gb2312": "gbk"}


def whole_document(data: bytes, key: str, form: Form) -> Document | Unreadable:
    """The document of a file; its id is the key.

    Args:
        form: markdown, text or html.
    """
    try:
        text, metadata = _read(data, form)
        if not text or text.isspace():
            raise Unfit("empty", "the file has no text")
    except Unfit as unfit:
        return Unreadable(key, unfit.code, unfit.message)
    return Document(key, text, "text" if form == "text" else "markdown", metadata)


def _read(data: bytes, form: Form) -> tuple[str, dict[str, Json]]:
    match form:
        case "markdown":
            metadata, text = front_matter(_decoded(data))
            return text, metadata
        case "text":
            return _decoded(data), {}
        case "html":
            return page(_decoded_page(data))
        case _:
            raise AssertionError(f"{form} files hold many documents")


def _decoded(data: bytes, encoding: str = "utf-8-sig") -> str:
    """With single newline characters, so that a text is the same whoever wrote it."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        hint = "; it begins as UTF-16 does" if data.startswith(UTF_16) else ""
        raise Unfit("bad_utf8", f"the file is not UTF-8 at byte {error.start}{hint}; convert it first") from error
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _decoded_page(data: bytes) -> str:
    """UTF-8 wherever it can be, since more pages say something else and are than the other way round."""
    try:
        return _decoded(data)
    except Unfit:
        declared = DECLARED.search(data[:LOOKED_AT])
        encoding = _known(declared.group(1).decode().lower()) if declared else ""
        if not encoding:
            raise
        return _decoded(data, encoding)


def _known(name: str) -> str:
    """Python's name of an encoding of text; "" if it has none."""
    try:
        found = codecs.lookup(AS_BROWSERS.get(name, name)).name
    except LookupError:
        return ""
    return found if found.startswith(OF_PAGES) else ""
