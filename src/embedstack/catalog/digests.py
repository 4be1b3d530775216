"""Files of a folder -> their sha256, remembered with size and time, so that an unchanged file is read once."""

import contextlib
import hashlib
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

_BLOCK_BYTES = 1 << 20


class _Seen(msgspec.Struct, frozen=True):
    size: int
    mtime_ns: int
    sha256: str


class _Memo(msgspec.Struct, frozen=True):
    folder: str
    files: dict[str, _Seen]


class Digests:
    """The memory of one cache folder; one small file for each model folder."""

    def __init__(self, cache_dir: Path) -> None:
        self._home = cache_dir / "digests"

    def of(self, folder: Path, names: Iterable[str]) -> dict[str, str]:
        """The sha256 of each file, by name. A file is read only if its size or time is not as remembered."""
        known = self._read(folder)
        seen = {name: _look(folder / name, known.get(name)) for name in names}
        if any(known.get(name) != now for name, now in seen.items()):
            self._write(folder, {**known, **seen})
        return {name: now.sha256 for name, now in seen.items()}

    def remember(self, folder: Path, digests: Mapping[str, str]) -> None:
        """Note digests that were computed elsewhere, of files that are as they were then."""
        files = {name: _Seen(*_stat(folder / name), digest) for name, digest in digests.items()}
        self._write(folder, {**self._read(folder), **files})

    def forget(self, folder: Path) -> None:
        """Drop what is remembered of a folder."""
        self._path(folder).unlink(missing_ok=True)

    def _path(self, folder: Path) -> Path:
        return self._home / f"{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]}.json"

    def _read(self, folder: Path) -> dict[str, _Seen]:
        try:
            return msgspec.json.decode(self._path(folder).read_bytes(), type=_Memo).files
        except (OSError, msgspec.DecodeError):
            return {}  # a lost memory costs time and changes nothing

    def _write(self, folder: Path, files: dict[str, _Seen]) -> None:
        memo = _Memo(str(folder.resolve()), {name: files[name] for name in sorted(files)})
        with contextlib.suppress(OSError):  # a cache that cannot be written to only costs time
            write_whole(self._path(folder), msgspec.json.encode(memo))


def sha256_of(path: Path) -> str:
    """The digest of a file's bytes."""
    return _hash(path, hashlib.sha256())


def git_blob_of(path: Path) -> str:
    """The name that git gives to a file's bytes. Source: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects"""
    start = b"blob %d\0" % path.stat().st_size
    return _hash(path, hashlib.sha1(start, usedforsecurity=False))


def write_whole(path: Path, data: bytes) -> None:
    """All or nothing: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # mkstemp's would be readable by its owner only
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _look(path: Path, before: _Seen | None) -> _Seen:
    size, mtime_ns = _stat(path)
    if before is not None and (before.size, before.mtime_ns) == (size, mtime_ns):
        return before
    return _Seen(size, mtime_ns, sha256_of(path))


def _stat(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _hash(path: Path, state: "hashlib._Hash") -> str:
    block = memoryview(bytearray(_BLOCK_BYTES))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(block):
            state.update(block[:count])
    return state.hexdigest()
