"""The admin's routes: which models are in memory, and which shall be. All need the admin key."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from embedstack.dialects import open_dialect
from embedstack.dialects.wire import Name, decode
from embedstack.engine.need import MB
from embedstack.engine.pool import Pool
from embedstack.engine.slots import ModelState
from embedstack.errors import EmbedstackError, Unsupported
from embedstack.server.front import Front
from embedstack.server.guard import HungUp, read_body
from embedstack.server.logs import log, quoted
from embedstack.server.table import Serving

MAX_BODY_BYTES = 4096  # a name and a word
Act = Callable[[Request, Pool], Awaitable[JSONResponse]]


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """Which model, and whether the reply waits until it is done."""

    model: Name
    wait: bool = True


_DECODER = msgspec.json.Decoder(Asked)


def admin_routes(front: Front) -> list[Route]:
    """Their routes; errors come in OpenAI's envelope."""

    async def shown(_: Request, pool: Pool) -> JSONResponse:
        return JSONResponse({"models": [listed(model) for model in pool.states()]})

    async def load(request: Request, pool: Pool) -> JSONResponse:
        asked = await _asked(request)
        if pool.spec_of(asked.model) is None:
            await asyncio.to_thread(pool.add_model, asked.model)  # may download
        return await _done(pool, asked, pool.load_model(asked.model))

    async def unload(request: Request, pool: Pool) -> JSONResponse:
        asked = await _asked(request)
        return await _done(pool, asked, pool.unload_model(asked.model))

    async def forget(request: Request, pool: Pool) -> JSONResponse:
        name = request.path_params["id"]
        await asyncio.wrap_future(pool.forget_model(name))
        return JSONResponse({"deleted": name})

    return [
        Route("/admin/models", _guarded(front, shown)),
        Route("/admin/models/load", _guarded(front, load), methods=["POST"]),
        Route("/admin/models/unload", _guarded(front, unload), methods=["POST"]),
        Route("/admin/models/{id:path}", _guarded(front, forget), methods=["DELETE"]),
    ]


def _guarded(front: Front, act: Act) -> Callable[[Request], Awaitable[Response]]:
    """Only with the admin key, and only where models can come and go."""
    openai = open_dialect("openai")
    serving = Serving(openai, openai.pages[0])  # whose words errors have

    async def answer(request: Request) -> Response:
        try:
            front.keys.admin(dict(request.scope["headers"]))
            front.opening.encoder()
            if front.opening.pool is None:
                raise Unsupported("models cannot come and go here; the encoder behind this server was given as it is")
            reply: Response = await act(request, front.opening.pool)
            log.info("event=admin method=%s path=%s", request.method, quoted(request.url.path))
            return reply
        except (EmbedstackError, HungUp) as error:
            wire = front.failed(serving, error, request.scope["embedstack.request_id"])
            return Response(wire.body, wire.status, dict(wire.headers), wire.media_type)

    return answer


async def _asked(request: Request) -> Asked:
    return decode(_DECODER, await read_body(request.receive, dict(request.scope["headers"]), MAX_BODY_BYTES))


async def _done(pool: Pool, asked: Asked, doing: "Future[None]") -> JSONResponse:
    """200 when it is done, 202 where nobody waits for it."""
    if asked.wait:
        await asyncio.wrap_future(doing)
    spec = pool.spec_of(asked.model)
    found = [listed(model) for model in pool.states() if spec and model.name == spec.name]
    return JSONResponse(found[0] if found else {"name": asked.model}, 200 if asked.wait else 202)


def standing(model: ModelState) -> dict[str, object]:
    """What everybody may know."""
    return {"state": model.state, **({"reason": model.reason} if model.reason else {})}


def listed(model: ModelState) -> dict[str, object]:
    """All that is known."""
    return {
        "name": model.name,
        "aliases": list(model.aliases),
        "task": model.task,
        **standing(model),
        "proof": model.proof,
        "need_mb": round(model.need.held_bytes / MB),
        "peak_mb": model.need.peak_mb,
        "is_measured": model.need.is_measured,
        "load_s": round(model.need.load_s, 2),
        "in_flight": model.in_flight,
        "idle_s": None if model.idle_s is None else round(model.idle_s, 1),
    }
