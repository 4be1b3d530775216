"""The cache of models on disk: one folder for each repository and revision, which appears whole or not at all."""

import contextlib
import errno
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from embedstack.catalog.catalog import COMMIT, Wanted, parse
from embedstack.catalog.digests import Digests, write_whole
from embedstack.errors import ConfigError, Mismatch
from embedstack.models.folder import chosen, is_weight

MANIFEST = "embedstack.json"
_PARTIAL = ".partial"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a pulled folder holds and where it is from; kept in the folder as embedstack.json."""

    repo: str
    revision: str
    source: str
    files: dict[str, str]  # name -> sha256


@dataclass(frozen=True, slots=True)
class Kept:
    """A model in the cache."""

    repo: str
    revision: str
    folder: Path
    size_bytes: int


class Store:
    """The models under one cache folder.

    models/<org--name>/<commit>/            a whole model with its manifest
    models/<org--name>/<commit>.partial/    one that is being fetched
    models/<org--name>/refs/<branch>        the commit that a branch meant when it was first pulled
    """

    def __init__(self, cache_dir: Path) -> None:
        self.root = cache_dir.absolute() / "models"
        self.digests = Digests(cache_dir)
        self._locks = cache_dir / "locks"

    def home(self, repo: str) -> Path:
        return self.root / repo.replace("/", "--")

    def folder(self, repo: str, revision: str) -> Path:
        return self.home(repo) / revision

    def revision(self, wanted: Wanted) -> str | None:
        """The commit that is here for what is wanted."""
        commit = wanted.revision
        if not COMMIT.fullmatch(commit):
            ref = self._ref(wanted.repo, commit)
            commit = ref.read_text().strip() if ref.is_file() else ""
        return commit if COMMIT.fullmatch(commit) and self.folder(wanted.repo, commit).is_dir() else None

    def partial(self, repo: str, commit: str) -> Path:
        """The folder to fetch into; what an interrupted fetch left there is kept."""
        path = self.home(repo) / f"{commit}{_PARTIAL}"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def accept(self, partial: Path, manifest: Manifest, wanted: Wanted) -> str:
        """Turn a partial folder whose files are all there and proven into a model of the cache.

        Raises:
            Mismatch: a file is not the one that the catalog names; nothing is kept.
        """
        try:
            require_published(replace(wanted, revision=manifest.revision), manifest.files, partial)
        except Mismatch:
            shutil.rmtree(partial)
            raise
        folder = self.folder(wanted.repo, manifest.revision)
        _drop_others(partial, manifest)
        write_whole(partial / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        partial.rename(folder)
        self.digests.remember(folder, manifest.files)
        self.has(wanted, manifest.revision)
        return manifest.revision

    def has(self, wanted: Wanted, commit: str) -> bool:
        """Whether a commit is here; if so, the branch that was asked for means it from now on."""
        if not self.folder(wanted.repo, commit).is_dir():
            return False
        if not COMMIT.fullmatch(wanted.revision):
            write_whole(self._ref(wanted.repo, wanted.revision), commit.encode())
        return True

    @contextlib.contextmanager
    def lock(self, repo: str, say: Callable[[str], None]) -> Iterator[None]:
        """Only one process at a time changes a repository's folders; the others wait, and say so."""
        from filelock import FileLock, Timeout  # only needed when something changes; start-up stays quick

        self._locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._locks / f"{repo.replace('/', '--')}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            say(f"waiting for another process that is fetching {repo}")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def kept(self) -> list[Kept]:
        """Every whole model, by repository and revision."""
        folders = sorted(path for path in self.root.glob("*--*/*") if COMMIT.fullmatch(path.name))
        return [Kept(p.parent.name.replace("--", "/", 1), p.name, p, size_of(p)) for p in folders]

    def remove(self, repo: str, commit: str | None = None) -> int:
        """Delete one commit, or all of a repository, half-fetched ones too; the bytes that were freed."""
        assert commit is None or COMMIT.fullmatch(commit)
        home = self.home(repo)
        paths = [home / commit, home / f"{commit}{_PARTIAL}"] if commit else [home]
        paths = [path for path in paths if path.is_dir()]
        freed = sum(size_of(path) for path in paths)
        for path in paths:
            for folder in (path, *path.iterdir()):
                self.digests.forget(folder)
            shutil.rmtree(path)
        return freed

    def _ref(self, repo: str, ref: str) -> Path:
        return self.home(repo) / "refs" / ref.replace("/", "--")


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder that embedstack pulled or bundled; None for any other.

    Raises:
        ConfigError: there is one and it is broken.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{str(path)!r} is no manifest ({error}); pull the model again") from error


