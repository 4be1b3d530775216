"""A condition becomes SQL over a column of somebody's own table, in its own type, so that its own indexes are used."""

import math
from collections.abc import Sequence

from psycopg import sql

from embedstack.databases.database import Condition
from embedstack.databases.pgvector.json_conditions import NEVER, bounds, can_be, is_number, over_value
from embedstack.databases.pgvector.paths import path_of
from embedstack.databases.pgvector.quoting import Name, Part, joined

TEXTS = frozenset({"text", "varchar"})
WHOLE = frozenset({"int2", "int4", "int8"})
BROKEN = {"float4": "float8", "float8": "float8", "numeric": "numeric"}
SMALLEST, LARGEST = -(2**63), 2**63 - 1


def over_column(column: Name, type_: str, rest: Sequence[str], condition: Condition) -> Part:
    """NULL or false where it does not hold.

    Args:
        type_: of the column, as pg_type names it.
        rest: keys of nested objects in it.
    """
    if type_ in ("json", "jsonb"):
        return over_value(_below(column, rest), condition)
    if rest:
        return NEVER
    has_range = condition.least is not None or condition.most is not None
    if condition.values is None and not has_range:
        return sql.SQL("{} IS NOT NULL").format(column), ()
    if type_ in WHOLE:
        return _whole(column, condition)
    if type_ in BROKEN:
        return _broken(column, BROKEN[type_], condition)
    if has_range:
        return NEVER
    if type_ in TEXTS:
        return _among(column, "text", [one for one in condition.values or () if isinstance(one, str) and can_be(one)])
    if type_ == "bool":
        return _among(column, "bool", [one for one in condition.values or () if isinstance(one, bool)])
    return over_value(_below(column, ()), condition)


def _below(column: Name, rest: Sequence[str]) -> sql.Composable:
    """JSON's null is a value, which equals none that can be asked for; other types become what they are read as."""
    value = sql.SQL("to_jsonb({})").format(column)
    return path_of(value, list(rest)) if rest else value


def _whole(column: Name, condition: Condition) -> Part:
    """Compared as whole numbers: an index over them is of no use to others."""
    tests: list[Part] = []
    if condition.values is not None:
        fitting = [one for one in condition.values if is_number(one) and SMALLEST <= one <= LARGEST]
        tests.append(_among(column, "bigint", fitting))
    if condition.least is not None or condition.most is not None:
        found = bounds(condition)
        if found is None or found[0] > LARGEST or found[1] < SMALLEST:
            return NEVER
        least, most = max(math.ceil(found[0]), SMALLEST), min(math.floor(found[1]), LARGEST)
        tests.append((sql.SQL("{} BETWEEN %s::bigint AND %s::bigint").format(column), (least, most)))
    return joined(tests, " AND ")


def _broken(column: Name, type_: str, condition: Condition) -> Part:
    tests: list[Part] = []
    if condition.values is not None:
        tests.append(_among(column, type_, [str(one) for one in condition.values if is_number(one)]))
    if condition.least is not None or condition.most is not None:
        found = bounds(condition)
        if found is None:
            return NEVER
        between = sql.SQL("{0} BETWEEN %s::{1} AND %s::{1}").format(column, sql.SQL(type_))
        tests.append((between, (repr(found[0]), repr(found[1]))))
    return joined(tests, " AND ")


def _among(column: Name, type_: str, values: Sequence[object]) -> Part:
    return sql.SQL("{} = ANY (%s::{}[])").format(column, sql.SQL(type_)), ([*values],)
