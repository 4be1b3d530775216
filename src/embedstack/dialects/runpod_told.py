"""What `runpod_input` decides, as a JSON schema of each kind of input: the description of a route is to be exact."""

from collections.abc import Mapping, Sequence

import msgspec

from embedstack.dialects.runpod_input import Kind

WORDS = ("openai_route", "action", "type")  # not there where they are empty
BEFORE: Mapping[Kind, Sequence[str]] = {
    "forward": (),
    "batch": ("openai_route",),
    "late": ("openai_route",),
    "lates": ("openai_route",),
    "health": ("openai_route",),
    "query": ("openai_route",),
    "rank": ("openai_route", "action"),
    "docs": ("openai_route", "action", "documents"),
    "items": ("openai_route", "action", "query", "queries"),
    "pictures": ("openai_route", "action", "query", "queries", "items"),
    "vision": ("openai_route", "action", "query", "queries", "items", "images"),
    "siglip": ("openai_route", "action", "query", "queries", "items", "images"),
    "texts": ("openai_route", "action", "query", "queries", "items", "images", "type", "image"),
    "infinity": ("openai_route", "action", "query", "queries", "items", "images", "type", "image", "texts", "text"),
}
"""Fields that make it an input of another kind."""
NEEDED: Mapping[Kind, Sequence[str]] = {
    "forward": ("openai_route",),
    "vision": ("type",),
    "siglip": ("type", "image"),
    "texts": ("texts", "text"),
}
"""Of these at least one is there, where the types of the fields do not say so."""

Schema = dict[str, object]


def told(kind: Kind) -> msgspec.Meta:
    """What must be there and what must not, beside the types of the fields."""
    rules: list[Schema] = [{"not": _there(name)} for name in BEFORE[kind]]
    if kind in NEEDED:
        rules.append({"anyOf": [_there(name) for name in NEEDED[kind]]})
    if kind == "query":
        rules.append({"anyOf": [_there("action"), _query_alone()]})
    return msgspec.Meta(extra_json_schema={"allOf": rules})


def _query_alone() -> Schema:
    """Without an action; documents beside it would make it another kind, and texts none."""
    others: list[Schema] = [{"not": _there(name)} for name in ("documents", "docs", "texts")]
    return {"allOf": [{"anyOf": [_there("query"), _there("queries")]}, *others]}


def _there(name: str) -> Schema:
    absent = [None, ""] if name in WORDS else [None]
    return {"required": [name], "properties": {name: {"not": {"enum": absent}}}}
