"""Ids of points become bytes that sort as ids do, and back: numbers first, then UUIDs."""

from uuid import UUID

from embedstack.databases.database import PointId, point_id
from embedstack.databases.embedded.damage import damaged

NUMBER, UUID_ = b"\0", b"\1"  # in front of 8 bytes, big end first, and of 16


def key_of(given: PointId) -> bytes:
    """9 or 17 bytes.

    Raises:
        BadRequest: it is no id.
    """
    found = point_id(given)
    if isinstance(found, int):
        return NUMBER + found.to_bytes(8, "big")
    return UUID_ + bytes.fromhex(found.replace("-", ""))


def id_of(key: bytes) -> PointId:
    """What `key_of` was given.

    Raises:
        ConfigError: it gives no such bytes.
    """
    if (key[:1], len(key)) not in ((NUMBER, 9), (UUID_, 17)):
        raise damaged(f"{key!r} is the id of no point")
    return int.from_bytes(key[1:], "big") if key[:1] == NUMBER else str(UUID(bytes=key[1:]))
