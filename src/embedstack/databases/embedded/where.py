"""Which points are meant becomes an SQL expression over the column `payload`, and its parameters."""

import json
import math
import re
from collections.abc import Sequence
from typing import TypeAlias

from embedstack.databases.database import Condition, Json, Where
from embedstack.errors import BadRequest

Parameter: TypeAlias = "str | int | float | bytes | None"
Parameters: TypeAlias = "dict[str, Parameter]"

PLAIN_KEY = re.compile(r'[^"\\\x00-\x1f]+')  # SQLite's paths know no escapes
HOLDS = "coalesce(CASE json_type(@part) WHEN 'array' THEN @listed WHEN 'object' THEN 0 ELSE @alone END, 0)"
LISTED = "EXISTS (SELECT 1 FROM json_each(@part) WHERE @each)"
ONE_OF = "(@kind AND @value IN (SELECT value FROM json_each(@list)))"
NUMBER = "@type IN ('integer', 'real')"
WHOLE = "@type = 'integer'"
TRUTH = "@type IN ('true', 'false')"
TEXT = "@type = 'text'"
MOST = 2**63  # SQLite's whole numbers are below


def clause(where: Where | None) -> tuple[str, Parameters]:
    """True or false of every row, never NULL. It reads the payload of each, as there are no indexes.

    A text in a payload is compared up to its first NUL, where SQLite's JSON ends it.

    Raises:
        BadRequest: a condition that asks for nothing, or for what is no number.
    """
    parameters: Parameters = {}
    parts = ["1"]
    for condition in where.all if where else ():
        parts.append(_holds(condition, parameters))
    for condition in where.none if where else ():
        parts.append(f"NOT {_holds(condition, parameters)}")
    return " AND ".join(parts), parameters


def part(payload: str, key: str) -> str | None:
    """The value below a key, in JSON, as the only one of a list; None where there is none.

    For the keys that SQLite's paths cannot say.
    """
    found: Json = json.loads(payload)
    for name in key.split("."):
        if not isinstance(found, dict) or name not in found:
            return None
        found = found[name]
    return json.dumps([found], ensure_ascii=False)


def _holds(condition: Condition, parameters: Parameters) -> str:
    """A value alone is looked at without `json_each`, which takes ten times as long."""
    if not _is_unicode(condition.key):
        return "0"  # no payload has such a key
    test = _test(condition, parameters)
    each = test.replace("@type", "type").replace("@value", "atom")
    alone = test.replace("@type", "json_type(@part)").replace("@value", "json_extract(@part)")
    listed = LISTED.replace("@each", each)
    return HOLDS.replace("@listed", listed).replace("@alone", alone).replace("@part", _part(condition.key, parameters))


def _part(key: str, parameters: Parameters) -> str:
    """The arguments of SQLite's functions of JSON: a document, and a path in it."""
    names = key.split(".")
    if all(PLAIN_KEY.fullmatch(name) for name in names):
        path = "$" + "".join(f'."{name}"' for name in names)
        return f"payload, {_bound(path, parameters)}"
    return f"part(payload, {_bound(key, parameters)}), '$[0]'"


def _test(condition: Condition, parameters: Parameters) -> str:
    """Of one value: all that is given must hold."""
    tests: list[str] = []
    if condition.values is not None:
        tests.append(_is_one_of(condition.values, parameters))
    if condition.least is not None:
        tests.append(f"({NUMBER} AND @value >= {_bound(_compared(condition.least, condition), parameters)})")
    if condition.most is not None:
        tests.append(f"({NUMBER} AND @value <= {_bound(_compared(condition.most, condition), parameters)})")
    if not tests:
        raise BadRequest(f"the condition about {condition.key!r} asks for nothing; give values, least or most")
    return f"({' AND '.join(tests)})"


def _is_one_of(values: Sequence[str | int | bool], parameters: Parameters) -> str:
    """1 is none of 1.0, "1" and true."""
    tests = ["0"]
    for kind, some in (
        (TEXT, [value for value in values if isinstance(value, str)]),
        (TRUTH, [value for value in values if isinstance(value, bool)]),
        (WHOLE, [value for value in values if not isinstance(value, str | bool)]),
    ):
        if some:  # as one parameter, of which SQLite has few
            tests.append(ONE_OF.replace("@kind", kind).replace("@list", _bound(json.dumps(some), parameters)))
    return f"({' OR '.join(tests)})"


def _compared(value: float, condition: Condition) -> float:
    if math.isnan(value):
        raise BadRequest(f"the condition about {condition.key!r} compares with {value!r}; give a number")
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bound(value: str | float, parameters: Parameters) -> str:
    """Its name in the expression."""
    if isinstance(value, int) and not -MOST <= value < MOST:
        value = float(value)  # as SQLite reads such a one in a payload
    name = f"where{len(parameters)}"
    parameters[name] = value
    return f":{name}"
