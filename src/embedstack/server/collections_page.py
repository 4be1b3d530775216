"""GET /collections: what can be searched, whose vectors it holds now, and whether that model is served."""

import asyncio
import time
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from embedstack.databases.database import Collection, Distance, Field, Kind
from embedstack.databases.fields import shown_name
from embedstack.dialects.wire import dump
from embedstack.errors import EmbedstackError, Mismatch, NotReady
from embedstack.server.bound_models import BoundModels, identity_of
from embedstack.server.front import Front
from embedstack.server.search import LABEL
from embedstack.server.served import Served
from embedstack.server.table import COLLECTIONS, own_words


class FieldRow(msgspec.Struct, forbid_unknown_fields=True):
    """One kind of vector; `model` is empty where nobody has signed it."""

    kind: Kind
    dim: int
    distance: Distance
    model: str
    space: str


class CollectionRow(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One collection; away: its database cannot be asked, or has none of that name."""

    name: str
    status: Literal["ready", "indexing", "failed", "away"]
    reason: str = ""  # why it is away, or no model stands for its name
    collection: str | None = None  # its own name
    alias: str | None = None  # of its database, where it is found by one
    points: int | None = None
    model: str | None = None  # that its name stands for
    space: str | None = None
    dim: int | None = None
    is_served: bool = False  # whether that model is
    fields: dict[str, FieldRow] = {}


class CollectionsReply(msgspec.Struct, forbid_unknown_fields=True):
    """All that are served, in the order of the setting."""

    collections: list[CollectionRow]


def collections_page(front: Front) -> Route:
    """Its route."""
    serving = own_words()

    async def replied(request: Request) -> Response:
        try:
            front.admitted(request.scope)
            bound = _bound(front)
            rows = await asyncio.gather(*(_row(served, bound) for served in front.collections.every))
            body = dump(msgspec.to_builtins(CollectionsReply(list(rows))))
            return Response(body, media_type="application/json")
        except Exception as error:
            wire = front.failed(serving, error, request.scope["embedstack.request_id"])
            return Response(wire.body, wire.status, dict(wire.headers), wire.media_type)

    async def shown(request: Request) -> Response:
        began = time.perf_counter()
        reply = await replied(request)
        front.done(COLLECTIONS, LABEL, request.scope, reply.status_code, time.perf_counter() - began)
        return reply

    return Route(COLLECTIONS, shown)


def _bound(front: Front) -> BoundModels | None:
    """None while there is no encoder."""
    try:
        return front.bound()
    except NotReady:
        return None


async def _row(served: Served, bound: BoundModels | None) -> CollectionRow:
    try:
        return _described(served, await served.recent(), bound)
    except EmbedstackError as error:
        return CollectionRow(name=served.name, status="away", reason=error.message)


def _described(served: Served, there: Collection, bound: BoundModels | None) -> CollectionRow:
    row = CollectionRow(
        name=served.name,
        status=there.status,
        collection=there.name,
        alias=served.there if served.there != there.name else None,
        points=there.points,
        fields={shown_name(there, name): _field(field) for name, field in there.fields.items()},
    )
    try:
        identity = identity_of(there)
    except Mismatch as error:
        row.reason = error.message
        return row
    row.model, row.space, row.dim = identity.model, identity.space, identity.dim
    row.is_served = bound is not None and bound.served(identity) is not None
    return row


def _field(field: Field) -> FieldRow:
    identity = field.origin.identity if field.origin is not None else None
    return FieldRow(
        kind=field.kind,
        dim=field.dim,
        distance=field.distance,
        model=identity.model if identity is not None else "",
        space=identity.space if identity is not None else "",
    )
