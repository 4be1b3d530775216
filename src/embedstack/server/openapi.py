"""The table of paths becomes an OpenAPI 3.1 description, its schemas made from the dialects' structs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from embedstack import __version__
from embedstack.dialects.choosing import alike
from embedstack.dialects.dialect import AnyRoute, Page
from embedstack.dialects.places import Place, Serving
from embedstack.server.headers import (
    HEADERS,
    KEYS,
    TEXT,
    asked_headers,
    of_answer,
    of_every_reply,
    of_failure,
    parameter,
)
from embedstack.server.own import OWN, own_operation
from embedstack.server.search_described import TYPES, search_operations
from embedstack.server.statuses import failure_type, failures

Json = dict[str, object]
ABOUT = (
    "Vectors and relevance scores of open models, in several dialects over one engine. "
    "A slash at the end of a path changes nothing. "
    "Where a body may have several forms, a field that one of them knows and refuses is not overlooked by another."
)
REF = "#/components/schemas/{name}"


def describe(table: Sequence[Place], *, needs_key: bool = False) -> Json:
    """The whole description; every operation stands at the root and under its dialect's prefix.

    Args:
        needs_key: whether callers need one.
    """
    types = list({str(kind): kind for kind in (*_types(table), *TYPES)}.values())
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    known = Known(dict(zip((str(one) for one in types), schemas, strict=True)), components)
    paths: dict[str, Json] = {}
    for place in table:
        paths.setdefault(place.path, {})[place.method.lower()] = _operation(place, known, needs_key=needs_key)
    refusals = _bad(next(place for place in table if place.method == "POST"), known)
    for (method, path), operation in search_operations(known.of, needs_key=needs_key).items():
        paths.setdefault(path, {})[method] = operation
    for method, path in OWN:
        paths.setdefault(path, {})[method] = own_operation(method, path, of_every_reply(), refusals)
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
        "components": {"schemas": components, "headers": HEADERS, **({"securitySchemes": KEYS} if needs_key else {})},
    }


def _prefixes(table: Sequence[Place]) -> dict[str, str]:
    return {one.dialect.name: one.dialect.prefix for place in table for one in place.servings}


def _types(table: Sequence[Place]) -> list[object]:
    """Each type once, in the order of the table."""
    found: dict[str, object] = {}
    for place in table:
        for one in place.servings:
            bodies = [one.what.body] if not isinstance(one.what, Page) else []
            for kind in (*bodies, one.what.reply, failure_type(one)):
                found.setdefault(str(kind), kind)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Known:
    """The schema of each type."""

    by_type: Mapping[str, Json]
    components: Mapping[str, Json]

    def of(self, kind: object) -> Json:
        """A reference, where the type has a name."""
        return self.by_type[str(kind)]

    def body_of(self, serving: Serving, place: Place) -> Json:
        """What it takes at this place: behind one that refuses unknown fields, others get none either."""
        body, first = _route(serving).body, _route(place.first).body
        refuses = first.__struct_config__.forbid_unknown_fields
        if serving is place.first or not refuses or body.__struct_config__.forbid_unknown_fields:
            return self.of(body)
        return {**self._whole(body), "additionalProperties": False}

    def reply_of(self, serving: Serving, place: Place) -> Json:
        """What it answers at this place: with the top-level keys of others of its shape beside its own."""
        own = self._whole(serving.what.reply)
        others = [self._whole(other.what.reply) for other in alike(serving, place.servings)]
        more = {name: value for other in others for name, value in other.get("properties", {}).items()}
        missing = {name: value for name, value in more.items() if name not in own.get("properties", {})}
        if not missing or "properties" not in own:
            return self.of(serving.what.reply)
        return {**own, "properties": {**own["properties"], **missing}}

    def _whole(self, kind: object) -> Any:
        """The schema itself: JSON, which is not typed."""
        schema = self.of(kind)
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        return self.components[name] if name else schema


def _route(serving: Serving) -> AnyRoute:
    assert not isinstance(serving.what, Page)
    return serving.what


def _operation(place: Place, known: Known, *, needs_key: bool) -> Json:
    servings = place.servings
    operation: Json = {
        "operationId": "_".join((place.method.lower(), *place.path.strip("/").replace("{id}", "one").split("/"))),
        "summary": " Or: ".join(dict.fromkeys(one.what.summary for one in servings)),
        "tags": list(dict.fromkeys(one.dialect.name for one in servings)),
        "parameters": _parameters(place),
        "responses": {"200": _good(place, known), **_bad(place, known)},
    }
    if needs_key and all(not isinstance(one.what, Page) or one.what.needs_key for one in servings):
        operation["security"] = [{name: []} for name in KEYS]
    routes = [one.what for one in servings if not isinstance(one.what, Page)]
    if routes:
        examples = {route.summary: {"value": example(route)} for route in routes}
        content = {"schema": _any_of(known.body_of(one, place) for one in servings), "examples": examples}
        is_needed = not any(route.takes_query for route in routes)
        operation["requestBody"] = {"required": is_needed, "content": {"application/json": content}}
    return operation


def _answering(place: Place) -> Sequence[Serving]:
    """Of several routes any may answer, of several pages only the first."""
    return place.servings[:1] if isinstance(place.first.what, Page) else place.servings


def _good(place: Place, known: Known) -> Json:
    is_page = isinstance(place.first.what, Page)
    schemas = [known.reply_of(one, place) for one in _answering(place) if one.what.reply is not None]
    reply: Json = {"description": "what was asked for", "headers": of_every_reply() if is_page else of_answer()}
    return {**reply, **_json(schemas)} if schemas else reply


def _bad(place: Place, known: Known) -> dict[str, Json]:
    """What each status of an error stands for, and what it looks like."""
    reasons: dict[int, dict[str, None]] = {}
    schemas: dict[int, list[Json]] = {}
    for one in _answering(place):
        for status, why in failures(one).items():
            reasons.setdefault(status, {}).update(dict.fromkeys(why))
            schemas.setdefault(status, []).append(known.of(failure_type(one)))
        if isinstance(one.what, Page) and one.what.reply is not None:
            schemas[503].append(known.reply_of(one, place))  # a page may say in its own words how the server is
    return {
        str(status): {
            "description": "; ".join(why),
            "headers": of_failure(status),
            **_json(schemas[status]),
        }
        for status, why in sorted(reasons.items())
    }


def _json(schemas: Iterable[Json]) -> Json:
    return {"content": {"application/json": {"schema": _any_of(schemas)}}}


def _any_of(schemas: Iterable[Json]) -> Json:
    """One of them, each written once."""
    several = list({json.dumps(schema, sort_keys=True): schema for schema in schemas}.values())
    return several[0] if len(several) == 1 else {"anyOf": several}


def _parameters(place: Place) -> list[Json]:
    if isinstance(place.first.what, Page):
        names = {"id": ("the model's name", TEXT)} if "{id}" in place.path else {}
        return [parameter(name, *about, "path") for name, about in names.items()]
    queries = [field for one in place.servings if _route(one).takes_query for field in _fields(one)]
    about = "as in the body, where the body is empty"
    return [*asked_headers(), *(parameter(name, about, TEXT, "query") for name in dict.fromkeys(queries))]


def _fields(serving: Serving) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(_route(serving).body)]


def example(route: AnyRoute) -> Json:
    """The route's example without the fields that it leaves at their default."""
    values = json.loads(msgspec.json.encode(route.example))
    fields = {field.encode_name: field.default for field in msgspec.structs.fields(route.body)}
    return {name: values[name] for name, default in fields.items() if name in values and values[name] != default}
