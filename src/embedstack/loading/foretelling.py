"""What a load would do becomes lines for people; nothing is written."""

from collections.abc import Callable, Iterator

from embedstack.databases.database import Collection
from embedstack.loading.deleting import Ground, surplus
from embedstack.loading.marks import Start
from embedstack.loading.source import Source
from embedstack.loading.wish import Wish
from embedstack.origin import check_space


def foretell(
    ground: Ground,
    source: Source,
    wish: Wish,
    found: Collection | None,
    start: Start,
    *,
    listed: bool,
    note: Callable[[str], None],
) -> None:
    """Say it.

    Args:
        found: the collection as it is.
        listed: the list of deletions would be worked through.
    Raises:
        Mismatch: a field of the collection is of another space.
    """
    if found is not None:
        _check(found, source)
    for line in _lines(ground, source, wish, found, start, listed=listed):
        note(line)


def _lines(
    ground: Ground, source: Source, wish: Wish, found: Collection | None, start: Start, *, listed: bool
) -> Iterator[str]:
    name, total = ground.name, source.total
    if found is None:
        fields = ", ".join(repr(field) if field else "one without a name" for field in source.fields)
        yield f"collection {name!r} would be made, with the vectors: {fields}"
    if start.why != "whole":
        behind = f" behind the first {start.rows:,}" if start.rows else ""
        yield f"{'all' if total is None else format(total - start.rows, ',')} rows{behind} would be written to {name!r}"
    if listed:
        yield f"{sum(map(len, source.gone())):,} points would be deleted: they are gone from the table"
    if wish.prune and found is not None:
        with surplus(ground, source, total or found.points) as strange:
            yield f"{strange.count:,} of {found.points:,} points would be deleted: this table has not got them"
    if wish.alias:
        yield f"alias {wish.alias!r} would stand for {name!r}"


def _check(found: Collection, source: Source) -> None:
    for name, wanted in source.fields.items():
        there = found.fields.get(name)
        if there is not None and there.origin is not None and wanted.origin is not None:
            place = f"vector {name!r} of collection {found.name!r}" if name else f"collection {found.name!r}"
            check_space(there.origin, wanted.origin, place)
