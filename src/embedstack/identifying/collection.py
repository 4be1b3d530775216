"""A collection of any database -> some of its points from all over; of a large one few more are read than are given."""

from collections.abc import Iterator
from contextlib import closing

import numpy as np

from embedstack.databases.addresses import CollectionAddress
from embedstack.databases.checks import unknown
from embedstack.databases.database import Collection, Database, Field, Page, Point, PointId, pages
from embedstack.databases.fields import one_field
from embedstack.databases.opening import SCHEMES, URL, open_database
from embedstack.errors import BadRequest
from embedstack.identifying.rows import Pool, Row, fields_of
from embedstack.identifying.walking import places
from embedstack.loading.found import spread

ALL = 4096  # points of a collection that is read as a whole
PAGE = 256
PLACES = 64  # in a larger one, from each of which some points are read


def pool_of(there: CollectionAddress, most: int, *, api_key: str = "") -> Pool:
    """At most about so many points with their vectors.

    Args:
        api_key: Qdrant's.
    Raises:
        UnknownCollection: there is none. BadRequest: which vectors are meant cannot be told, or it has none.
    """
    with closing(open_database(there.database, api_key=api_key)) as database:
        found = database.describe(there.collection)
        if found is None:
            raise unknown(there.collection, database.names())
        name = one_field(found, there.vector, "dense")
        label = f"collection {there.collection!r} in {database.url}"
        rows = [row for point in _points(database, found, name, most) if (row := _row(point, name)) is not None]
    if not rows:
        raise BadRequest(f"{label} has no point with a vector; load some first")
    field = found.fields[name]
    return Pool(
        label=label, rows=rows, total=found.points, origin=field.origin, reshaped=_reshaped(there.database, field)
    )


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
    def read(after: PointId | None) -> Page:
        return database.read(collection, after=after, limit=PAGE, vectors=[field])

    for page in pages(read):
        yield from page.points
