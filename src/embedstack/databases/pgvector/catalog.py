"""The name of a table or a view becomes what PostgreSQL's catalog says of it: columns, indexes, comments."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from psycopg import sql

from embedstack.databases.pgvector.connecting import Connection
from embedstack.errors import ConfigError

OLDEST = (0, 7, 0)  # of pgvector: halfvec and sparsevec

# what it is said of is `c`; an origin may be 100 kB, and is cut off where nobody asks for it
SELECT = """
SELECT json_build_object(
  'oid', c.oid::bigint, 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
  'is_visible', pg_table_is_visible(c.oid), 'comment', obj_description(c.oid, 'pg_class'),
  'columns', (
    SELECT coalesce(json_agg(json_build_object(
      'number', a.attnum, 'name', a.attname, 'type', t.typname, 'type_schema', tn.nspname, 'width', a.atttypmod,
      'is_generated', a.attgenerated <> '',
      'comment', CASE WHEN {origins} THEN col_description(c.oid, a.attnum)
        ELSE split_part(E'\\n' || col_description(c.oid, a.attnum), E'\\nembedstack: {{', 1) END
    ) ORDER BY a.attnum), '[]')
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace tn ON tn.oid = t.typnamespace
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'indexes', (
    SELECT coalesce(json_agg(json_build_object(
      'name', ic.relname, 'columns', string_to_array(i.indkey::text, ' ')::int[], 'is_primary', i.indisprimary,
      'is_valid', i.indisvalid, 'is_partial', i.indpred IS NOT NULL, 'method', am.amname, 'operators', oc.opcname,
      'comment', obj_description(i.indexrelid, 'pg_class')
    ) ORDER BY i.indexrelid), '[]')
    FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am am ON am.oid = ic.relam
      JOIN pg_opclass oc ON oc.oid = i.indclass[0]
    WHERE i.indrelid = c.oid),
  'parents', (
    SELECT coalesce(json_object_agg(k.conkey[1], k.confrelid::bigint), '{{}}')
    FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f' AND cardinality(k.conkey) = 1),
  'shows', (
    SELECT min(d.refobjid::bigint) FROM pg_rewrite r
      JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    WHERE r.ev_class = c.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> c.oid)
)::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {which} ORDER BY pg_table_is_visible(c.oid) DESC, c.oid
"""
NAMED = """c.relkind IN ('r', 'p', 'v', 'm', 'f') AND (c.relname = %s AND pg_table_is_visible(c.oid)
  OR n.nspname = %s AND c.relname = %s)"""
SEEN = "n.nspname <> 'pg_catalog' AND pg_table_is_visible(c.oid)"
TABLES = f"{SEEN} AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'"
VIEWS = "n.nspname <> 'pg_catalog' AND c.relkind = 'v'"


class FoundColumn(msgspec.Struct, frozen=True, kw_only=True):
    """Of a table."""

    number: int
    name: str
    type: str
    type_schema: str
    width: int  # pgvector's; -1: any
    is_generated: bool
    comment: str | None


class FoundIndex(msgspec.Struct, frozen=True, kw_only=True):
    """Of a table."""

    name: str
    columns: list[int]  # their numbers; 0: an expression
    is_primary: bool
    is_valid: bool  # else it is being built, or who built it died
    is_partial: bool
    method: str
    operators: str  # the class of the first column's
    comment: str | None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A table, a view, or whatever else has the name."""

    oid: int
    schema: str
    name: str
    kind: str  # r: table, p: partitioned table, v: view
    is_visible: bool  # without its schema in front
    comment: str | None
    columns: list[FoundColumn]
    indexes: list[FoundIndex]
    parents: dict[int, int]  # number of a column -> the table whose key it refers to
    shows: int | None  # a view: a table of which it is

    @property
    def own_name(self) -> str:
        """By which it is found again."""
        return self.name if self.is_visible else f"{self.schema}.{self.name}"

    @property
    def is_table(self) -> bool:
        return self.kind in ("r", "p")


@dataclass(frozen=True, slots=True)
class Extension:
    """pgvector, as it is installed in the database."""

    schema: str
    version: tuple[int, ...]


def find(connection: Connection, name: str, *, origins: bool = False) -> Found | None:
    """What the name stands for.

    A name with a dot is a table with this whole name, or that of a table in another schema behind the schema's.

    Args:
        origins: comments of columns are wanted whole.
    """
    schema, _, rest = name.partition(".")
    found = _select(connection, NAMED, (name, schema, rest), origins=origins)
    return found[0] if found else None


def find_at(connection: Connection, schema: str, name: str) -> Found | None:
    """What stands at this very place."""
    found = _select(connection, "n.nspname = %s AND c.relname = %s", (schema, name), origins=False)
    return found[0] if found else None


def find_number(connection: Connection, oid: int, *, origins: bool = False) -> Found | None:
    """What the number stands for."""
    found = _select(connection, "c.oid = %s::bigint::oid", (oid,), origins=origins)
    return found[0] if found else None


def find_tables(connection: Connection) -> list[Found]:
    """All that need no schema in front."""
    return _select(connection, TABLES, (), origins=False)


def find_views(connection: Connection) -> list[Found]:
    """All views, also in schemas that nobody looks in."""
    return _select(connection, VIEWS, (), origins=False)


def place_of(connection: Connection, name: str) -> tuple[str, str]:
    """Schema and name of a table that is made under this name.

    Raises:
        ConfigError: the user has no schema to make tables in.
    """
    schema, _, rest = name.partition(".")
    if rest and connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone():
        return schema, rest
    row = connection.execute("SELECT current_schema()").fetchone()
    if row is None or row[0] is None:
        raise ConfigError("this user's search_path has no schema in it that is there; set it, or create the schema")
    return str(row[0]), name


def extension(connection: Connection) -> Extension | None:
    """None where it is not installed in this database.

    Raises:
        ConfigError: it is too old.
    """
    row = connection.execute(
        "SELECT n.nspname, x.extversion FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace "
        "WHERE x.extname = 'vector'"
    ).fetchone()
    if row is None:
        return None
    version = tuple(int(part) for part in str(row[1]).split(".") if part.isdigit())
    if version < OLDEST:
        raise ConfigError(
            f"pgvector {row[1]} is installed in this database and 0.7.0 is needed; run: ALTER EXTENSION vector UPDATE"
        )
    return Extension(str(row[0]), version)


def _select(connection: Connection, which: str, values: Sequence[object], *, origins: bool) -> list[Found]:
    text = SELECT.format(origins=str(origins), which=which)
    rows = connection.execute(sql.SQL(text), values)
    return [msgspec.json.decode(row[0], type=Found) for row in rows]
