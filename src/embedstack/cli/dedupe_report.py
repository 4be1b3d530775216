"""What was found more than once -> lines for people, JSON for machines, or the bare names of what need not be kept."""

import json
import os
from collections.abc import Iterator, Mapping

from embedstack.deduping.thing import Found, Report, Type
from embedstack.errors import BadRequest
from embedstack.search.keeping import Duplicate, Item

NOUNS: Mapping[Type, str] = {"image": "pictures", "text": "texts", "vectors": "vectors"}
SHOWN = 10  # things that were left out, for people
DIGITS = 6  # of similarities, for machines


def as_text(report: Report) -> str:
    """Of each group what is kept, and below it what need not be; the last line sums up."""
    lines = [line for group in report.groups for line in _group(group)]
    return "".join(f"{_printable(line)}\n" for line in [*lines, _summary(report)])


def as_json(report: Report) -> bytes:
    """One object; a name that is no UTF-8 has its bytes as surrogates, as Python names files."""
    made = {
        "threshold": None if report.is_exact else report.threshold,
        "exact": report.is_exact,
        "items": dict(report.items),
        "models": {
            kind: {"model": made.model, "space": made.space, "fingerprint": made.fingerprint}
            for kind, made in report.models.items()
        },
        "groups": [_group_json(group) for group in report.groups],
        "total_saved_bytes": report.saved_bytes,
        "left_out": [{"item": one.name, "reason": one.reason} for one in report.left_out],
        "skipped": dict(report.skipped),
    }
    return json.dumps(made, ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace") + b"\n"


def as_list(report: Report, *, is_null: bool) -> bytes:
    """The names of all duplicates, a NUL or a line's end behind each.

    Raises:
        BadRequest: a name has more than one line, and lines shall part them; or a NUL, which parts them otherwise.
    """
    names = [item.name for group in report.groups for item, _ in group.duplicates]
    if cut := [name for name in names if "\0" in name]:
        raise BadRequest(f"{cut[0]!r} has a NUL in its name, so no list can part names; take --json")
    torn = [name for name in names if "\n" in name]
    if torn and not is_null:
        raise BadRequest(f"{torn[0]!r} has a line break in its name, so lines cannot part names; add -0")
    return b"".join(os.fsencode(name) + (b"\0" if is_null else b"\n") for name in names)


def warnings(report: Report) -> Iterator[str]:
    """What a user should know of what was not compared."""
    for one in report.left_out[:SHOWN]:
        yield _printable(f"warning: {one.name}: {one.reason}")
    if len(report.left_out) > SHOWN:
        yield f"warning: and {len(report.left_out) - SHOWN:,} others; --json names all"
    if report.left_out:
        yield f"warning: {len(report.left_out):,} were not compared; a file among them only by its bytes"
    if report.skipped:
        most = sorted(report.skipped.items(), key=lambda one: (-one[1], one[0]))
        yield f"passed over: {', '.join(f'{count:,} {_printable(ending)}' for ending, count in most[:SHOWN])}"


def _group(group: Found) -> Iterator[str]:
    yield _called(group.keep)
    for item, duplicate in group.duplicates:
        yield f"  {_called(item)}: {duplicate.reason}; {item.size_bytes:,} bytes"
    if group.also_kept:
        yield f"  also kept, near only through these: {', '.join(item.name for item in group.also_kept)}"
    yield ""


def _called(item: Item) -> str:
    return f"{item.name} ({item.about})" if item.about else item.name


def _summary(report: Report) -> str:
    looked = " and ".join(f"{count:,} {NOUNS[kind]}" for kind, count in report.items.items()) or "nothing"
    duplicates, groups = sum(len(group.duplicates) for group in report.groups), len(report.groups)
    if not duplicates:
        return f"{looked}: no duplicates"
    are = "is a duplicate" if duplicates == 1 else "are duplicates"
    others = "other" if groups == 1 else "others"
    return f"{looked}: {duplicates:,} {are} of {groups:,} {others}; without them {report.saved_bytes:,} bytes are saved"


def _group_json(group: Found) -> dict[str, object]:
    rows = zip(group.duplicates, group.nearest, strict=True)
    return {
        "type": group.type,
        "cluster": group.cluster,
        "keep": group.keep.name,
        "duplicates": [_duplicate_json(item, duplicate, nearest) for (item, duplicate), nearest in rows],
        "also_kept": [item.name for item in group.also_kept],
        "saved_bytes": group.saved_bytes,
    }


def _duplicate_json(item: Item, duplicate: Duplicate, nearest: Item) -> dict[str, object]:
    return {
        "item": item.name,
        "similarity": round(duplicate.similarity, DIGITS),
        "kind": duplicate.kind,
        "level": duplicate.level,
        "reason": duplicate.reason,
        "size_bytes": item.size_bytes,
        "nearest": {"item": nearest.name, "similarity": round(duplicate.nearest_similarity, DIGITS)},
    }


def _printable(text: str) -> str:
    """Of names from elsewhere: nothing that a terminal would obey."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
