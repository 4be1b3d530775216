"""A plan beside what is there now (input, model, package, storage) -> nothing, a note, or what differs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest

import msgspec

from embedstack.chunks.chunk import VERSION as CHUNKING_VERSION
from embedstack.chunks.chunking import cutter_versions
from embedstack.documents.document import Reading, Segment
from embedstack.errors import ConfigError, Mismatch
from embedstack.jobs.plan import SCHEMA, Exact, Plan, Wish
from embedstack.origin import Identity
from embedstack.storage.capability import creates_once
from embedstack.storage.storage import Entry, Storage

READING_VERSION = Reading().version
NAMED = 3  # of what differs

Stand = tuple[int, str]
"""A file's size and version."""


# ------------------------------------------------------------------------------------------------ the input


@dataclass(frozen=True, slots=True)
class Files:
    """How many, and the first few."""

    count: int = 0
    first: tuple[str, ...] = ()

    def with_one(self, key: str) -> "Files":
        """One more."""
        return Files(self.count + 1, (*self.first, key) if self.count < NAMED else self.first)


@dataclass(frozen=True, slots=True)
class InputChanges:
    """The input beside what it was when the plan was made."""

    changed: Files = Files()
    missing: Files = Files()
    new: Files = Files()  # also what was there and had no document; never what is empty


def input_changes(planned: Iterable[Segment], entries: Iterable[Entry]) -> InputChanges:
    """Both in the order of the input, so only what differs is in memory."""
    before: dict[str, Stand] = {}
    now: dict[str, Stand] = {}
    changed = Files()
    for old, new in zip_longest(_files(planned), ((entry.key, (entry.size, entry.version)) for entry in entries)):
        if old == new:
            continue
        before.update([old] if old else [])
        now.update([new] if new else [])
        for key in {pair[0] for pair in (old, new) if pair and pair[0] in before and pair[0] in now}:
            changed = changed if before.pop(key) == now.pop(key) else changed.with_one(key)
    return InputChanges(changed, _counted(before), _counted(key for key, (size, _) in now.items() if size))


def _files(segments: Iterable[Segment]) -> Iterator[tuple[str, Stand]]:
    """Each file once; its segments are neighbours."""
    last = None
    for segment in segments:
        if segment.key != last:
            last = segment.key
            yield segment.key, (segment.size, segment.version)


def _counted(keys: Iterable[str]) -> Files:
    counted = Files()
    for key in sorted(keys):
        counted = counted.with_one(key)
    return counted


def check_input(planned: Iterable[Segment], entries: Iterable[Entry], url: str) -> InputChanges:
    """What differs, where that is nothing but new files.

    Args:
        url: of the job, if a later one may take its vectors over; else "".
    Raises:
        Mismatch: files changed or are gone.
    """
    found = input_changes(planned, entries)
    if found.changed.count or found.missing.count:
        told = [_told("changed", found.changed), _told("missing", found.missing)]
        keeps = f", where texts keep the vectors they have so far: embedstack job plan ... --since {url}" if url else ""
        raise Mismatch(
            f"the input is not what was planned: {'; '.join(filter(None, told))}; bring it back, or plan again into "
            f"an empty folder{keeps}"
        )
    return found


def _told(what: str, files: Files) -> str:
    named = ", ".join(repr(key) for key in files.first)
    more = f" and {files.count - len(files.first)} more" if files.count > len(files.first) else ""
    return f"{files.count} {what} ({named}{more})" if files.count else ""


# ------------------------------------------------------------------------------------------ the model, the package


def check_versions(plan: Plan) -> None:
    """Whether this package makes of a document what the one made that planned.

    Raises:
        Mismatch: it does not.
    """
    said = [
        ("schema", plan.schema, SCHEMA),
        ("reading", plan.wish.reading.version, READING_VERSION),
        ("chunking", plan.wish.chunking.version, CHUNKING_VERSION),
    ]
    differing = [f"{name} {theirs} (here: {ours})" for name, theirs, ours in said if theirs != ours]
    if differing:
        raise Mismatch(
            f"the plan was made by embedstack {plan.exact.version} with other versions of its parts: "
            f"{', '.join(differing)}; run it with that version, or plan again into an empty folder"
        )
    here = cutter_versions()
    if plan.cutters and plan.cutters != here:
        raise Mismatch(
            f"the plan was made with {plan.cutters}, and here are {here}, which may cut texts elsewhere; install "
            "those versions, or plan again into an empty folder: embedstack job plan"
        )


