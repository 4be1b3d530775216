"""A condition becomes SQL over a value of jsonb: it or one of a list's is equal to one of its type, or in a range."""

import json
import math
import sys
from typing import TypeGuard

from psycopg import sql

from embedstack.databases.database import Condition
from embedstack.databases.pgvector.paths import number_of, type_of
from embedstack.databases.pgvector.quoting import Part, joined

NEVER: Part = (sql.SQL("FALSE"), ())
FAR = sys.float_info.max  # JSON has no infinity


def over_value(value: sql.Composable, condition: Condition, *, has_order: bool = False) -> Part:
    """NULL or false where it does not hold.

    Args:
        value: of jsonb, NULL where there is none.
        has_order: there is an index over its numbers, and none over equal values.
    """
    if condition.least is not None or condition.most is not None:
        return _in_range(value, condition)
    if condition.values is None:
        return sql.SQL("({}) IS NOT NULL").format(value), ()
    equal = [_equal(value, one, has_order=has_order) for one in condition.values if can_be(one)]
    return joined(equal, " OR ") if equal else NEVER


def can_be(wanted: str | int | bool) -> bool:
    """PostgreSQL keeps no text with NUL or half a surrogate in it."""
    return not isinstance(wanted, str) or _is_text(wanted)


def is_number(value: object) -> TypeGuard[int | float]:
    """Python takes True for 1."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def bounds(condition: Condition) -> tuple[float, float] | None:
    """From where to where; None: no number can be there."""
    least = -FAR if condition.least is None else condition.least
    most = FAR if condition.most is None else condition.most
    if math.isnan(least) or math.isnan(most) or least == math.inf or most == -math.inf:
        return None
    return max(least, -FAR), min(most, FAR)


def _equal(value: sql.Composable, wanted: str | int | bool, *, has_order: bool) -> Part:
    """A list contains each of its values, and any value itself."""
    text = json.dumps(wanted)
    if not has_order or not is_number(wanted):
        return sql.SQL("({}) @> %s::jsonb").format(value), (text,)
    number = sql.SQL("({}) = %s::numeric").format(number_of(value)), (text,)
    within = sql.SQL("({}) @> %s::jsonb").format(value), (text,)
    return _by_type(value, number, within)


def _in_range(value: sql.Composable, condition: Condition) -> Part:
    """Of numbers. One that must also be equal to others must be so itself, not another one of the same list."""
    found = bounds(condition)
    equals = None if condition.values is None else [one for one in condition.values if is_number(one)]
    if found is None or equals == []:
        return NEVER
    number = number_of(value)
    tests: list[Part] = [
        (sql.SQL("({}) >= %s::numeric").format(number), (repr(found[0]),)),
        (sql.SQL("({}) <= %s::numeric").format(number), (repr(found[1]),)),
    ]
    if equals is not None:
        tests.append((sql.SQL("({}) = ANY (%s::numeric[])").format(number), ([repr(one) for one in equals],)))
    return _by_type(
        value, joined(tests, " AND "), (sql.SQL("({}) @? %s::jsonpath").format(value), (_path(found, equals),))
    )


def _by_type(value: sql.Composable, number: Part, within: Part) -> Part:
    """In the form of the index: first the type, then the number."""
    kind = sql.SQL("({}) = {}")
    one = joined([(kind.format(type_of(value), sql.Literal("number")), ()), number], " AND ")
    several = joined([(kind.format(type_of(value), sql.Literal("array")), ()), within], " AND ")
    return joined([one, several], " OR ")


def _path(found: tuple[float, float], equals: list[int | float] | None) -> str:
    """Of a list's values, not of those of lists in it."""
    tests = ['@.type() == "number"', f"@ >= {found[0]!r}", f"@ <= {found[1]!r}"]
    if equals is not None:
        tests.append("(" + " || ".join(f"@ == {one!r}" for one in equals) + ")")
    return f"$[*] ? ({' && '.join(tests)})"


def _is_text(wanted: str) -> bool:
    try:
        wanted.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in wanted
