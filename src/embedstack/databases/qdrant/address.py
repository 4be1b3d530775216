"""What a user writes for where Qdrant is becomes the server's base URL, or the folder of local mode."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from embedstack.errors import ConfigError

PORT = 6333  # of REST, also behind TLS: https://qdrant.tech/documentation/operations/installation/
SCHEMES = {"http": "http", "qdrant": "http", "https": "https", "qdrants": "https"}
LOCAL = "qdrant-local:"
EXAMPLE = "http://localhost:6333, https://host, qdrant://host, qdrants://host or qdrant-local:/path"


@dataclass(frozen=True, slots=True)
class Address:
    """Of a server, or of a folder."""

    url: str  # as it was written; no secret is in it
    server: str = ""  # scheme://host:port/prefix; "" of a folder
    folder: Path = Path()


def address_of(url: str) -> Address:
    """Nothing is asked of it.

    Raises:
        ConfigError: it is no such address, or holds a user or a key, which would be shown wherever the address is.
    """
    scheme, _, rest = url.partition(":")
    if f"{scheme.lower()}:" == LOCAL:
        return Address(url, folder=_folder(rest))
    for sign in "@?#":  # of a password with '/' in it, what is before the '@' would be read as the host
        if sign in rest:
            raise ConfigError(
                f"the address of Qdrant has a {sign!r} in it, and users, passwords and keys do not belong there; "
                "take that part out and set QDRANT_API_KEY"
            )
    return Address(url, server=_server(_parts(url)))


def _folder(rest: str) -> Path:
    path = rest[2:] if rest.startswith("//") else rest
    if not path or (path != rest and not path.startswith("/")):
        raise ConfigError("qdrant-local: names no folder; give one like qdrant-local:/data/qdrant")
    return Path(path).absolute()


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # is only looked at when it is asked for
    except ValueError:
        # its words would show what stands where the port should be
        raise ConfigError(f"host or port of Qdrant's address cannot be read; give one like {EXAMPLE}") from None
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise ConfigError(f"the address of Qdrant has no scheme that is known, or no host; give one like {EXAMPLE}")
    return parts


def _server(parts: SplitResult) -> str:
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{SCHEMES[parts.scheme]}://{host}:{parts.port or PORT}{parts.path.rstrip('/')}"
