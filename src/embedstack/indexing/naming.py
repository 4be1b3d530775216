"""The URLs of an input and of a database -> what the collection calls the input, so that it knows it again. Pure."""

import posixpath
from urllib.parse import unquote

FILE = "file://"


def source_of(input_url: str, database_url: str) -> str:
    """A path as seen from the folder that a folder's database lies in, so that both may move together; else the URL.

    Args:
        input_url, database_url: of folders and files as `Path.as_uri` has them, without links in them.
    """
    if not (input_url.startswith(FILE) and database_url.startswith(FILE)):
        return input_url
    above = posixpath.dirname(database_url.removeprefix(FILE).rstrip("/"))
    return unquote(posixpath.relpath(input_url.removeprefix(FILE), above or "/"))
