"""What `runpod_input` decides, as a JSON schema of each kind of input: the description of a route is to be exact."""

from collections.abc import Mapping, Sequence

import msgspec

from embedstack.dialects.runpod_input import Kind, missing_options

WORDS = ("openai_route", "action", "type")  # not there where they are empty
FRAME = ("openai_route", "action")
QUERY, TEXTS, RANKED = ("query", "queries"), ("texts", "text"), ("documents", "docs")
BESIDE_QUERY = (*FRAME, "items", "images", "image", *TEXTS, "input")
OTHERS: Mapping[Kind, Sequence[str]] = {
    "forward": (),
    "batch": FRAME[:1],
    "late": FRAME[:1],
    "lates": FRAME[:1],
    "tokens": FRAME[:1],
    "health": FRAME[:1],
    "query": FRAME[:1],
    "rank": (*BESIDE_QUERY, "docs"),
    "docs": (*BESIDE_QUERY, "documents"),
    "items": (*FRAME, *QUERY, "images", "image", *TEXTS, "input"),
    "pictures": (*FRAME, *QUERY, "items", "image", *TEXTS, "input"),
    "vision": (*FRAME, *QUERY, "items", "images", "input"),
    "siglip": (*FRAME, *QUERY, "items", "images", "input"),
    "texts": (*FRAME, *QUERY, "items", "images", "type", "image", "input"),
    "infinity": (*FRAME, *QUERY, "items", "images", "type", "image", *TEXTS),
}
"""Fields that make it an input of another kind, or of two."""
NEEDED: Mapping[Kind, Sequence[str]] = {
    "forward": ("openai_route",),
    "vision": ("type",),
    "siglip": ("type", "image"),
    "texts": ("texts", "text"),
}
"""Of these at least one is there, where the types of the fields do not say so."""

Schema = dict[str, object]


def told(kind: Kind, given: type[msgspec.Struct]) -> msgspec.Meta:
    """What must be there and what must not, beside the types of the fields."""
    rules: list[Schema] = [{"not": _there(name)} for name in (*OTHERS[kind], *missing_options(given))]
    if kind in NEEDED:
        rules.append({"anyOf": [_there(name) for name in NEEDED[kind]]})
    if kind == "query":
        rules.append({"anyOf": [_there("action"), _query_alone()]})
    if kind == "siglip":
        rules.append({"anyOf": [_there("type"), {"allOf": [{"not": _there(name)} for name in TEXTS]}]})
    return msgspec.Meta(extra_json_schema={"allOf": rules})


def _query_alone() -> Schema:
    """Without an action; of documents beside it not even the name."""
    others: list[Schema] = [{"not": _there(name)} for name in BESIDE_QUERY[1:]]
    others += [{"not": {"required": [name]}} for name in RANKED]
    return {"allOf": [{"anyOf": [_there("query"), _there("queries")]}, *others]}


def _there(name: str) -> Schema:
    absent = [None, ""] if name in WORDS else [None]
    return {"required": [name], "properties": {name: {"not": {"enum": absent}}}}
