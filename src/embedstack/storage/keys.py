"""A key becomes itself or an error: keys name what is below a storage's URL and nothing outside."""

from embedstack.errors import BadRequest


def checked(key: str) -> str:
    """The key.

    Raises:
        BadRequest: it is empty, absolute, climbs out with `..`, has an empty part or is not Unicode.
    """
    if any(part in ("", ".", "..") for part in key.split("/")) or "\0" in key:
        raise BadRequest(f"key {key!r} is not parts joined by single '/'; give one like 'data/part-000001.parquet'")
    if not _is_unicode(key):
        raise BadRequest(f"key {key!r} is not Unicode; give one that is")
    return key


def folder_of(prefix: str) -> str:
    """The folder that holds all keys which begin with `prefix`, without a / at its end; "" for the storage itself.

    Raises:
        BadRequest: no key can begin so.
    """
    folder = prefix.rpartition("/")[0]
    return checked(folder) if folder or prefix.startswith("/") else ""


def _is_unicode(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True
