"""A repository -> its files in a folder: from the user's own Hugging Face cache, or from the Hub itself."""

import contextlib
import logging
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.file_download import http_get

from embedstack.catalog.catalog import COMMIT, Wanted, unknown
from embedstack.catalog.digests import git_blob_of, sha256_of
from embedstack.catalog.network import Access, SkippedError, require_answer
from embedstack.catalog.reference import reference_draft
from embedstack.catalog.spec import draft
from embedstack.catalog.store import FULL, Manifest, Store, names_in, require_space, wrong_digest
from embedstack.errors import ConfigError, EmbedstackError, Unsupported
from embedstack.models.folder import HEADS, chosen, has_weights, is_weight, weight_files

_TIMEOUT_S = 10.0
_CLIENTS = ("httpx", "httpx2")  # loggers of the clients that the library has used since 1.0


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of a repository, as the Hub describes it."""

    name: str
    size: int
    digest: str  # sha256 of a large file, git's blob id of a small one, empty where the endpoint gives none

    def places(self, partial: Path) -> tuple[Path, Path]:
        """Where it lies in a folder when it is whole, and until then."""
        path = partial / self.name
        return path, path.with_name(f"{path.name}.incomplete")

    def here(self, partial: Path) -> int:
        """Its bytes that need not be fetched."""
        path, unfinished = self.places(partial)
        if path.is_file() and path.stat().st_size == self.size:
            return self.size
        begun = unfinished.stat().st_size if unfinished.exists() else 0
        return begun if begun <= self.size else 0

    def matches(self, path: Path) -> str:
        """The sha256 of a file on disk.

        Raises:
            Mismatch: it is not the file that is listed.
        """
        sha256 = sha256_of(path)
        found = git_blob_of(path) if len(self.digest) == 40 else sha256
        if self.digest and found != self.digest:
            raise wrong_digest(path, self.digest, found)
        return sha256


# ------------------------------------------------------------------------------------------------ the Hub


def from_hub(wanted: Wanted, store: Store, access: Access) -> str:
    """Fetch from the Hub into the store; the commit. An interrupted fetch goes on where it stopped.

    Raises:
        SkippedError: the endpoint does not answer or fails.
        UnknownModel, ConfigError: there is no such model, or it is gated.
        Mismatch: a file differs from what the Hub or the catalog names.
        Unsupported: told from the small files, before the weights are fetched.
    """
    require_answer(access.endpoint)
    with _unlogged():
        return _from_hub(wanted, store, access)


def _from_hub(wanted: Wanted, store: Store, access: Access) -> str:
    commit, files = _listing(wanted, access)
    if store.has(wanted, commit):
        return commit
    partial = store.partial(wanted.repo, commit)
    missing = sum(file.size - file.here(partial) for file in files)
    require_space(partial, missing, wanted.repo)
    access.say(
        f"fetching {wanted.repo}@{commit[:8]} ({len(files)} files, {missing / 1e6:.0f} MB) from {access.endpoint}"
    )
    found: dict[str, str] = {}
    is_checked = False
    for file in files:
        if not is_checked and is_weight(file.name):
            _check_early(partial, wanted, commit)
            is_checked = True
        found[file.name] = _fetched(file, partial, wanted, commit, access)
    return store.accept(
        partial, Manifest(repo=wanted.repo, revision=commit, source=access.endpoint, files=found), wanted
    )


def _listing(wanted: Wanted, access: Access) -> tuple[str, list[Listed]]:
    api = huggingface_hub.HfApi(endpoint=access.endpoint, token=False, headers=dict(access.headers))
    try:
        info = api.model_info(wanted.repo, revision=wanted.revision, files_metadata=True, timeout=_TIMEOUT_S)
    except HfHubHTTPError as error:
        raise _refused(error, wanted, access) from error
    except Exception as error:  # the library lets through the errors of whichever HTTP client it uses
        raise SkippedError(f"{access.endpoint} gave no list of files ({_short(error)})") from error
    if not info.sha or not COMMIT.fullmatch(info.sha):
        raise SkippedError(f"{access.endpoint} named no commit for {wanted.repo}")
    files = {
        s.rfilename: Listed(s.rfilename, s.size or 0, s.lfs.sha256 if s.lfs else s.blob_id or "")
        for s in info.siblings or ()
    }
    names = chosen(files)
    if not has_weights(names):
        raise ConfigError(
            f"{wanted.repo!r} has no model.safetensors and no pytorch_model.bin; take the repository it was made from"
        )
    return info.sha, [files[name] for name in names]


def _refused(error: HfHubHTTPError, wanted: Wanted, access: Access) -> Exception:
    """What an HTTP error of the Hub means for the caller."""
    page = f"{access.endpoint}/{wanted.repo}"
    if isinstance(error, GatedRepoError):
        return ConfigError(
            f"{wanted.repo!r} is gated; accept its terms at {page} and set HF_TOKEN to a token of that account"
        )
    if wanted.entry is not None and isinstance(error, RepositoryNotFoundError | RevisionNotFoundError):
        return SkippedError(f"{access.endpoint} has no {wanted.repo}@{wanted.revision}")
    if isinstance(error, RevisionNotFoundError):
        return unknown(wanted.name, f"has no revision {wanted.revision!r} at {page}")
    if isinstance(error, RepositoryNotFoundError):
        return unknown(wanted.name, f"is not at {access.endpoint}, or it is private and HF_TOKEN does not open it")
    return SkippedError(f"{access.endpoint} failed ({_short(error)})")


def _fetched(file: Listed, partial: Path, wanted: Wanted, commit: str, access: Access) -> str:
    """Bring one file, unless it is there; its sha256."""
    path, unfinished = file.places(partial)
    if path.is_file() and path.stat().st_size == file.size:
        return _proven(file, path)
    unfinished.parent.mkdir(exist_ok=True)
    if unfinished.exists() and unfinished.stat().st_size > file.size:
        unfinished.unlink()
    url = huggingface_hub.hf_hub_url(wanted.repo, file.name, revision=commit, endpoint=access.endpoint)
    _stream(url, unfinished, file, access)
    sha256 = _proven(file, unfinished)
    unfinished.replace(path)
    return sha256


def _stream(url: str, unfinished: Path, file: Listed, access: Access) -> None:
    """Append what is missing.

    hf_hub_download is not used, because since 1.0 it starts a file anew after every interruption and some of the files
    here have two gigabytes; this is the function that it streams by, with the range of what is missing.
    """
    # a range of compressed bytes cannot be appended; the client drops authorization where a redirect leaves the host
    headers = {"accept-encoding": "identity", **access.headers}
    with unfinished.open("ab") as out:
        try:
            have = unfinished.stat().st_size
            http_get(url, out, resume_size=have, headers=headers, expected_size=file.size, displayed_filename=file.name)
        except Exception as error:  # the errors of whichever HTTP client the library uses, and of the disk
            if isinstance(error, OSError) and error.errno in FULL:
                raise
            raise SkippedError(f"{file.name} broke off ({_short(error)}); start again to go on from there") from error


def _proven(file: Listed, path: Path) -> str:
    try:
        return file.matches(path)
    except EmbedstackError:
        path.unlink()
        raise


def _check_early(partial: Path, wanted: Wanted, commit: str) -> None:
    """Refuse what nothing here computes before its weights are fetched."""
    read = reference_draft if wanted.reference else draft
    try:
        read(partial, name=wanted.name, revision=commit, entry=wanted.entry)
    except (Unsupported, ConfigError):
        shutil.rmtree(partial)
        raise


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Keep out of the logs what a client writes of each URL, signed ones too; what other threads fetch is theirs."""
    here = threading.get_ident()

    def is_fit(record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO or record.thread != here

    loggers = [logging.getLogger(name) for name in _CLIENTS]
    for logger in loggers:
        logger.addFilter(is_fit)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_fit)


