"""A collection as a user writes it in one word, `DATABASE#COLLECTION/VECTOR` -> its parts. Pure."""

import re
from dataclasses import dataclass, field, replace

from embedstack.errors import BadRequest

WRITTEN = re.compile(r"(.+)#([^#/]+)(?:/([^#/]+))?", re.DOTALL)
FORM = "DATABASE#COLLECTION or DATABASE#COLLECTION/VECTOR"


@dataclass(frozen=True, slots=True)
class CollectionAddress:
    """A collection of a database."""

    database: str = field(repr=False)  # as `open_database` takes it; it may hold a password
    collection: str  # or an alias of the database
    vector: str = ""  # as a user calls it; "" if none is named


def parse_address(text: str) -> CollectionAddress | None:
    """The last "#" divides; None if the text is not of this form."""
    found = WRITTEN.fullmatch(text)
    if found is None or not found[1].strip() or not found[2].strip():
        return None
    return CollectionAddress(found[1].strip(), found[2].strip(), (found[3] or "").strip())


def with_vector(there: CollectionAddress, vector: str) -> CollectionAddress:
    """The same, with a vector that was named apart from it.

    Raises:
        BadRequest: another one is named in it.
    """
    if vector and there.vector not in ("", vector):
        raise BadRequest(
            f"--vector {vector!r} is another than {there.vector!r} behind the collection; name one of them"
        )
    return replace(there, vector=vector or there.vector)
