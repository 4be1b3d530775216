"""A path or a URL becomes a database: a folder here, Qdrant, or PostgreSQL with pgvector."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from embedstack.databases.database import Database
from embedstack.errors import ConfigError

URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)  # one letter is a drive of Windows
HOST_AND_PORT = re.compile(r"[\w.-]+:\d+")


@dataclass(frozen=True, slots=True)
class Kind:
    """How the databases of a scheme are opened."""

    begins: str  # of its URLs, as they are shown
    open: Callable[[str, str], Database]  # URL and key; imports what it needs
    extra: str = ""  # of `pip install 'embedstack[...]'`; "" where nothing more is needed


def open_database(url: str, *, api_key: str = "") -> Database:
    """The database behind a path or a URL; nothing is asked of it yet.

    Args:
        api_key: Qdrant's; the others take none.
    Raises:
        ConfigError: not such a URL, or a package that the database needs is not installed.
    """
    found = URL.fullmatch(url)
    if found is None:
        return _folder(_checked(url), api_key)
    scheme, rest = found[1].lower(), found[2]
    kind = SCHEMES.get(scheme)
    if kind is not None:
        return _opened(kind, scheme, rest, api_key)
    if rest.startswith("//"):
        raise ConfigError(f"a database cannot be at {scheme}://; give {shown()}")
    return _folder(_checked(url), api_key)


def shown() -> str:
    """What may be given, for messages."""
    *first, last = dict.fromkeys(kind.begins for kind in SCHEMES.values())
    return f"a path, {', '.join(first)} or {last}"


def _checked(path: str) -> str:
    if not path:
        raise ConfigError(f"no database was given; give {shown()}")
    if "#" in path and not Path(path).exists():
        raise ConfigError(f"{path!r} is a database and a collection; name the collection apart, with --collection")
    if HOST_AND_PORT.fullmatch(path):
        raise ConfigError(f"{path!r} is a host and a port; give http://{path} for Qdrant, ./{path} for a folder")
    return path


def _opened(kind: Kind, scheme: str, rest: str, api_key: str) -> Database:
    if kind.begins.endswith("//") and not rest.startswith("//"):
        raise ConfigError(f"a URL of {scheme} begins with {kind.begins}; give {shown()}")
    try:
        return kind.open(f"{scheme}:{rest}", api_key)
    except ImportError as error:
        if (error.name or "").startswith("embedstack"):
            raise
        raise ConfigError(
            f"a database at {kind.begins} needs packages that are not installed; "
            f"run: pip install 'embedstack[{kind.extra}]'"
        ) from error


def _folder(path: str, _: str) -> Database:
    from embedstack.databases.embedded.folder import EmbeddedDatabase

    return EmbeddedDatabase(Path(path))


def _file(url: str, api_key: str) -> Database:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/") or parts.query or parts.fragment:
        raise ConfigError("a file:// URL names a folder of this machine; give one like file:///data/vectors")
    return _folder(unquote(parts.path), api_key)


def _qdrant(url: str, api_key: str) -> Database:
    from embedstack.databases.qdrant.server import QdrantDatabase

    return QdrantDatabase(url, api_key)


def _pgvector(url: str, _: str) -> Database:
    from embedstack.databases.pgvector.server import PgvectorDatabase

    return PgvectorDatabase(url)


SCHEMES: Mapping[str, Kind] = {
    "file": Kind("file:///path", _file),
    "http": Kind("http://", _qdrant, "qdrant"),
    "https": Kind("https://", _qdrant, "qdrant"),
    "qdrant": Kind("qdrant://", _qdrant, "qdrant"),
    "qdrants": Kind("qdrants://", _qdrant, "qdrant"),
    "qdrant-local": Kind("qdrant-local:/path", _qdrant, "qdrant"),
    "postgresql": Kind("postgresql://", _pgvector, "pgvector"),
    "postgres": Kind("postgres://", _pgvector, "pgvector"),
}
"""Each way to write where a database is. Another kind of database is a row here and a folder beside this file."""
