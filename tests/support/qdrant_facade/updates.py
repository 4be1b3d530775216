"""What is to be done with points, in JSON, becomes the engine's operation."""

from __future__ import annotations  # the stub of the engine has names that its module has not

import qdrant_edge as edge

from support.qdrant_facade.bodies import (
    DeletePayload,
    DeleteVectors,
    Operation,
    Select,
    SetPayload,
    UpdateVectors,
    Upsert,
)
from support.qdrant_facade.filters import filter_of
from support.qdrant_facade.points import points_of, rows_of, vectors_of
from support.qdrant_facade.refused import Refused

Do = edge.UpdateOperation
MODES = {
    "upsert": edge.UpdateMode.Upsert,
    "insert_only": edge.UpdateMode.InsertOnly,
    "update_only": edge.UpdateMode.UpdateOnly,
}
Order = Upsert | Select | UpdateVectors | DeleteVectors | SetPayload | DeletePayload


def operation_of(given: Operation) -> Do:
    """Of the one that is there."""
    for made, order in (
        (upsert, given.upsert),
        (delete, given.delete),
        (update_vectors, given.update_vectors),
        (delete_vectors, given.delete_vectors),
        (set_payload, given.set_payload),
        (overwrite_payload, given.overwrite_payload),
        (delete_payload, given.delete_payload),
        (clear_payload, given.clear_payload),
    ):
        if order is not None:
            return made(order)
    raise Refused(400, "Format error in JSON body: data did not match any variant of untagged enum UpdateOperation")


def upsert(order: Upsert) -> Do:
    """A point that is there is replaced, with all its vectors."""
    points = order.points or [] if order.batch is None else rows_of(order.batch)
    return Do.upsert_points(points_of(points), filter_of(order.update_filter), MODES[order.update_mode])


def update_vectors(order: UpdateVectors) -> Do:
    """Vectors that are not named stay; a point that is not there is an error, after those before it were written."""
    points = [edge.PointVectors(point.id, vectors_of(point.vector)) for point in order.points]
    return Do.update_vectors(points, filter_of(order.update_filter))


def delete(order: Select) -> Do:
    """Points."""
    chosen = filter_of(order.filter)
    return Do.delete_points(_ids(order)) if chosen is None else Do.delete_points_by_filter(chosen)


def delete_vectors(order: DeleteVectors) -> Do:
    """The points stay."""
    chosen = filter_of(order.filter)
    if chosen is None:
        return Do.delete_vectors(_ids(order), order.vector)
    return Do.delete_vectors_by_filter(chosen, order.vector)


def set_payload(order: SetPayload) -> Do:
    """Keys that are not given stay."""
    chosen = filter_of(order.filter)
    if chosen is None:
        return Do.set_payload(_ids(order), order.payload, order.key)
    return Do.set_payload_by_filter(chosen, order.payload, order.key)


def overwrite_payload(order: SetPayload) -> Do:
    """Keys that are not given go."""
    chosen = filter_of(order.filter)
    if chosen is None:
        return Do.overwrite_payload(_ids(order), order.payload, order.key)
    return Do.overwrite_payload_by_filter(chosen, order.payload, order.key)


def delete_payload(order: DeletePayload) -> Do:
    """Some keys."""
    chosen = filter_of(order.filter)
    if chosen is None:
        return Do.delete_payload(_ids(order), order.keys)
    return Do.delete_payload_by_filter(chosen, order.keys)


def clear_payload(order: Select) -> Do:
    """All keys."""
    chosen = filter_of(order.filter)
    return Do.clear_payload(_ids(order)) if chosen is None else Do.clear_payload_by_filter(chosen)


def _ids(order: Select | DeleteVectors | SetPayload | DeletePayload) -> list[edge.PointId]:
    if order.points is None:
        raise Refused(422, "Validation error in JSON body: [points: either points or a filter must be given]")
    return [*order.points]
