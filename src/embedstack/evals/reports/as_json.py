"""A report or a calibration <-> JSON; infinity, which JSON lacks, is null there. Pure."""

from collections.abc import Iterator
from math import inf
from typing import TypeVar

import msgspec

from embedstack.errors import BadRequest
from embedstack.evals.calibration import Calibration
from embedstack.evals.outcome import Report
from embedstack.origin import Identity

FORMAT = 1  # another number is read otherwise; a new field alone is no new format
KINDS: dict[type[Report] | type[Calibration], str] = {Report: "report", Calibration: "calibration"}
Noun = TypeVar("Noun", Report, Calibration)


def to_json(noun: Noun) -> bytes:
    """One line. What is returned was read again and is equal.

    Raises:
        BadRequest: it holds what is no number, an infinite one that is no end of an interval, or a name that is no
            Unicode.
    """
    kind = KINDS[type(noun)]
    try:
        written = msgspec.json.encode({"kind": kind, "format": FORMAT, **msgspec.structs.asdict(noun)})
    except UnicodeEncodeError as error:
        raise BadRequest(f"the {kind} holds the name {error.object!r}, which is no Unicode; rename it") from error
    if _read(written, type(noun), f"the {kind}") != noun:
        raise BadRequest(f"the {kind} holds a number that JSON has not, such as nan; leave out what has no value")
    return written + b"\n"


def from_json(data: bytes, place: str = "the file") -> Report:
    """A report; fields of later versions are left alone.

    Args:
        place: where it is from, for messages.
    Raises:
        BadRequest: no JSON, no report, or one of a format that is not known here.
    """
    return _read(data, Report, place)


def calibration_from_json(data: bytes, place: str = "the file") -> Calibration:
    """A calibration, as `from_json` reads a report."""
    return _read(data, Calibration, place)


def _read(data: bytes, kind: type[Noun], place: str) -> Noun:
    try:
        said = msgspec.json.decode(data, type=dict[str, object])
    except msgspec.MsgspecError as error:
        raise BadRequest(f"{place} is no JSON object: {error}; give a {KINDS[kind]} that was saved as JSON") from error
    except RecursionError as error:
        raise BadRequest(f"{place} is nested too deep; give a {KINDS[kind]} that was saved as JSON") from error
    if said.get("kind") != KINDS[kind]:
        raise BadRequest(f"{place} is of the kind {said.get('kind')!r}; give one of the kind {KINDS[kind]!r}")
    if said.get("format") != FORMAT:
        raise BadRequest(
            f"{place} is in format {said.get('format')!r}, and this version reads {FORMAT}; read it with the version "
            "that wrote it"
        )
    for found in _objects(said):
        _mend(found)
    try:
        return msgspec.convert(said, kind)
    except msgspec.ValidationError as error:
        raise BadRequest(f"{place} is no {KINDS[kind]}: {error}; it may have been changed by hand") from error


def _objects(value: object) -> Iterator[dict[str, object]]:
    """All of them but those that hold only the values of queries, which are many."""
    if isinstance(value, dict):
        yield value
        for name, inner in value.items():
            if name != "queries":
                yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


def _mend(found: dict[str, object]) -> None:
    """Infinity back into the ends of an interval; out of an identity what a later version added, which it refuses."""
    if found.keys() >= {"value", "low", "high"}:
        found.update({end: limit for end, limit in (("low", -inf), ("high", inf)) if found[end] is None})
    if found.keys() >= {"model", "fingerprint"}:
        for name in found.keys() - set(Identity.__struct_fields__):
            del found[name]
