"""Whose vectors a field holds, and the mark of the last load, become a collection's metadata in Qdrant, and back.

Each is a key of its own: Qdrant merges metadata by its top keys, so writing one leaves the others alone.
https://github.com/qdrant/qdrant/pull/7123
"""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from embedstack.databases.database import Loaded
from embedstack.errors import Mismatch
from embedstack.origin import Origin

ORIGIN = "embedstack.origin."  # and the field's name
LOADED = "embedstack.load"
Kept = TypeVar("Kept", Origin, Loaded)


def signed(origins: Mapping[str, Origin]) -> dict[str, object]:
    """By field; metadata."""
    return {f"{ORIGIN}{field}": msgspec.to_builtins(origin) for field, origin in origins.items()}


def marked(loaded: Loaded | None) -> dict[str, object]:
    """None takes the key away."""
    return {LOADED: msgspec.to_builtins(loaded)}


def origin_of(metadata: Mapping[str, object], field: str, collection: str) -> Origin | None:
    """Raises Mismatch: it is there and cannot be read."""
    return _read(metadata, f"{ORIGIN}{field}", Origin, collection)


def loaded_of(metadata: Mapping[str, object], collection: str) -> Loaded | None:
    """Raises Mismatch: it is there and cannot be read."""
    return _read(metadata, LOADED, Loaded, collection)


def _read(metadata: Mapping[str, object], key: str, kind: type[Kept], collection: str) -> Kept | None:
    """Local mode of early clients keeps the null that should take a key away."""
    if metadata.get(key) is None:
        return None
    try:
        return msgspec.convert(metadata[key], kind)
    except msgspec.ValidationError as error:
        raise Mismatch(
            f"{key!r} in the metadata of collection {collection!r} cannot be read ({error}); "
            "a later version may have written it: update, or use another collection"
        ) from error
