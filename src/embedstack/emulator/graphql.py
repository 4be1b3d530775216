"""RunPod's GraphQL, as far as SDK 1.12 uses it: operations become calls of REST v2's handlers, which know the rules.

The original is deprecated and ends early in 2027; its shapes: https://docs.runpod.io/sdks/graphql/manage-endpoints
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from embedstack.emulator import graphql_shapes as shapes
from embedstack.emulator.control_account import Account
from embedstack.emulator.control_machines import CARDS
from embedstack.emulator.control_pods import Pods
from embedstack.emulator.control_problem import Problem
from embedstack.emulator.control_route import Ask, Handler
from embedstack.emulator.control_serverless import Serverless
from embedstack.emulator.control_stores import Stores
from embedstack.emulator.graphql_shapes import Input, Json, Tree, Unusable, text
from embedstack.emulator.graphql_text import Field, SyntaxFault, Value, parsed

Resolver: TypeAlias = Callable[[Input], object]


class _Request(msgspec.Struct):
    query: str
    variables: dict[str, object] | None = None


def graphql_route(account: Account) -> Route:
    """`POST /graphql`"""
    graph = Graph(account)

    async def endpoint(request: Request) -> Response:
        return Response(orjson.dumps(graph.answer(await request.body())), media_type="application/json")

    return Route("/graphql", endpoint, methods=["POST"])


class Graph:
    """Operations on an account. Refusals are part of a reply with status 200."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._stores, self._serverless, self._pods = Stores(account), Serverless(account), Pods(account)
        self._key = ""
        self._kinds: Mapping[str, Mapping[str, Resolver]] = {
            "query": {
                "myself": lambda given: self._myself(),
                "gpuTypes": self._gpus,
                "pod": lambda given: self._pod(text(_input(given), "podId")),
            },
            "mutation": {
                "updateUserSettings": self._save_user,
                "podFindAndDeployOnDemand": lambda given: self._new_pod(given, is_cpu=False),
                "deployCpuPod": lambda given: self._new_pod(given, is_cpu=True),
                "podStop": lambda given: self._act(given, "stop"),
                "podResume": lambda given: self._act(given, "start"),
                "podTerminate": lambda given: self._act(given, "terminate"),
                "saveTemplate": self._save_template,
                "saveEndpoint": self._save_endpoint,
                "updateEndpointTemplate": self._retemplate,
                "deleteEndpoint": self._delete_endpoint,
                "saveRegistryAuth": self._save_registry,
                "updateRegistryAuth": self._update_registry,
                "deleteRegistryAuth": self._delete_registry,
            },
        }

    def answer(self, body: bytes) -> Json:
        """`{"data": ...}`, with `errors` beside it where something went wrong."""
        try:
            asked = msgspec.json.decode(body, type=_Request)
            document = parsed(asked.query, asked.variables or {})  # type: ignore[arg-type]  # JSON is what it may hold
        except (msgspec.MsgspecError, SyntaxFault) as error:
            return {"errors": [_error(str(error), None)]}
        data: Json = {}
        errors: list[Json] = []
        for field in document.fields:
            try:
                data[field.key] = self._resolved(document.kind, field)
            except (Unusable, Problem) as error:
                data[field.key] = None
                errors.append(_error(_sentence(error), field.key))
        return {"errors": errors, "data": data} if errors else {"data": data}

    def _resolved(self, kind: str, field: Field) -> object:
        resolver = self._kinds[kind].get(field.name)
        if resolver is None:
            raise Unusable(f'Cannot query field "{field.name}" on type "{kind.capitalize()}".')
        return _chosen(resolver(field.arguments), field)

    # -------------------------------------------------------------------------------------------- looking

    def _myself(self) -> Tree:
        account = self._account
        return {
            "id": shapes.OWNER,
            "pubKey": self._key,
            "networkVolumes": [shapes.volume_tree(page) for page in self._all(self._stores.volumes, "networkVolumes")],
            "podTemplates": [shapes.template_tree(page) for page in self._all(self._stores.templates, "templates")],
            "pods": [self._pod(pod_id) for pod_id in account.pods],
            "endpoints": [self._endpoint(endpoint_id) for endpoint_id in account.configs],
        }

    def _all(self, handler: Handler, key: str) -> list[Json]:
        pages: list[Json] = _called(handler)[key]  # type: ignore[assignment]
        return pages

    def _gpus(self, given: Input) -> list[Tree]:
        wanted = text(_input(given), "id")
        return [shapes.gpu_tree(card) for card in CARDS if wanted in ("", card.id)]

    def _pod(self, pod_id: str) -> Tree | None:
        known = pod_id in self._account.pods
        return shapes.pod_tree(_called(self._pods.read, {"id": pod_id})) if known else None

    def _endpoint(self, endpoint_id: str) -> Tree:
        page = _called(self._serverless.read, {"id": endpoint_id})
        version = self._account.platform.endpoints[endpoint_id].version
        return shapes.endpoint_tree(page, self._account.bound.get(endpoint_id, ""), version)

    # -------------------------------------------------------------------------------------------- pods

    def _new_pod(self, given: Input, *, is_cpu: bool) -> Tree:
        body = shapes.pod_body(_input(given), is_cpu=is_cpu, known_templates=self._account.templates)
        return shapes.pod_tree(_called(self._pods.create, body=body))

    def _act(self, given: Input, action: str) -> Tree | None:
        page = _called(self._pods.act, {"id": text(_input(given), "podId")}, {"action": action})
        return shapes.pod_tree(page) if page else None

    # -------------------------------------------------------------------------------------------- endpoints

    def _save_template(self, given: Input) -> Tree:
        wanted = _input(given)
        body = shapes.template_body(wanted)
        if template_id := text(wanted, "id"):
            return shapes.template_tree(_called(self._stores.change_template, {"id": template_id}, body))
        return shapes.template_tree(_called(self._stores.new_template, body=body))

    def _save_endpoint(self, given: Input) -> Tree:
        """Without an id a new one, else that one changes; it keeps its template."""
        wanted = _input(given)
        body, endpoint_id, template_id = shapes.endpoint_body(wanted), text(wanted, "id"), text(wanted, "templateId")
        if endpoint_id:
            _called(self._serverless.update, {"id": endpoint_id}, body)
        else:
            whole = {**body, "type": "QUEUE", "templateId": template_id}
            endpoint_id = str(_called(self._serverless.create, body=whole)["id"])
        return self._endpoint(endpoint_id)

    def _retemplate(self, given: Input) -> Tree:
        wanted = _input(given)
        endpoint_id, template_id = text(wanted, "endpointId"), text(wanted, "templateId")
        _called(self._serverless.update, {"id": endpoint_id}, {"templateId": template_id})
        return self._endpoint(endpoint_id)

    def _delete_endpoint(self, given: Input) -> None:
        """Only one that may not have workers."""
        endpoint_id = text(given, "id")
        config = self._account.configs.get(endpoint_id)
        if config is not None and (config.workers.min or config.workers.max):
            raise Unusable("Cannot delete an endpoint with workersMin or workersMax above 0.")
        _called(self._serverless.delete, {"id": endpoint_id})

    # -------------------------------------------------------------------------------------------- the account

    def _save_user(self, given: Input) -> Tree:
        self._key = text(_input(given), "pubKey")
        return self._myself()

    def _save_registry(self, given: Input) -> Tree:
        wanted = _input(given)
        return _called(self._stores.new_registry, body={k: text(wanted, k) for k in ("name", "username", "password")})

    def _update_registry(self, given: Input) -> Tree:
        return _called(self._stores.registry, {"id": text(_input(given), "id")})

    def _delete_registry(self, given: Input) -> None:
        _called(self._stores.end_registry, {"id": text(given, "registryAuthId")})


