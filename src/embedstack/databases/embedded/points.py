"""Points of a collection become rows of its tables, and back, within a transaction."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence

from embedstack.databases.checks import check_points
from embedstack.databases.database import MOST_ID, Json, Page, Point, PointId, Points, Vector, Where
from embedstack.databases.embedded.blobs import blobs, vector_of
from embedstack.databases.embedded.catalogue import Kept, touch
from embedstack.databases.embedded.damage import damaged
from embedstack.databases.embedded.keys import id_of, key_of
from embedstack.databases.embedded.schema import numbered
from embedstack.databases.embedded.where import clause

JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
FIND = "SELECT number FROM points# WHERE id = ?"
ADD = "INSERT INTO points# (id, payload) VALUES (?, ?)"
REPLACE = "UPDATE points# SET payload = ? WHERE number = ?"
SET = "INSERT OR REPLACE INTO vectors# (point, vector) VALUES (?, ?)"
ROWS = "SELECT number, id, @payload FROM points# WHERE id > :after AND (@where) ORDER BY id LIMIT :limit"
CHOSEN = "SELECT number FROM points# WHERE @where"


def write(connection: sqlite3.Connection, found: Kept, points: Points, *, only_new: bool) -> None:
    """Raises: as `check_points`."""
    check_points(found.collection, points)
    written: list[tuple[int, int]] = []  # which of the points, and the number of its row
    for place, given in enumerate(points.ids):
        number = _find(connection, found, given)
        if number is None or not only_new:
            written.append((place, _put(connection, found, number, given, points.payloads[place])))
    for name, column in points.vectors.items():
        data = blobs(found.collection.fields[name], column)
        connection.executemany(numbered(SET, found.fields[name]), [(number, data[place]) for place, number in written])
    if written:
        touch(connection, [found.fields[name] for name in points.vectors])


def delete(connection: sqlite3.Connection, found: Kept, ids: Sequence[PointId]) -> None:
    numbers = [(number,) for given in ids if (number := _find(connection, found, given)) is not None]
    for table in found.fields.values():
        connection.executemany(numbered("DELETE FROM vectors# WHERE point = ?", table), numbers)
    connection.executemany(numbered("DELETE FROM points# WHERE number = ?", found.number), numbers)
    if numbers:
        touch(connection, found.fields.values())


def count(connection: sqlite3.Connection, found: Kept) -> int:
    return int(connection.execute(numbered("SELECT count(*) FROM points#", found.number)).fetchone()[0])


def page(
    connection: sqlite3.Connection,
    found: Kept,
    *,
    after: PointId | None,
    limit: int,
    vectors: Sequence[str],
    payload: bool,
    where: Where | None,
) -> Page:
    """One more is looked for than is given, to know whether there is another page."""
    sql, parameters = clause(where)
    statement = ROWS.replace("@payload", "payload" if payload else "NULL").replace("@where", sql)
    parameters |= {"after": b"" if after is None else key_of(after), "limit": min(limit + 1, MOST_ID - 1)}
    rows = connection.execute(numbered(statement, found.number), parameters).fetchall()
    given = [
        Point(id=id_of(key), vectors=vectors_of(connection, found, number, vectors), payload=_payload(key, text))
        for number, key, text in rows[:limit]
    ]
    return Page(given, given[-1].id if len(rows) > limit else None)


def some(
    connection: sqlite3.Connection, found: Kept, ids: Sequence[PointId], vectors: Sequence[str]
) -> Iterator[Point]:
    """Those that are there."""
    for given in ids:
        number = _find(connection, found, given)
        if number is not None:
            yield one(connection, found, number, vectors)


def one(
    connection: sqlite3.Connection, found: Kept, number: int, vectors: Sequence[str], *, payload: bool = True
) -> Point:
    """By the number of its row."""
    sql = numbered("SELECT id, payload FROM points# WHERE number = ?", found.number)
    row = connection.execute(sql, (number,)).fetchone()
    if row is None:
        raise damaged(f"collection {found.collection.name!r} has a vector of a point that is not there")
    key, text = row
    return Point(
        id=id_of(key),
        vectors=vectors_of(connection, found, number, vectors),
        payload=_payload(key, text) if payload else {},
    )


def vectors_of(connection: sqlite3.Connection, found: Kept, number: int, names: Sequence[str]) -> Mapping[str, Vector]:
    """Those of these fields that the point has."""
    given: dict[str, Vector] = {}
    for name in names:
        sql = numbered("SELECT vector FROM vectors# WHERE point = ?", found.fields[name])
        row = connection.execute(sql, (number,)).fetchone()
        if row is not None:
            given[name] = vector_of(found.collection.fields[name], row[0])
    return given


def chosen(connection: sqlite3.Connection, found: Kept, where: Where) -> list[int]:
    """The numbers of the rows that are meant, in no order."""
    sql, parameters = clause(where)
    rows = connection.execute(numbered(CHOSEN.replace("@where", sql), found.number), parameters)
    return [number for (number,) in rows]


def numbers_of(connection: sqlite3.Connection, found: Kept, ids: Sequence[PointId]) -> list[int]:
    """Of the rows of those that are there, each once, in the order of ids.

    Raises:
        BadRequest: one is no id.
    """
    keys = sorted({key_of(given): given for given in ids}.items())
    return [number for _, given in keys if (number := _find(connection, found, given)) is not None]


def _find(connection: sqlite3.Connection, found: Kept, given: PointId) -> int | None:
    row = connection.execute(numbered(FIND, found.number), (key_of(given),)).fetchone()
    return row[0] if row else None


def _put(
    connection: sqlite3.Connection, found: Kept, number: int | None, given: PointId, payload: Mapping[str, Json]
) -> int:
    """The row's number."""
    text = JSON.encode(dict(payload))
    if number is None:
        number = connection.execute(numbered(ADD, found.number), (key_of(given), text)).lastrowid
        assert number is not None
        return number
    connection.execute(numbered(REPLACE, found.number), (text, number))
    return number


def _payload(key: bytes, text: str | None) -> Mapping[str, Json]:
    if text is None:
        return {}
    try:
        found: dict[str, Json] = json.loads(text)
    except ValueError as error:
        raise damaged(f"the payload of point {id_of(key)!r} is not JSON ({error})") from error
    return found