def _short(error: BaseException) -> str:
    """The first line, without what follows a question mark, where signed links carry their key."""
    lines = str(error).strip().splitlines()
    return re.sub(r"\?\S*", "", lines[0])[:200] if lines else type(error).__name__


# ------------------------------------------------------------------------------------------------ the user's cache


def from_hub_cache(wanted: Wanted, store: Store, access: Access) -> str:
    """Take a model that other Hugging Face tools have fetched already; hard links where the disk allows.

    Raises:
        SkippedError: it is not there, or only in part.
    """
    snapshot = _snapshot(wanted)
    names = chosen(names_in(snapshot))
    _require_whole(snapshot, names, wanted)
    if store.has(wanted, snapshot.name):
        return snapshot.name
    partial = store.partial(wanted.repo, snapshot.name)
    found = {name: _taken(snapshot / name, partial / name) for name in names}
    manifest = Manifest(repo=wanted.repo, revision=snapshot.name, source="the Hugging Face cache", files=found)
    return store.accept(partial, manifest, wanted)


def _snapshot(wanted: Wanted) -> Path:
    """Where the cache has it; one of the two files lies at the top of every model."""
    for name in ("config.json", "modules.json"):
        found = huggingface_hub.try_to_load_from_cache(wanted.repo, name, revision=wanted.revision)
        if isinstance(found, str):
            return Path(found).parent
    raise SkippedError("it is not in the Hugging Face cache")


def _require_whole(snapshot: Path, names: list[str], wanted: Wanted) -> None:
    """Refuse a snapshot from which a tool took only what it needed: without its prompts, a model is another.

    A file that is not there must be known not to exist; .gitattributes, which no tool reads, shows that all was taken.
    """
    if not COMMIT.fullmatch(snapshot.name):
        raise SkippedError("the Hugging Face cache does not name its commit")
    try:
        weight_files(snapshot)
    except ConfigError as error:
        raise SkippedError("the Hugging Face cache has it without its weights") from error
    if lacking := wanted.sha256.keys() - set(names):
        raise SkippedError(f"the Hugging Face cache has it only in part ({min(lacking)} is not there)")
    if (snapshot / ".gitattributes").is_file():
        return
    for name in (
        "tokenizer.json",
        "tokenizer_config.json",
        "modules.json",
        "config_sentence_transformers.json",
        *HEADS.values(),
    ):
        known = huggingface_hub.try_to_load_from_cache(wanted.repo, name, revision=wanted.revision)
        if name not in names and known is None:
            raise SkippedError(f"the Hugging Face cache has it only in part ({name} is not there)")


def _taken(source: Path, target: Path) -> str:
    blob = source.resolve()
    is_named = (
        blob.parent.name == "blobs"
    )  # a blob's name is its digest; where links are not possible there are no blobs
    try:
        sha256 = Listed(source.name, 0, blob.name if is_named else "").matches(blob)
    except EmbedstackError as error:
        raise SkippedError(f"the Hugging Face cache is damaged ({error})") from error
    target.parent.mkdir(exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(blob)
    except OSError:  # another disk, or one without links
        shutil.copyfile(blob, target)
    return sha256
