"""A key of a payload becomes expressions over jsonb; conditions and indexes must have the very same ones."""

from psycopg import sql

from embedstack.databases.pgvector.quoting import Quoted


def value_of(payload: sql.Composable, key: str) -> sql.Composable:
    """What stands under the key, NULL where nothing does; dots lead into nested objects."""
    parts = key.split(".")
    return path_of(payload, parts)


def path_of(value: sql.Composable, parts: list[str]) -> sql.Composable:
    """What stands under these keys of nested objects."""
    quoted = ",".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in parts)
    return sql.SQL("{} #> {}::text[]").format(value, Quoted("{" + quoted + "}"))


def type_of(value: sql.Composable) -> sql.Composable:
    """A text as 'number' or 'array'."""
    return sql.SQL("jsonb_typeof({})").format(value)


def number_of(value: sql.Composable) -> sql.Composable:
    """NULL where it is no number."""
    return sql.SQL("CASE WHEN jsonb_typeof({0}) = 'number' THEN ({0})::numeric END").format(value)
