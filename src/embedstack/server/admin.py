"""The admin's routes: which models are in memory, and which shall be. All need the admin key."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from embedstack.dialects.wire import Name, decode
from embedstack.engine.need import MB
from embedstack.engine.pool import Pool
from embedstack.engine.slots import ModelState
from embedstack.errors import BadRequest, EmbedstackError, LoadFailed, RuntimeFailed, Unsupported
from embedstack.server.front import Front
from embedstack.server.guard import read_body
from embedstack.server.logs import log, quoted
from embedstack.server.table import own_words

MAX_BODY_BYTES = 4096  # a name and a word
ADMIN = "admin"  # what stands for the dialect in logs and metrics
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
        with _load_errors(asked.model):
            if pool.spec_of(asked.model) is None:
                await asyncio.wrap_future(pool.add_model(asked.model))  # may download
            return await _done(pool, asked, pool.load_model(asked.model))

    async def unload(request: Request, pool: Pool) -> JSONResponse:
        asked = await _asked(request)
        return await _done(pool, asked, pool.unload_model(asked.model))

    async def forget(request: Request, pool: Pool) -> JSONResponse:
        name = request.path_params["id"]
        await asyncio.wrap_future(pool.forget_model(name))
        return JSONResponse({"deleted": name})

    acts: list[tuple[str, str, Act]] = [
        ("GET", "/admin/models", shown),
        ("POST", "/admin/models/load", load),
        ("POST", "/admin/models/unload", unload),
        ("DELETE", "/admin/models/{id:path}", forget),
    ]
    return [Route(path, _guarded(front, path, act), methods=[method]) for method, path, act in acts]


def _guarded(front: Front, path: str, act: Act) -> Callable[[Request], Awaitable[Response]]:
    """Only with the admin key, and only where models can come and go."""
    serving = own_words()

    async def replied(request: Request) -> Response:
        try:
            front.admitted_admin(request.scope)
            front.opening.encoder()
            if front.opening.pool is None:
                raise Unsupported("models cannot come and go here; the encoder behind this server was given as it is")
            reply: Response = await act(request, front.opening.pool)
            log.info("event=admin method=%s path=%s", request.method, quoted(request.url.path))
            return reply
        except Exception as error:
            wire = front.failed(serving, error, request.scope["embedstack.request_id"])
            return Response(wire.body, wire.status, dict(wire.headers), wire.media_type)

    async def answer(request: Request) -> Response:
        began = time.perf_counter()
        reply = await replied(request)
        front.done(path, ADMIN, request.scope, reply.status_code, time.perf_counter() - began)
        return reply

    return answer


@contextmanager
def _load_errors(name: str) -> Iterator[None]:
    """What is neither the caller's mistake nor passes is a model that cannot be loaded.

    Raises:
        LoadFailed: for a ConfigError, a Mismatch and the like.
    """
    try:
        yield
    except (BadRequest, LoadFailed, RuntimeFailed):
        raise
    except EmbedstackError as error:
        if error.retry:
            raise
        raise LoadFailed(f"{name!r} cannot be loaded: {error}") from error


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
        "aliases": _aliases(model),
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


def _aliases(model: ModelState) -> list[str]:
    """Its other names. The `ALIAS=MODEL` that it was asked for by at the start is a wish, and no name."""
    names = (model.name, *model.aliases)
    return [alias for alias in model.aliases if not ("=" in alias and alias.partition("=")[0] in names)]
