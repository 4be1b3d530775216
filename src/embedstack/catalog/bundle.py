"""A pulled model <-> one tar file that carries it to a machine without a network, its digests checked on arrival."""

import contextlib
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import msgspec

from embedstack.catalog.catalog import COMMIT, Wanted, is_repo
from embedstack.catalog.digests import sha256_of
from embedstack.catalog.store import (
    MANIFEST,
    Manifest,
    Store,
    prove,
    read_manifest,
    require_space,
    size_of,
    wanted_of,
    writing,
    wrong_digest,
)
from embedstack.errors import ConfigError

_MOST_MANIFEST_BYTES = 1 << 20
_DEEPEST = 2  # 1_Pooling/config.json


def bundle(folder: Path, out: Path, store: Store) -> int:
    """Write a model of the cache as a tar; its size in bytes.

    Raises:
        ConfigError: not a pulled model, the file exists already, or the disk is full.
        Mismatch: the model has changed since it was pulled.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise ConfigError(f"{str(folder)!r} was not pulled by embedstack; a folder needs no bundle, copy it as it is")
    if out.exists():
        raise ConfigError(f"{str(out)!r} exists already; give another name")
    if not out.parent.is_dir():
        raise ConfigError(f"folder {str(out.parent)!r} is not there; make it first")
    prove(folder, manifest.files, store.digests)
    require_space(out.parent, size_of(folder), str(out))
    unfinished = out.with_name(f"{out.name}.partial")
    with writing(out.parent), _removed_on_error(unfinished):
        with tarfile.open(unfinished, "w") as tar:
            for name in (MANIFEST, *manifest.files):
                tar.add(folder / name, f"{_top(manifest)}/{name}", recursive=False, filter=_nameless)
        unfinished.replace(out)
    return out.stat().st_size


def unbundle(path: Path, store: Store, say: Callable[[str], None]) -> Wanted:
    """Bring a tar made by `bundle`, or the folder that it was unpacked to, into the cache; what it holds.

    Raises:
        ConfigError: no such file, not a bundle, or a member that could do harm.
        Mismatch: a file is not the one that was bundled, or not the one that the catalog names.
    """
    with writing(store.root.parent):
        if path.is_dir():
            return _from_folder(path, store, say)
        try:
            with tarfile.open(path, "r:") as tar:
                return _from_tar(tar, path, store, say)
        except FileNotFoundError as error:
            raise ConfigError(f"{str(path)!r} is not there; give the file that `models bundle` wrote") from error
        except tarfile.TarError as error:
            raise ConfigError(f"{str(path)!r} is no bundle or is cut short ({error}); copy it again") from error


def _from_tar(tar: tarfile.TarFile, path: Path, store: Store, say: Callable[[str], None]) -> Wanted:
    members = {_safe_name(member, path): member for member in tar.getmembers() if not member.isdir()}
    if MANIFEST not in members or members[MANIFEST].size > _MOST_MANIFEST_BYTES:
        raise ConfigError(f"{str(path)!r} has no {MANIFEST}; give a file that `models bundle` wrote")
    manifest = _checked(_content(tar, members.pop(MANIFEST)), path)
    if missing := set(manifest.files) - set(members):
        raise ConfigError(f"{str(path)!r} lacks {min(missing)!r}; copy it again")
    needed = sum(members[name].size for name in manifest.files)

    def bring(name: str, target: Path) -> None:
        source = tar.extractfile(members[name])
        assert source is not None
        with source, target.open("wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)

    return _bring(manifest, needed, bring, store, say)


def _from_folder(folder: Path, store: Store, say: Callable[[str], None]) -> Wanted:
    manifest_path = next(iter([*folder.glob(MANIFEST), *folder.glob(f"*/{MANIFEST}")]), None)
    if manifest_path is None:
        raise ConfigError(f"{str(folder)!r} has no {MANIFEST}; give a bundle, or serve the folder by its path")
    home = manifest_path.parent
    manifest = _checked(manifest_path.read_bytes(), manifest_path)
    for name in manifest.files:
        if not (home / name).is_file():
            raise ConfigError(f"{str(home / name)!r} is not there; unpack the bundle again")
    needed = sum((home / name).stat().st_size for name in manifest.files)
    return _bring(manifest, needed, lambda name, target: _copy(home / name, target), store, say)


def _bring(
    manifest: Manifest, needed: int, bring: Callable[[str, Path], None], store: Store, say: Callable[[str], None]
) -> Wanted:
    """Copy each file into the cache, prove it, and let the model appear whole."""
    wanted = wanted_of(manifest)
    with store.lock(manifest.repo, say):
        if store.revision(wanted) is not None:
            say(f"{wanted.name} is here already")
            return wanted
        partial = store.partial(manifest.repo, manifest.revision)
        require_space(partial, needed, wanted.name)
        for name, expected in manifest.files.items():
            target = partial / name
            target.parent.mkdir(exist_ok=True)
            bring(name, target)
            if (found := sha256_of(target)) != expected:
                target.unlink()
                raise wrong_digest(target, expected, found)
        store.accept(partial, manifest, wanted)
        if wanted.entry is None and store.revision(main := Wanted(wanted.name, wanted.repo, "main")) is None:
            store.has(main, manifest.revision)  # the bare id means it, unless it means another commit already
    return wanted


def _checked(data: bytes, path: Path) -> Manifest:
    """The manifest, every part of which becomes a path, so nothing in it is believed."""
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise ConfigError(f"the manifest of {str(path)!r} is broken ({error}); copy the bundle again") from error
    if not is_repo(manifest.repo) or not COMMIT.fullmatch(manifest.revision):
        raise ConfigError(
            f"{str(path)!r} names {manifest.repo!r}@{manifest.revision!r}, which is no model; make it again"
        )
    for name in manifest.files:
        _require_inside(name, path)
    return manifest


def _safe_name(member: tarfile.TarInfo, path: Path) -> str:
    """A member's name without the bundle's top folder."""
    if not member.isreg():
        raise ConfigError(f"{str(path)!r} holds {member.name!r}, which is no plain file; it was not made by embedstack")
    _require_inside(member.name, path, deepest=_DEEPEST + 1)
    return member.name.partition("/")[2]


def _require_inside(name: str, path: Path, deepest: int = _DEEPEST) -> None:
    parts = PurePosixPath(name).parts
    is_inside = name and not name.startswith("/") and "\\" not in name and ":" not in name and ".." not in parts
    if not is_inside or len(parts) > deepest or name == MANIFEST:
        raise ConfigError(f"{str(path)!r} holds {name!r}, which would be written outside its folder; it is refused")


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    with file:
        return file.read()


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def _top(manifest: Manifest) -> str:
    return manifest.repo.replace("/", "--")


def _nameless(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the owner and with plain permissions: two bundles of one model are the same bytes."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    member.mode = 0o644
    return member


@contextlib.contextmanager
def _removed_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
