"""A width -> the models on this machine that can have made such vectors, and those of the catalog that are not here."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from embedstack.api import locate
from embedstack.catalog.catalog import Entry, entries, entry_of
from embedstack.catalog.locate import Located, in_folder
from embedstack.catalog.store import Kept, Store
from embedstack.errors import EmbedstackError, Mismatch, Unsupported
from embedstack.origin import Origin
from embedstack.settings import Settings

NUMBERS = re.compile(r"(\d+) numbers")
LIKE = re.compile(r"as ([\w.-]+),")
"""How the catalog says of a vector what it has, or which other model it is like."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Absent:
    """A model that was not tried."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Contenders:
    """Who is tried, in this order, and who is not."""

    here: tuple[Located, ...]
    absent: tuple[Absent, ...]


def contenders(names: Sequence[str], dim: int, signed: Origin | None, settings: Settings, say: Say) -> Contenders:
    """Those that were named, else all in the cache whose width fits; nothing is fetched that was not named.

    Args:
        signed: whose vectors they are said to be; that model is tried first.
    Raises:
        Mismatch: a model that was named makes shorter vectors. Unsupported: it makes none. As `catalog.find`.
    """
    if names:
        return Contenders(tuple(_named(name, dim, settings, say) for name in dict.fromkeys(names)), ())
    store = Store(settings.cache_dir)
    kept = sorted(store.kept(), key=lambda one: one.size_bytes)
    here, absent = list[Located](), list[Absent]()
    for one in kept:
        found = _opened(one, store)
        if isinstance(found, Absent):
            absent.append(found)
        elif found.spec.task == "embed" and dim in (found.spec.dim, *found.spec.cuts):
            here.append(found)
    model = signed.identity.model if signed else ""
    here.sort(key=lambda found: found.spec.name != model)
    return Contenders(tuple(here), (*absent, *_elsewhere(dim, {one.repo for one in kept})))


def _named(name: str, dim: int, settings: Settings, say: Say) -> Located:
    """One that was named is fetched, unless it is known before that it made no such vectors; they may have been cut."""
    entry = entry_of(name)
    if entry is not None:
        _check(entry.name, max(widths_of(entry), default=0), dim)
    found = locate(name, settings, say)
    _check(found.spec.name, found.spec.dim, dim)
    return found


def _check(name: str, width: int, dim: int) -> None:
    if not width:
        raise Unsupported(f"{name!r} makes no dense vectors; name a model that does")
    if dim > width:
        raise Mismatch(f"the vectors have {dim} numbers and {name!r} makes {width}; it cannot have made them")


def _opened(one: Kept, store: Store) -> Located | Absent:
    try:
        return in_folder(one.folder, store.digests)
    except EmbedstackError as error:
        return Absent(one.repo, error.message)


def _elsewhere(dim: int, here: set[str]) -> Iterator[Absent]:
    for entry in entries():
        if entry.repo not in here and dim in widths_of(entry):
            why = f"{dim} numbers, not on this machine ({entry.size_mb} MB): embedstack models pull {entry.name}"
            yield Absent(entry.name, why)


def widths_of(entry: Entry) -> tuple[int, ...]:
    """Of its dense vectors, whole and cut, as the catalog says it; none of a model that makes no such vectors."""
    if entry.task != "embed":
        return ()
    like = LIKE.match(entry.about)
    other = entry_of(like[1]) if like else None
    said = NUMBERS.search(other.about if other else entry.about)
    return (int(said[1]), *entry.cuts) if said else ()
