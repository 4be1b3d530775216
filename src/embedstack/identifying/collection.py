"""A collection of any database -> some of its points from all over; of a large one few more are read than are given."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from embedstack.databases.checks import dense_field, unknown
from embedstack.databases.database import Collection, Database, Field, Point, PointId
from embedstack.databases.opening import SCHEMES, URL, open_database
from embedstack.errors import BadRequest
from embedstack.identifying.rows import Pool, Row, fields_of
from embedstack.identifying.walking import places
from embedstack.loading.found import spread

ALL = 4096  # points of a collection that is read as a whole
PAGE = 256
PLACES = 64  # in a larger one, from each of which some points are read


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A collection in a database."""

    url: str
    name: str
    vector: str = ""  # the field
    api_key: str = ""


def pool_of(there: Address, most: int) -> Pool:
    """At most about so many points with their vectors.

    Raises:
        UnknownCollection: there is none. BadRequest: which vectors are meant cannot be told, or it has none.
    """
    with closing(open_database(there.url, api_key=there.api_key)) as database:
        found = database.describe(there.name)
        if found is None:
            raise unknown(there.name, database.names())
        name = dense_field(found, there.vector)
        label = f"collection {there.name!r} in {database.url}"
        rows = [row for point in _points(database, found, name, most) if (row := _row(point, name)) is not None]
    if not rows:
        raise BadRequest(f"{label} has no point with a vector; load some first")
    field = found.fields[name]
    return Pool(label=label, rows=rows, total=found.points, origin=field.origin, reshaped=_reshaped(there.url, field))


def _reshaped(url: str, field: Field) -> str:
    """Source: https://qdrant.tech/documentation/concepts/collections: cosine vectors are normalized when they come."""
    scheme = URL.fullmatch(url)
    kind = SCHEMES.get(scheme[1].lower()) if scheme else None
    is_qdrant = kind is not None and kind.extra == "qdrant"
    return "Qdrant brings vectors of cosine fields to length 1" if is_qdrant and field.distance == "cosine" else ""


def _row(point: Point, name: str) -> Row | None:
    vector = point.vectors.get(name)
    return Row(f"point {point.id}", fields_of(point.payload), vector) if isinstance(vector, np.ndarray) else None


def _points(database: Database, found: Collection, name: str, most: int) -> list[Point]:
    if found.points <= max(ALL, most):
        points = list(_all(database, found.name, name))
        return [points[place] for place in spread(len(points), most)]

    def behind(after: PointId | None) -> PointId | None:
        page = database.read(found.name, after=after, limit=1, payload=False)
        return page.points[0].id if page.points else None

    each = -(-most // PLACES)
    pages = [database.read(found.name, after=after, limit=each, vectors=[name]) for after in places(behind, PLACES)]
    return list({point.id: point for page in pages for point in page.points}.values())


def _all(database: Database, collection: str, field: str) -> Iterator[Point]:
    page = database.read(collection, limit=PAGE, vectors=[field])
    yield from page.points
    while page.after is not None:
        page = database.read(collection, after=page.after, limit=PAGE, vectors=[field])
        yield from page.points
