"""A path or a URL becomes a storage: a folder here, or a bucket and a prefix in it."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from embedstack.errors import BadRequest, ConfigError
from embedstack.storage.keys import checked
from embedstack.storage.local import LocalStorage
from embedstack.storage.storage import Storage

SCHEMES = "a path, file:///path, s3://bucket/prefix or gs://bucket/prefix"
URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}")  # Google's may have dots and 222 characters


def open_storage(url: str | Path) -> Storage:
    """The storage below a URL; nothing is asked of it yet.

    Keys, region and endpoint of buckets are in the environment: AWS_* for s3, GOOGLE_* for gs.

    Raises:
        ConfigError: not such a URL, or a package that buckets need is not installed.
    """
    found = URL.fullmatch(url) if isinstance(url, str) else None
    if found is None:
        return LocalStorage(Path(url))
    scheme, rest = found[1].lower(), found[2]
    if scheme == "file":
        return LocalStorage(_path(rest))
    if scheme not in ("s3", "gs"):
        raise ConfigError(f"storage cannot be at {scheme}://; give {SCHEMES}")
    return _bucket(scheme, rest)


def _path(rest: str) -> Path:
    parts = urlsplit(f"file://{rest}")
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/") or parts.query or parts.fragment:
        raise ConfigError("a file:// URL names a folder of this machine; give one like file:///data/out")
    return Path(unquote(parts.path))


def _bucket(scheme: str, rest: str) -> Storage:
    bucket, _, prefix = rest.partition("/")
    if "@" in bucket or ":" in bucket:  # a secret may have a / in it, then what stands before it has no @
        raise ConfigError(f"a {scheme}:// URL holds no keys; set them in the environment and give {scheme}://bucket")
    if not BUCKET.fullmatch(bucket):
        raise ConfigError(f"{bucket!r} is no bucket's name; give {scheme}://bucket/prefix")
    prefix = prefix.rstrip("/")
    try:
        url = f"{scheme}://{bucket}/{checked(prefix)}" if prefix else f"{scheme}://{bucket}"
    except BadRequest as error:
        raise ConfigError(f"prefix {prefix!r} of bucket {bucket!r} is none; {error.message}") from error
    return _remote(url)


def _remote(url: str) -> Storage:
    try:
        from embedstack.storage.remote import open_remote
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{url} needs packages that are not installed; run: pip install 'embedstack[jobs]'"
        ) from error
    return open_remote(url)
