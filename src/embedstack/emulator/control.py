"""RunPod's REST v2 as an ASGI application: an account of the emulated platform, seen and changed over HTTP."""

from collections.abc import Callable, Collection, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from embedstack.emulator.billing_page import KINDS, billing_page
from embedstack.emulator.control_account import Account
from embedstack.emulator.control_front import Front, Quota
from embedstack.emulator.control_pods import Pods
from embedstack.emulator.control_problem import MISSING, Problem, invalid
from embedstack.emulator.control_route import Ask, Handler, at, listed, reply
from embedstack.emulator.control_serverless import Serverless
from embedstack.emulator.control_stores import Stores
from embedstack.emulator.graphql import graphql_route
from embedstack.emulator.schema import Checked, Document
from embedstack.errors import BadRequest

Query = Mapping[str, str]

SOURCES = ("official", "verified", "community")
WRONG_METHOD = "The requested method is not allowed for this path."


def control_app(
    account: Account,
    keys: Collection[str],
    *,
    read_only: Collection[str] = (),
    quota: Quota | None = None,
    document: Document | None = None,
) -> Starlette:
    """The routes of `https://api.runpod.io/v2`, and 410 for those of v1.

    Args:
        keys: who may call, behind `Bearer`.
        read_only: keys that may only read, and get 403 for the rest.
        quota: requests by minute, hour and day; the document's example if None.
        document: RunPod's OpenAPI document, against which every request and reply is checked.
    """
    stores, serverless, pods = Stores(account), Serverless(account), Pods(account)
    routes = [*serverless.routes(), *pods.routes(), *stores.routes(), *_catalog(account), *_billing(account)]
    routes.append(graphql_route(account))
    quota = Quota() if quota is None else quota
    middleware = [Middleware(Front, platform=account.platform, keys=keys, read_only=read_only, quota=quota)]
    if document is not None:
        middleware.insert(0, Middleware(Checked, document=document))
    app = Starlette(routes=routes, middleware=middleware, exception_handlers={HTTPException: _no_route})
    app.router.redirect_slashes = False
    return app


def _catalog(account: Account) -> list[Route]:
    catalog = account.catalog

    def all_of(key: str, page: Callable[[Query], list[dict[str, object]]]) -> Handler:
        return lambda ask: listed(key, page(ask.query), ask, account.page_size)

    def one_of(page: Callable[[str, Query], dict[str, object]]) -> Handler:
        return lambda ask: reply(page(ask.id, ask.query))

    return [
        at("/v2/catalog/gpus", GET=all_of("gpus", catalog.gpus)),
        at("/v2/catalog/gpus/{id}", GET=one_of(catalog.gpu)),
        at("/v2/catalog/cpus", GET=all_of("cpus", catalog.cpus)),
        at("/v2/catalog/cpus/{id}", GET=one_of(catalog.cpu)),
        at("/v2/catalog/datacenters", GET=all_of("dataCenters", catalog.centers)),
        at("/v2/catalog/datacenters/{id}", GET=one_of(catalog.one_center)),
        at("/v2/catalog/templates", GET=_public_templates),
    ]


def _public_templates(ask: Ask) -> Response:
    """Nobody has published one here."""
    if ask.query.get("source", SOURCES[0]) not in SOURCES:
        raise invalid(f"$.source: must be one of {', '.join(SOURCES)}")
    return listed("templates", [], ask, None)


def _billing(account: Account) -> list[Route]:
    def bills(kind: str) -> Handler:
        def handler(ask: Ask) -> Response:
            try:
                return reply(billing_page(kind, account.ledger, ask.query, account.now()))
            except BadRequest as error:
                raise Problem(400, error.message) from error

        return handler

    return [at(f"/v2/billing/{kind}".rstrip("/"), GET=bills(kind)) for kind in KINDS]


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # registered for it alone
    if error.status_code == 405:
        return Problem(405, WRONG_METHOD, headers=error.headers).reply()
    return Problem(404 if error.status_code == 404 else 400, MISSING).reply()
