"""A payload's key, nested ones with dots, becomes Qdrant's JSON path, and back."""

import re

from embedstack.errors import BadRequest

PLAIN = re.compile(r"[A-Za-z0-9_-]+")
# https://github.com/qdrant/qdrant/blob/74f3e85b9473c62560006c043e13737ce6b48412/lib/segment/src/json_path/parse.rs
PART = re.compile(r'(?:^|\.)(?:"([^"\\]*)"|([^."\\\[\]]+))')


def path_of(key: str) -> str:
    """Raises BadRequest: a quotation mark or a backslash, which no path can have."""
    if '"' in key or "\\" in key:
        raise BadRequest(f"Qdrant cannot look for the payload key {key!r}; take one without '\"' and '\\'")
    return ".".join(part if PLAIN.fullmatch(part) else f'"{part}"' for part in key.split("."))


def key_of(path: str) -> str:
    """The path itself where no key is written so: parts of lists, or names with dots in them."""
    parts, at = [], 0
    while found := PART.match(path, at):
        parts.append(found[2] if found[1] is None else found[1])
        at = found.end()
    if not parts or at < len(path) or any("." in part for part in parts):
        return path
    return ".".join(parts)
