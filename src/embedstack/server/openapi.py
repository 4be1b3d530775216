"""The table of paths becomes an OpenAPI 3.1 description, its schemas made from the dialects' structs."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from embedstack import __version__
from embedstack.dialects.dialect import AnyRoute, Page
from embedstack.server.table import Place

Json = dict[str, object]
ABOUT = (
    "Vectors and relevance scores of open models, in several dialects over one engine. "
    "A slash at the end of a path changes nothing."
)
REF = "#/components/schemas/{name}"
REPLY_HEADERS = {
    "x-request-id": "the request's id, the caller's own where it sent one",
    "x-embedstack-model": "the model that answered",
    "x-embedstack-space": "equal exactly where vectors may be compared",
    "x-embedstack-fingerprint": "equal where vectors agree within the stated fidelity",
    "x-embedstack-truncated": "how many items lost tokens",
    "x-embedstack-dropped-tokens": "how many tokens were cut away",
}
ASK_HEADERS = {
    "x-request-id": "an id for the log and the reply, 1 to 128 visible ASCII characters",
    "x-embedstack-timeout-s": "seconds after which the answer is of no use",
    "x-embedstack-priority": "interactive or bulk",
    "x-embedstack-caller": "whose request this is, for fair shares",
}


def describe(table: Sequence[Place]) -> Json:
    """The whole description; every operation stands at the root and under its dialect's prefix."""
    types = _types(table)
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    schema_of = dict(zip((str(one) for one in types), schemas, strict=True))
    paths: dict[str, Json] = {}
    for place in table:
        paths.setdefault(place.path, {})[place.method.lower()] = _operation(place, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "embedstack",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "x-prefix": prefix} for name, prefix in _prefixes(table).items()],
        "paths": paths,
        "components": {"schemas": components},
    }


def _prefixes(table: Sequence[Place]) -> dict[str, str]:
    return {one.dialect.name: one.dialect.prefix for place in table for one in place.servings}


def _types(table: Sequence[Place]) -> list[object]:
    """Each type once, in the order of the table."""
    found: dict[str, object] = {}
    for place in table:
        for one in place.servings:
            bodies = [one.what.body] if not isinstance(one.what, Page) else []
            for kind in (*bodies, one.what.reply, one.dialect.failure):
                found.setdefault(str(kind), kind)
    return list(found.values())


def _operation(place: Place, schema_of: Mapping[str, object]) -> Json:
    def any_of(kinds: Iterable[object]) -> Json:
        schemas = [schema_of[name] for name in dict.fromkeys(str(kind) for kind in kinds)]
        return {"application/json": {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}}

    servings = place.servings
    is_page = isinstance(place.first.what, Page)
    operation: Json = {
        "operationId": "_".join((place.method.lower(), *place.path.strip("/").replace("{id}", "one").split("/"))),
        "summary": " Or: ".join(dict.fromkeys(one.what.summary for one in servings)),
        "tags": list(dict.fromkeys(one.dialect.name for one in servings)),
        "parameters": _parameters(place),
        "responses": {
            "200": {
                "description": "what was asked for",
                "headers": {} if is_page else _headers(),
                "content": any_of(one.what.reply for one in servings),
            },
            "default": {"description": "an error", "content": any_of(one.dialect.failure for one in servings)},
        },
    }
    routes = [one.what for one in servings if not isinstance(one.what, Page)]
    if routes:
        content = any_of(route.body for route in routes)
        examples = {route.summary: {"value": example(route)} for route in routes}
        content["application/json"]["examples"] = examples  # type: ignore[index]
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _headers() -> Json:
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in REPLY_HEADERS.items()}


def _parameters(place: Place) -> list[Json]:
    if isinstance(place.first.what, Page):
        names = {"id": "the model's name"} if "{id}" in place.path else {}
        return [_parameter(name, text, "path") for name, text in names.items()]
    return [_parameter(name, text, "header") for name, text in ASK_HEADERS.items()]


def _parameter(name: str, text: str, where: str) -> Json:
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "description": text,
        "schema": {"type": "string"},
    }


def example(route: AnyRoute) -> Json:
    """The route's example without the fields that it leaves at their default."""
    fields = msgspec.structs.fields(route.body)
    values = {field.encode_name: msgspec.to_builtins(getattr(route.example, field.name)) for field in fields}
    return {
        field.encode_name: values[field.encode_name] for field in fields if values[field.encode_name] != field.default
    }
