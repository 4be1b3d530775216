"""A row of names and values -> the document in it: text, id, and all other columns as metadata."""

from collections.abc import Mapping
from typing import cast

from embedstack.documents.document import Document, Json, Reading, Unfit, Unreadable

OWN_IDS = ("doc_id", "id")  # looked for in this order where no field was named; each file may count from 1
LONGEST_ID = 512  # characters; an id is in the table once for each chunk
NEXT_TO_ASCII = 4  # most bytes of a character in UTF-8


def place_id(key: str, number: int) -> str:
    """The id of a row that has none: the file and the row's number in it, counted from 0."""
    return f"{key}#{number}"


def row_document(row: Mapping[str, object], key: str, number: int, reading: Reading) -> Document | Unreadable:
    """The document of one row.

    Its id is what the field says that was named for it; an id that was not named gets its file and field in front, as
    another file may have the same one.
    """
    doc_id = place_id(key, number)
    try:
        doc_id, used = _id_of(row, doc_id, reading.id_field)
        text = _text_of(row, reading)
    except Unfit as unfit:
        return Unreadable(doc_id, unfit.code, unfit.message)
    metadata = {name: value for name, value in row.items() if name not in (reading.text_field, used)}
    return Document(doc_id, text, "text", cast("dict[str, Json]", metadata))


def too_large(what: str, reading: Reading) -> Unfit:
    """The error for what is over the limit."""
    return Unfit("too_large", f"{what} is larger than {reading.max_document_bytes} bytes; split it before the job")


def _id_of(row: Mapping[str, object], otherwise: str, field: str) -> tuple[str, str]:
    if field:
        if row.get(field) is None:
            raise Unfit("no_id", f"the row has no field {field!r}; name another with --id-field")
        return _as_id(row[field], field), field
    for name in OWN_IDS:
        value = row.get(name)
        if _may_be_id(value):
            return f"{otherwise.rpartition('#')[0]}#{name}={_as_id(value, name)}", name
    return otherwise, ""


def _may_be_id(value: object) -> bool:
    return (isinstance(value, str) and value != "") or (isinstance(value, int) and not isinstance(value, bool))


def _as_id(value: object, field: str) -> str:
    if not _may_be_id(value):
        raise Unfit(
            "bad_id", f"{field!r} of the row is {type(value).__name__}, or empty; an id is text or a whole number"
        )
    text = str(value)
    if len(text) > LONGEST_ID or "\0" in text:
        raise Unfit(
            "bad_id", f"{field!r} of the row has {len(text)} characters; an id has {LONGEST_ID} at most, none is NUL"
        )
    return text


def _text_of(row: Mapping[str, object], reading: Reading) -> str:
    field = reading.text_field
    if field not in row:
        raise Unfit("no_text", f"the row has no field {field!r}; name another with --text-field")
    text = row[field]
    if text is None:
        raise Unfit("empty", f"{field!r} of the row is empty")
    if not isinstance(text, str):
        raise Unfit(
            "no_text", f"{field!r} of the row is {type(text).__name__}, not text; name another with --text-field"
        )
    if not text or text.isspace():
        raise Unfit("empty", f"{field!r} of the row is empty")
    if _is_over(text, reading.max_document_bytes):
        raise too_large("the row's text", reading)
    return text


def _is_over(text: str, most: int) -> bool:
    if len(text) * NEXT_TO_ASCII <= most:  # encoding every text to count its bytes would cost as much as reading it
        return False
    return len(text.encode()) > most