# ------------------------------------------------------------------------------------------------ parts


def _called(handler: Handler, ids: Mapping[str, str] | None = None, body: Json | None = None) -> Json:
    """What a route of REST v2 answers; nothing where it has no body.

    Raises:
        Problem: it refuses.
    """
    reply = handler(Ask({}, {}, ids or {}, orjson.dumps(body or {})))
    page: Json = orjson.loads(reply.body) if reply.body else {}
    return page


def _input(given: Input) -> Mapping[str, Value]:
    value = given.get("input")
    return value if isinstance(value, dict) else {}


def _chosen(value: object, field: Field) -> object:
    """Of a tree what was asked for."""
    if callable(value):
        value = value(field.arguments)
    if isinstance(value, list) and field.fields:
        return [_chosen(one, field) for one in value]
    if not isinstance(value, dict):
        if field.fields and value is not None:
            raise Unusable(f'Field "{field.name}" must not have a selection since it has no subfields.')
        return value
    if not field.fields:
        raise Unusable(f'Field "{field.name}" must have a selection of subfields.')
    for part in field.fields:
        if part.name not in value:
            raise Unusable(f'Cannot query field "{part.name}" of "{field.name}".')
    return {part.key: _chosen(value[part.name], part) for part in field.fields}


def _error(message: str, path: str | None) -> Json:
    """As the original writes it."""
    return {"message": message, **({"path": [path]} if path else {}), "extensions": {"code": "RUNPOD"}}


def _sentence(error: "Unusable | Problem") -> str:
    if isinstance(error, Problem) and error.errors:
        return f"{error.detail} {'; '.join(error.errors)}"
    return str(error)
