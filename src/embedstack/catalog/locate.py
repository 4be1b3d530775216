"""A user's name for a model -> its folder on this machine and its spec, fetched first where needed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from embedstack.catalog.catalog import Wanted, parse
from embedstack.catalog.digests import Digests
from embedstack.catalog.network import HUB, Access, access_to, to_stderr
from embedstack.catalog.reference import read_reference_spec
from embedstack.catalog.spec import read_spec
from embedstack.catalog.store import Manifest, Store, prove, read_manifest, require_published, wanted_of, writing
from embedstack.errors import ConfigError
from embedstack.modelspec import ModelSpec


@dataclass(frozen=True, slots=True)
class Located:
    """A model on this machine."""

    folder: Path
    spec: ModelSpec
    source: str  # where its files are from


def find(
    name: str,
    *,
    cache_dir: Path,
    offline: bool = False,
    hf_endpoint: str = HUB,
    hf_token: str = "",
    say: Callable[[str], None] = to_stderr,
    reference: bool = False,
) -> Located:
    """The model that a name means, fetched if it is not here.

    Args:
        name: a catalog name or alias, a Hugging Face id `org/name`, `org/name@revision`, or a folder.
        say: takes a line for the person who waits.
        reference: the reference runtime shall run it, so it may be of any family and gets a space of its own.
    Raises:
        UnknownModel, ConfigError, Mismatch, Unsupported: the message says what to do.
    """
    wanted = parse(name)
    if isinstance(wanted, Path):
        return in_folder(wanted, Digests(cache_dir), reference=reference)
    wanted, store = replace(wanted, reference=reference), Store(cache_dir)
    here = in_store(wanted, store)
    if here is not None:
        return here
    access = access_to(hf_endpoint, hf_token, say)
    with writing(cache_dir):
        return _fetched(wanted, store, access, offline=offline)


def in_store(wanted: Wanted, store: Store) -> Located | None:
    """The model from our own cache, its files proven; None if it is not there."""
    commit = store.revision(wanted)
    if commit is None:
        return None
    folder = store.folder(wanted.repo, commit)
    manifest = read_manifest(folder)
    if manifest is None:
        raise ConfigError(
            f"{str(folder)!r} has no manifest; run: embedstack models rm {wanted.name}, then pull it again"
        )
    return _proven(folder, manifest, replace(wanted, revision=manifest.revision), store.digests)


def in_folder(folder: Path, digests: Digests, *, reference: bool = False) -> Located:
    """The model in any folder. One that embedstack pulled or bundled keeps its identity and is proven."""
    manifest = read_manifest(folder)
    if manifest is None:
        spec = _reader(reference)(folder, name=folder.name, revision="local", digests=digests)
        return Located(folder, spec, "a folder")
    return _proven(folder, manifest, replace(wanted_of(manifest), reference=reference), digests)


def _proven(folder: Path, manifest: Manifest, wanted: Wanted, digests: Digests) -> Located:
    require_published(wanted, manifest.files, folder)
    prove(folder, manifest.files, digests)
    read = _reader(wanted.reference)
    spec = read(folder, name=wanted.name, revision=wanted.revision, digests=digests, entry=wanted.entry)
    return Located(folder, spec, manifest.source)


def _reader(reference: bool) -> Callable[..., ModelSpec]:
    return read_reference_spec if reference else read_spec


def _fetched(wanted: Wanted, store: Store, access: Access, *, offline: bool) -> Located:
    from embedstack.catalog.fetch import fetch  # loads the Hub's client, which start-up does without

    with store.lock(wanted.repo, access.say):
        if store.revision(wanted) is None:  # another process may have brought it meanwhile
            fetch(wanted, store, access, offline=offline)
    here = in_store(wanted, store)
    assert here is not None
    return here
