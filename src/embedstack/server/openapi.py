"""The table of paths becomes an OpenAPI 3.1 description, its schemas made from the dialects' structs."""

from collections.abc import Mapping, Sequence

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
    return {place.dialect.name: place.dialect.prefix for place in table}


def _types(table: Sequence[Place]) -> list[object]:
    """Each type once, in the order of the table."""
    found: dict[str, object] = {}
    for place in table:
        bodies = [place.serves.body] if not isinstance(place.serves, Page) else []
        for one in (*bodies, place.serves.reply, place.dialect.failure):
            found.setdefault(str(one), one)
    return list(found.values())


def _operation(place: Place, schema_of: Mapping[str, object]) -> Json:
    operation: Json = {
        "operationId": "_".join((place.method.lower(), *place.path.strip("/").replace("{id}", "one").split("/"))),
        "summary": place.serves.summary,
        "tags": [place.dialect.name],
        "parameters": _parameters(place),
        "responses": {
            "200": {
                "description": "what was asked for",
                "headers": {} if isinstance(place.serves, Page) else _headers(),
                "content": _content(schema_of[str(place.serves.reply)]),
            },
            "default": {"description": "an error", "content": _content(schema_of[str(place.dialect.failure)])},
        },
    }
    if not isinstance(place.serves, Page):
        content = {"schema": schema_of[str(place.serves.body)], "example": example(place.serves)}
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    return operation


def _content(schema: object) -> Json:
    return {"application/json": {"schema": schema}}


def _headers() -> Json:
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in REPLY_HEADERS.items()}


def _parameters(place: Place) -> list[Json]:
    if isinstance(place.serves, Page):
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
    values = {field.encode_name: getattr(route.example, field.name) for field in fields}
    return {
        field.encode_name: values[field.encode_name] for field in fields if values[field.encode_name] != field.default
    }
