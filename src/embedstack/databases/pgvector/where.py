"""Which points are meant becomes a condition in SQL over their payloads, wherever these come from."""

from psycopg import sql

from embedstack.databases.database import Condition, Where
from embedstack.databases.pgvector.column_conditions import over_column
from embedstack.databases.pgvector.json_conditions import NEVER, over_value
from embedstack.databases.pgvector.paths import value_of
from embedstack.databases.pgvector.quoting import Name, Part, joined
from embedstack.databases.pgvector.tables import Table


def conditions(table: Table, where: Where | None) -> list[Part]:
    """All of them must hold. Those over a key that has an index can use it."""
    if where is None:
        return []
    held = [_condition(table, one) for one in where.all]
    denied = [_condition(table, one) for one in where.none]
    return [*held, *((sql.SQL("({}) IS NOT TRUE").format(piece), values) for piece, values in denied)]


def behind_where(parts: list[Part]) -> Part:
    """WHERE and all of them; nothing where there are none."""
    if not parts:
        return sql.SQL(""), ()
    piece, values = joined(parts, " AND ")
    return sql.SQL("WHERE {}").format(piece), values


def _condition(table: Table, condition: Condition) -> Part:
    source = table.source
    if source.columns is None:
        index = table.indexes.get(condition.key)
        has_order = index is not None and index.kind in ("integer", "float")
        return over_value(value_of(Name(source.alias, "payload"), condition.key), condition, has_order=has_order)
    column, *rest = [condition.key] if condition.key in source.columns else condition.key.split(".")
    if column not in source.columns:
        return NEVER
    return over_column(Name(source.alias, column), source.columns[column], rest, condition)
