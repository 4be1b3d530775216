"""Points that were looked at become requests that write them: all of it, only new ones, or some of their vectors."""

from collections.abc import Callable, Iterable, Sequence

from qdrant_client import models

from embedstack.databases.database import Collection, PointId, Points
from embedstack.databases.qdrant.connection import Connection
from embedstack.databases.qdrant.points import cut, parts_of, structs_of, termless_of, updates_of
from embedstack.databases.qdrant.where import NOTHING
from embedstack.errors import TooLong, Upstream

IDS_AT_ONCE = 10_000  # of a request that names points: 400 kB of UUIDs


def write_points(connection: Connection, there: Collection, points: Points, *, only_new: bool) -> None:
    """Durable at the end. A write that broke off may be in part there; the same again makes it whole.

    Qdrant replaces a point with all its vectors. Where fields are left out, therefore, points that are missing are made
    first, and then all get their vectors and payloads, in one request.

    Args:
        there: checked against the points; by the name under which it is asked.
    """
    if only_new:
        write = _insert
    elif points.vectors.keys() >= there.fields.keys():
        write = _upsert
    else:
        write = _complete
    for part in parts_of(points):
        _halved(part, lambda some: write(connection, there.name, some))


def delete_points(connection: Connection, name: str, ids: Sequence[PointId]) -> None:
    """Those that are there."""
    for some in _tens(ids):
        selector = models.PointIdsList(points=[*some])
        with connection.use() as client:
            done = client.delete(name, points_selector=selector, wait=True)
        _check_done(connection, [done])


def _halved(points: Points, write: Callable[[Points], None]) -> None:
    """A server may take less at once than servers do."""
    try:
        write(points)
    except TooLong:
        if len(points) < 2:
            raise
        middle = len(points) // 2
        _halved(cut(points, 0, middle), write)
        _halved(cut(points, middle, len(points)), write)


def _upsert(connection: Connection, name: str, points: Points) -> None:
    _send(connection, name, points)


def _insert(connection: Connection, name: str, points: Points) -> None:
    """Of points that are there those in a filter are replaced, and so with an empty one none, whoever made them.

    https://github.com/qdrant/qdrant/pull/7006
    """
    connection.check_inserts()
    _send(connection, name, points, models.Filter(must=[NOTHING]))


def _send(connection: Connection, name: str, points: Points, replaced: models.Filter | None = None) -> None:
    structs = structs_of(points)
    with connection.use() as client:
        done = client.upsert(name, points=structs, wait=True, update_filter=replaced)
    _check_done(connection, [done])


def _complete(connection: Connection, name: str, points: Points) -> None:
    _insert(connection, name, points)
    changes: list[models.UpdateOperation] = []
    if updates := updates_of(points):
        changes.append(models.UpdateVectorsOperation(update_vectors=models.UpdateVectors(points=updates)))
    for field, ids in termless_of(points).items():
        gone = models.DeleteVectors(points=[*ids], vector=[field])
        changes.append(models.DeleteVectorsOperation(delete_vectors=gone))
    for given, payload in zip(points.ids, points.payloads, strict=True):
        change = models.SetPayload(payload=dict(payload), points=[given])
        changes.append(models.OverwritePayloadOperation(overwrite_payload=change))
    with connection.use() as client:
        done = client.batch_update_points(name, update_operations=changes, wait=True)
    _check_done(connection, done)


def _check_done(connection: Connection, results: Iterable[models.UpdateResult]) -> None:
    """A server that is busy may say that it wrote it down, and that it waits no longer."""
    if any(result.status.value == "wait_timeout" for result in results):
        raise Upstream(f"{connection.url} is still busy with what was written; try again later", retry=True)


def _tens(ids: Sequence[PointId]) -> Iterable[Sequence[PointId]]:
    return (ids[start : start + IDS_AT_ONCE] for start in range(0, len(ids), IDS_AT_ONCE))