def check_identity(plan: Plan, identity: Identity) -> None:
    """Whether the model that is open is the plan's: by its fingerprint; where an endpoint gives none, by all it says.

    Raises:
        Mismatch: names what differs.
    """
    before = plan.identity
    if identity.fingerprint != before.fingerprint or (not before.fingerprint and identity != before):
        raise Mismatch(
            f"the plan is for {_named(plan.identity)} and {_named(identity)} is open; these differ: "
            f"{'; '.join(differences(plan.identity, identity))}; open the same model in the same precision, "
            "or plan again into an empty folder"
        )


def _named(identity: Identity) -> str:
    return f"{identity.model!r} (fingerprint {identity.fingerprint[:12]})"


def check_same_plan(before: Plan, now: Plan) -> None:
    """Whether planning again came to the same.

    Raises:
        Mismatch: names the fields that differ.
    """
    found = [*differences(before.wish, now.wish), *differences(before.identity, now.identity)]
    if not found and before.table_sha256 != now.table_sha256:
        found = [f"the input: {before.docs} documents in {before.files} files, now {now.docs} in {now.files}"]
    if found:
        raise Mismatch(
            f"there is another plan already; these differ: {'; '.join(found)}; plan into an empty folder, "
            "or go on with: embedstack job run"
        )


def differences(before: msgspec.Struct, now: msgspec.Struct) -> list[str]:
    """`field old -> new` for each field that differs, those of parts as `part.field`."""
    old, new = _flat(msgspec.to_builtins(before)), _flat(msgspec.to_builtins(now))
    return [f"{name} {old.get(name)!r} -> {new.get(name)!r}" for name in old | new if old.get(name) != new.get(name)]


def _flat(fields: Mapping[str, object], above: str = "") -> dict[str, object]:
    made: dict[str, object] = {}
    for name, value in fields.items():
        made |= _flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return made


def exact_note(planned: Exact, here: Exact) -> str:
    """Why a shard that is done again may differ in its last bits; empty where nothing says that it may."""
    found = differences(planned, here)
    if not found:
        return ""
    return (
        "ids, texts and metadata are the same as planned; the last bits of vectors may differ, since these do: "
        + "; ".join(found)
    )


def check_wish(wish: Wish) -> None:
    """What no job can be.

    Raises:
        ConfigError: names the field.
    """
    if wish.shard_docs < 1:
        raise ConfigError(f"--shard-docs {wish.shard_docs} is below 1; example: 1000")
    if wish.checkpoint_docs < wish.shard_docs:
        raise ConfigError(
            f"--checkpoint-docs {wish.checkpoint_docs} is below --shard-docs {wish.shard_docs}: a checkpoint folds "
            "whole shards; raise the one or lower the other"
        )
    if wish.late_chunking and wish.sparse:
        raise ConfigError("--late-chunking gives no sparse vectors; leave out one of the two")
    if wish.late_chunking and (wish.chunking.overlap or wish.chunking.strategy == "parent"):
        raise ConfigError(
            "--late-chunking reads each passage once; choose chunks without --overlap and without parents"
        )


# ------------------------------------------------------------------------------------------------ the storage


def check_creates_once(storage: Storage) -> None:
    """Whether of two runners that finish the same shard one can be refused.

    Raises:
        ConfigError: they cannot.
    """
    if not creates_once(storage):
        raise ConfigError(
            f"the store of {storage.url!r} lets a second writer create what is there already, so two runners would "
            "not notice each other; take another store, or see to it that there is only one, with --single-writer"
        )