def wanted_of(manifest: Manifest) -> Wanted:
    """What a manifest's model is called here."""
    wanted = parse(f"{manifest.repo}@{manifest.revision}")
    assert isinstance(wanted, Wanted)
    return wanted if wanted.entry else replace(wanted, name=manifest.repo)


def prove(folder: Path, files: Mapping[str, str], digests: Digests) -> None:
    """Refuse a folder whose files are not those of its manifest; unchanged files are not read again.

    Raises:
        Mismatch: a file differs, or is one too many.
        ConfigError: a file is gone.
    """
    for name in chosen(names_in(folder)):
        if name not in files:
            raise Mismatch(f"{str(folder / name)!r} is not of the model that was pulled; remove this file")
    for name in files:
        if not (folder / name).is_file():
            raise ConfigError(f"{str(folder / name)!r} is gone; remove the model and pull it again")
    found = digests.of(folder, files)
    for name, expected in files.items():
        if found[name] != expected:
            raise wrong_digest(folder / name, expected, found[name])


def require_published(wanted: Wanted, files: Mapping[str, str], folder: Path) -> None:
    """Refuse what claims to be a revision of the catalog and is not: pinned files must be there, and no other weights.

    Args:
        files: name -> sha256.
    Raises:
        Mismatch: the message names the file.
    """
    pinned = wanted.sha256
    for name, expected in pinned.items():
        if name not in files:
            raise Mismatch(f"{str(folder)!r} has no {name!r}, which {wanted.name!r} has; {_FETCH_AGAIN}")
        if files[name] != expected:
            raise wrong_digest(folder / name, expected, files[name])
    for name in files if pinned else ():
        if is_weight(name) and name not in (*pinned, *wanted.unpinned):
            raise Mismatch(f"{str(folder / name)!r} is no file of {wanted.name!r} as published; {_FETCH_AGAIN}")


_FETCH_AGAIN = "remove the model (embedstack models rm) and pull it again"


def wrong_digest(path: Path, expected: str, found: str) -> Mismatch:
    return Mismatch(
        f"{str(path)!r} has digest {found}, expected {expected}; it is not the file that was published, "
        f"so {_FETCH_AGAIN}"
    )


def _drop_others(partial: Path, manifest: Manifest) -> None:
    """Delete what another source left half done, so that the folder is exactly its manifest."""
    for name in names_in(partial):
        if name not in manifest.files:
            (partial / name).unlink()


def size_of(folder: Path) -> int:
    """Bytes of all files below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def names_in(folder: Path) -> list[str]:
    """Every file below, as a manifest names it."""
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


# ------------------------------------------------------------------------------------------------ the disk


def require_space(folder: Path, needed_bytes: int, what: str) -> None:
    """Refuse to begin what cannot fit."""
    free = _free_bytes(folder)
    if free < needed_bytes:
        raise ConfigError(
            f"{what} needs {needed_bytes} bytes and the disk of {str(folder)!r} has {free} free; {_MAKE_ROOM}"
        )


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn the errors of a disk into one that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            problem = f"the disk of {str(folder)!r} is full ({_free_bytes(folder)} bytes are free)"
            raise ConfigError(f"{problem}; {_MAKE_ROOM}, then start again to go on") from error
        if error.errno in _CLOSED:
            problem = f"{str(folder)!r} cannot be written to ({error.strerror})"
            raise ConfigError(f"{problem}; set EMBEDSTACK_CACHE_DIR to a folder that can") from error
        raise


_MAKE_ROOM = "make room or set EMBEDSTACK_CACHE_DIR to a folder on another disk"
FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


def _free_bytes(folder: Path) -> int:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free
