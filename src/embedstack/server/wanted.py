"""The setting `collections` becomes names, each with its database and collection. Pure."""

import re
from dataclasses import dataclass, field

from embedstack.databases.checks import LONGEST, NAME
from embedstack.errors import ConfigError

FORM = "NAME=DATABASE#COLLECTION or DATABASE#COLLECTION"
WHERE = "--collections (EMBEDSTACK_COLLECTIONS)"
# a comma may stand between the hosts of PostgreSQL, and elsewhere in none of the parts
ENTRY = re.compile(
    r"(?:(?P<name>[^=,#:/]*)=)?(?P<database>(?:\s*postgres(?:ql)?://[^/?#]*)?[^,#]*)#(?P<collection>[^,#]*)(?:,|$)"
)
GAP = re.compile(r"[\s,]*")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A collection that is to be served."""

    name: str  # under which it is asked for
    database: str = field(repr=False)  # as `open_database` takes it; it may hold a password
    collection: str  # or an alias of the database


def parse_collections(text: str) -> tuple[Wanted, ...]:
    """In the order given; "" is none.

    Raises:
        ConfigError: an entry that is none, or two of one name. Of an entry only its number is said: it may hold a
            password.
    """
    found: dict[str, Wanted] = {}
    at = _behind_gap(text, 0)
    while at < len(text):
        place = f"entry {len(found) + 1} of {WHERE}"
        entry = ENTRY.match(text, at)
        if entry is None:
            raise ConfigError(f"{place} names no collection behind a '#'; write {FORM}")
        wanted = _read(entry, place)
        if wanted.name in found:
            raise ConfigError(f"{place} is named {wanted.name!r} like one before it; name one of them: NAME=…")
        found[wanted.name] = wanted
        at = _behind_gap(text, entry.end())
    return tuple(found.values())


def _read(entry: "re.Match[str]", place: str) -> Wanted:
    database, collection = entry["database"].strip(), entry["collection"].strip()
    name = collection if entry["name"] is None else entry["name"].strip()
    if not database:
        raise ConfigError(f"{place} has no database before its '#'; write {FORM}")
    if not NAME.fullmatch(name) or not NAME.fullmatch(collection):
        raise ConfigError(
            f"{place} has a name or a collection that cannot be one: of A to Z, a to z, 0 to 9, '_', '-' and '.', at "
            f"most {LONGEST}, the first none of the last two; write {FORM}"
        )
    return Wanted(name, database, collection)


def _behind_gap(text: str, at: int) -> int:
    gap = GAP.match(text, at)
    return gap.end() if gap else at
