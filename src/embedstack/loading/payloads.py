"""Rows without their vectors -> payloads: the text under the key that was asked for, metadata below or on top. Pure."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

import orjson

from embedstack.databases.database import Json
from embedstack.errors import BadRequest
from embedstack.jobs.rows import Rows
from embedstack.loading.source import How
from embedstack.loading.text_keys import KEYS, TEXT

METADATA = "metadata"
OWN = ("doc_id", "chunk_id", "chunk_index", TEXT, "tokens", "content_hash", METADATA)  # of a job's row
Payload: TypeAlias = dict[str, Json]


def check_text_key(how: How, keys: Collection[str]) -> None:
    """The text may be called so beside these keys.

    Raises:
        BadRequest: another one is.
    """
    if not how.text_key:
        raise BadRequest("text key '' is empty; give one such as text, content or page_content")
    if how.text_key != TEXT and TEXT in keys and how.text_key in keys:
        raise BadRequest(f"text key {how.text_key!r} is another key of these rows, beside 'text'; take another")


def payload_of(row: Mapping[str, Json], how: How) -> Payload:
    """Of equal keys the row's own win over those of its metadata.

    Raises:
        BadRequest: the row has a text and also the key that it shall get.
    """
    check_text_key(how, row)
    above = row.get(METADATA) if how.is_flat else None
    made = dict(above) if isinstance(above, dict) else {}
    for key, value in row.items():
        if key == TEXT:
            made[how.text_key] = value
        elif key != METADATA or not isinstance(above, dict):
            made[key] = value
    return made


def job_payloads(rows: Rows, how: How) -> list[Payload]:
    """Of rows of a job's table.

    Raises:
        ValueError: metadata that is not JSON.
    """
    columns: dict[str, Sequence[Json]] = {
        "doc_id": rows.doc_ids,
        "chunk_id": rows.chunk_ids,
        "chunk_index": rows.indexes,
        **({} if rows.texts is None else {TEXT: rows.texts}),
        "tokens": rows.tokens,
        "content_hash": rows.content_hashes,
        METADATA: [orjson.loads(text) for text in rows.metadata],
    }
    each = zip(*columns.values(), strict=True)
    return [payload_of(dict(zip(columns, values, strict=True)), how) for values in each]


def texts_in(row: Mapping[str, object], how: How) -> dict[str, str]:
    """By key what a row's vector may be of, blank ones left out; where a key was named, that and `text` alone."""
    keys = KEYS if how.text_key == TEXT else (TEXT, how.text_key)
    found = ((key, row.get(key)) for key in keys)
    return {key: text for key, text in found if isinstance(text, str) and text and not text.isspace()}


def notes_of(how: How) -> list[str]:
    """What a user should know of payloads."""
    if not how.is_flat:
        return []
    return ["the keys of the metadata stand at the top of the payload; where the row has a key of that name, its wins"]
