"""Collections become a web application with a server's routes."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from support.qdrant_facade.bodies import (
    ChangeAliases,
    Count,
    Create,
    CreateIndex,
    DeletePayload,
    DeleteVectors,
    NewVector,
    Operation,
    Operations,
    Patch,
    Payload,
    Queries,
    Query,
    Retrieve,
    Scroll,
    Select,
    SetPayload,
    UpdateVectors,
    Upsert,
)
from support.qdrant_facade.faults import Fault, Faults
from support.qdrant_facade.questions import without_weights
from support.qdrant_facade.refused import Refused
from support.qdrant_facade.shards import Collection, Shards

MAX_BODY_BYTES = 32 << 20
OPEN = "/", "/healthz", "/readyz", "/livez"  # without a key
HAS_METADATA = HAS_UPDATE_FILTER = (1, 16)
HAS_UPDATE_MODE = HAS_RANK_WEIGHTS = (1, 17)
HAS_VECTOR_NAMES = (1, 18)
Body = TypeVar("Body")
Answer = Callable[[Request], Awaitable[object]]


class Facade:
    """What is asked, answered from a folder.

    Args:
        version: what it says it is; an older one lacks what that version lacked.
    """

    def __init__(self, shards: Shards, *, api_key: str = "", version: str = "1.19.0") -> None:
        self._shards, self._api_key, self._version = shards, api_key, version
        self._age = tuple(int(part) for part in version.split(".")[:2])
        self.faults = Faults(self._app())

    def _app(self) -> Starlette:
        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            yield
            self._shards.close()

        return Starlette(routes=[*self._around(), *self._collections(), *self._points()], lifespan=lifespan)

    # -------------------------------------------------------------------------------------------- routes

    def _around(self) -> list[BaseRoute]:
        return [
            Route("/", self._root, methods=["GET"]),
            *(Route(path, _healthy, methods=["GET"]) for path in OPEN[1:]),
            Route("/_facade/faults", self._order, methods=["POST"]),
            Route("/_facade/faults", self._forget, methods=["DELETE"]),
            Route("/_facade/requests", self._requests, methods=["GET"]),
        ]

    def _collections(self) -> list[BaseRoute]:
        one = "/collections/{name}"
        routes = [
            self._route("GET", "/collections", self._list),
            self._route("GET", "/aliases", self._aliases),
            self._route("POST", "/collections/aliases", self._change_aliases),
            self._route("GET", one, self._get),
            self._route("PUT", one, self._create),
            self._route("PATCH", one, self._patch),
            self._route("DELETE", one, self._delete),
            self._route("GET", f"{one}/exists", self._exists),
            self._route("GET", f"{one}/aliases", self._aliases),
            self._route("PUT", f"{one}/index", self._add_index),
            self._route("DELETE", f"{one}/index/{{key:path}}", self._drop_index),
        ]
        if self._age < HAS_VECTOR_NAMES:
            return routes
        return [
            *routes,
            self._route("PUT", f"{one}/vectors/{{vector}}", self._add_vector),
            self._route("DELETE", f"{one}/vectors/{{vector}}", self._drop_vector),
        ]

    def _points(self) -> list[BaseRoute]:
        one = "/collections/{name}/points"
        return [
            self._route("PUT", one, self._update("upsert", Upsert)),
            self._route("POST", one, self._ask(Retrieve, Collection.retrieve)),
            self._route("POST", f"{one}/scroll", self._ask(Scroll, Collection.scroll)),
            self._route("POST", f"{one}/count", self._ask(Count, Collection.count)),
            self._route("POST", f"{one}/query", self._ask(Query, self._query)),
            self._route("POST", f"{one}/query/batch", self._ask(Queries, self._each)),
            self._route("POST", f"{one}/batch", self._batch),
            self._route("POST", f"{one}/delete", self._update("delete", Select)),
            self._route("PUT", f"{one}/vectors", self._update("update_vectors", UpdateVectors)),
            self._route("POST", f"{one}/vectors/delete", self._update("delete_vectors", DeleteVectors)),
            self._route("POST", f"{one}/payload", self._update("set_payload", SetPayload)),
            self._route("PUT", f"{one}/payload", self._update("overwrite_payload", SetPayload)),
            self._route("POST", f"{one}/payload/delete", self._update("delete_payload", DeletePayload)),
            self._route("POST", f"{one}/payload/clear", self._update("clear_payload", Select)),
        ]

    def _route(self, method: str, path: str, answer: Answer) -> Route:
        async def answered(request: Request) -> Response:
            began_s = time.perf_counter()
            refusal = self._refusal(request)
            if refusal is not None:
                return refusal
            try:
                return _json({"result": await answer(request), "status": "ok"}, began_s)
            except Refused as error:
                return _json({"status": {"error": error.text}}, began_s, error.status)

        return Route(path, answered, methods=[method])

    def _refusal(self, request: Request) -> Response | None:
        """A server says it in plain text."""
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        given = request.headers.get("api-key", bearer)
        if self._api_key in ("", given):
            return None
        return PlainTextResponse(
            "Invalid API key or JWT" if given else "Must provide an API key or an Authorization bearer token", 401
        )

    # -------------------------------------------------------------------------------------------- the facade itself

    async def _root(self, _: Request) -> Response:
        told = {"title": "qdrant - vector search engine", "version": self._version, "commit": "a facade of ours"}
        return Response(msgspec.json.encode(told), media_type="application/json")

    async def _order(self, request: Request) -> Response:
        self.faults.orders.append(msgspec.json.decode(await request.body(), type=Fault))
        return Response(status_code=204)

    async def _forget(self, _: Request) -> Response:
        self.faults.orders.clear()
        return Response(status_code=204)

    async def _requests(self, _: Request) -> Response:
        return Response(msgspec.json.encode(self.faults.requests), media_type="application/json")

    # -------------------------------------------------------------------------------------------- collections

    def _named(self, request: Request) -> Collection:
        return self._shards.named(request.path_params["name"])

    async def _list(self, _: Request) -> Payload:
        return {"collections": [{"name": name} for name in sorted(self._shards.state.collections)]}

    async def _get(self, request: Request) -> Payload:
        return self._named(request).told()

    async def _exists(self, request: Request) -> Payload:
        return {"exists": self._shards.is_there(request.path_params["name"])}

    async def _create(self, request: Request) -> bool:
        made = await _read(request, Create)
        if self._age < HAS_METADATA:
            made = msgspec.structs.replace(made, metadata=None)
        self._shards.create(request.path_params["name"], made)
        return True

    async def _patch(self, request: Request) -> bool:
        given = await _read(request, Patch)
        if self._age < HAS_METADATA:
            given = msgspec.structs.replace(given, metadata=None)
        self._named(request).patch(given)
        self._shards.save()
        return True

    async def _delete(self, request: Request) -> bool:
        return self._shards.delete(request.path_params["name"])

    async def _aliases(self, request: Request) -> Payload:
        owner = request.path_params.get("name")
        pairs = sorted(self._shards.state.aliases.items())
        shown = [(alias, name) for alias, name in pairs if owner in (None, name)]
        return {"aliases": [{"alias_name": alias, "collection_name": name} for alias, name in shown]}

    async def _change_aliases(self, request: Request) -> bool:
        self._shards.change_aliases((await _read(request, ChangeAliases)).actions)
        return True

    async def _add_index(self, request: Request) -> Payload:
        given = await _read(request, CreateIndex)
        return self._saved(request, self._named(request).add_index(given))

    async def _drop_index(self, request: Request) -> Payload:
        return self._saved(request, self._named(request).drop_index(request.path_params["key"]))

    async def _add_vector(self, request: Request) -> Payload:
        given = await _read(request, NewVector)
        return self._saved(request, self._named(request).add_vector(request.path_params["vector"], given))

    async def _drop_vector(self, request: Request) -> Payload:
        return self._saved(request, self._named(request).drop_vector(request.path_params["vector"]))

    def _saved(self, request: Request, number: int) -> Payload:
        self._shards.save()
        return _updated(request, number)

    # -------------------------------------------------------------------------------------------- points

    def _update(self, kind: str, body: type[Body]) -> Answer:
        async def updated(request: Request) -> Payload:
            given = self._known(Operation(**{kind: await _read(request, body)}))
            return _updated(request, self._named(request).update(given))

        return updated

    async def _batch(self, request: Request) -> list[Payload]:
        """One after the other; those before one that fails stay done, as on a server."""
        given = await _read(request, Operations)
        collection = self._named(request)
        return [_updated(request, collection.update(self._known(operation))) for operation in given.operations]

    def _known(self, given: Operation) -> Operation:
        """Without what an older server passes over."""
        upsert = given.upsert
        if upsert is not None and self._age < HAS_UPDATE_MODE:
            upsert = msgspec.structs.replace(upsert, update_mode="upsert")
        if upsert is not None and self._age < HAS_UPDATE_FILTER:
            upsert = msgspec.structs.replace(upsert, update_filter=None)
        return msgspec.structs.replace(given, upsert=upsert)

    def _ask(self, body: type[Body], ask: Callable[[Collection, Body], object]) -> Answer:
        async def asked(request: Request) -> object:
            given = await _read(request, body)
            return ask(self._named(request), given)

        return asked

    def _query(self, collection: Collection, given: Query) -> Payload:
        return collection.query(given if self._age >= HAS_RANK_WEIGHTS else without_weights(given))

    def _each(self, collection: Collection, given: Queries) -> list[Payload]:
        return [self._query(collection, query) for query in given.searches]


def _updated(request: Request, number: int) -> Payload:
    """It is always done by now, whoever waits."""
    waits = request.query_params.get("wait") == "true"
    return {"operation_id": number, "status": "completed" if waits else "acknowledged"}


async def _healthy(_: Request) -> Response:
    return PlainTextResponse("healthz check passed")


def _json(body: Mapping[str, object], began_s: float, status: int = 200) -> Response:
    encoded = msgspec.json.encode({**body, "time": time.perf_counter() - began_s})
    return Response(encoded, status, media_type="application/json")


async def _read(request: Request, body: type[Body]) -> Body:
    """What a request says.

    Raises:
        Refused: 400, it is too much, or is not what is wanted.
    """
    size = int(request.headers.get("content-length", 0))
    if size > MAX_BODY_BYTES:
        raise Refused(400, f"JSON payload ({size} bytes) is larger than allowed (limit: {MAX_BODY_BYTES} bytes).")
    try:
        return msgspec.json.decode(await request.body(), type=body)
    except ClientDisconnect as error:
        raise Refused(400, "the client left") from error
    except msgspec.DecodeError as error:
        raise Refused(400, f"Format error in JSON body: {error}") from error
