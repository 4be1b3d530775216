"""What a user calls the vectors of a collection -> which of its fields is meant. Pure."""

from collections.abc import Iterable

from embedstack.databases.database import Collection, Kind
from embedstack.errors import BadRequest

NAMELESS = "dense"  # what a user calls the field without a name


def shown_name(there: Collection, own: str) -> str:
    """What a user calls a field."""
    return NAMELESS if not own and NAMELESS not in there.fields else own


def shown_names(there: Collection, own: Iterable[str]) -> str:
    """What these are called, for messages."""
    return ", ".join(repr(shown_name(there, one)) for one in own) or "none"


def own_name(there: Collection, shown: str) -> str | None:
    """The field that a user calls so; None if there is none."""
    own = "" if shown == NAMELESS and NAMELESS not in there.fields else shown
    return own if own in there.fields else None


def one_field(there: Collection, shown: str, kind: Kind | None = None) -> str:
    """The field that a user calls so; where none is named, that without a name, or the only one.

    Args:
        kind: of its vectors; None: of any kind.
    Raises:
        BadRequest: it is not there, or none was named of several.
    """
    fields = [name for name, field in there.fields.items() if kind in (None, field.kind)]
    if (own := own_name(there, shown)) in fields:
        return own
    if len(fields) == 1 and not shown:
        return fields[0]
    of_kind = f"{kind} vector" if kind else "vector"
    wrong = f"no {of_kind} {shown!r}" if shown else f"several {of_kind}s" if fields else f"no {of_kind}"
    raise BadRequest(
        f"collection {there.name!r} has {wrong}; it has: {shown_names(there, fields)}; name one as "
        f"DATABASE#{there.name}/VECTOR"
    )
