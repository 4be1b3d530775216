"""A body becomes what the dialect of Text Embeddings Inference asks for, or the reply of a server with fake models."""

import asyncio
import json

from embedstack.dialects.dialect import Limits, Wire
from embedstack.dialects.tei import Tei
from embedstack.errors import EmbedstackError
from embedstack.testing.fake import HashEncoder, hash_spec, labels_spec, overlap_spec
from embedstack.types import Request, answered

TEI = Tei()
BOTH = (hash_spec(), overlap_spec())
EMBEDS, RANKS, LABELS = (hash_spec(),), (overlap_spec(),), (labels_spec(),)
SPARSE = (hash_spec(outputs=("dense", "sparse")),)


def limited(truncate="right", max_items=8) -> Limits:
    return Limits(max_items=max_items, truncate=truncate)


def asked(path, models=EMBEDS, limits=None, /, **body) -> Request:
    """The request that comes of it."""
    return _turn(path, models, limits or limited(), body)[2]


def replied(path, models=EMBEDS, limits=None, /, **body) -> Wire:
    """What is sent back, whether good or bad."""
    try:
        route, read, request = _turn(path, models, limits or limited(), body)
        return route.write(read, asyncio.run(answered(HashEncoder(models), request)))
    except EmbedstackError as error:
        route = next(route for route in TEI.routes if route.path == path)
        return (route.fail or TEI.fail)(error)


def told(path, models=EMBEDS, limits=None, /, **body):
    """The JSON of what is sent back."""
    return json.loads(replied(path, models, limits, **body).body)


def refused(path, models=EMBEDS, limits=None, /, **body) -> tuple[int, str]:
    """Status and type of an error."""
    wire = replied(path, models, limits, **body)
    return wire.status, json.loads(wire.body)["error_type"]


def _turn(path, models, limits, body):
    """The first route that takes the body and whose kind of model is there, as the server chooses."""
    raw, last = json.dumps(body).encode(), None
    for route in (route for route in TEI.routes if route.path == path):
        try:
            read = route.read(raw)
        except EmbedstackError as error:
            last = last or error
            continue
        if route.task is None or any(spec.task == route.task for spec in models):
            return route, read, route.ask(read, limits, models)
        last = last or _wrong_kind(route, read, limits, models)
    raise last


def _wrong_kind(route, read, limits, models):
    try:
        route.ask(read, limits, models)
    except EmbedstackError as error:
        return error
    raise AssertionError("a route without its model must refuse")
