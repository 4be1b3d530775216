"""The paths of searches become their part of the OpenAPI description."""

from collections.abc import Callable, Mapping, Sequence

from embedstack.databases.database import UnknownCollection
from embedstack.dialects.openai import OpenAIFailure
from embedstack.dialects.wire import BodyTooLong, BodyTooSlow, EmptyList, Misfit, PackedBody, TooManyItems
from embedstack.errors import BadRequest, DeadlineExceeded, LoadFailed, Mismatch, Overloaded, UnknownModel, Upstream
from embedstack.server.collections_page import CollectionsReply
from embedstack.server.headers import KEYS, asked_headers, of_answer, of_every_reply, of_failure
from embedstack.server.search_shapes import EXAMPLE, SearchBody, SearchReply
from embedstack.server.statuses import OF_ALL, OF_KEYS, Why, by_status
from embedstack.server.table import COLLECTIONS, SEARCH, own_words

Json = dict[str, object]
REPLY: object = SearchReply | list[SearchReply]
TYPES: tuple[object, ...] = (SearchBody, REPLY, CollectionsReply, OpenAIFailure)
OF_SEARCHES: tuple[Why, ...] = (
    (BadRequest, "a header or a value is wrong"),
    (Misfit, "the body is no JSON or does not fit"),
    (EmptyList, "there is no query in the list"),
    (TooManyItems, "too much is asked for in one request"),
    (BodyTooLong, "the body is too long"),
    (BodyTooSlow, "the body stopped coming"),
    (PackedBody, "the body is compressed"),
    (UnknownCollection, "no such collection is served, or it is not in its database"),
    (UnknownModel, "no such reranker is served"),
    (Mismatch, "no vector of the collection can be asked with the models that are served"),
    (Overloaded, "too much is waiting"),
    (LoadFailed, "the model can never be loaded"),
    (Upstream, "the database cannot be asked"),
    (DeadlineExceeded, "the caller's own time ran out"),
)


def search_operations(schema_of: Callable[[object], Json], *, needs_key: bool) -> Mapping[tuple[str, str], Json]:
    """By method and path.

    Args:
        schema_of: of one of TYPES.
        needs_key: whether callers need one.
    """
    body = {"schema": schema_of(SearchBody), "examples": {"a query": {"value": EXAMPLE}}}
    search: Json = {
        "operationId": "own_post_search",
        "summary": "What a collection has for a query, or for each of several: by all its vectors, fused, reranked.",
        "parameters": asked_headers(),
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {
            "200": _good(of_answer(), schema_of(REPLY)),
            **_bad((*OF_SEARCHES, *OF_KEYS, *OF_ALL), schema_of),
        },
    }
    listing: Json = {
        "operationId": "own_collections",
        "summary": "The collections that are served, and whose vectors they hold now.",
        "parameters": [],
        "responses": {"200": _good(of_every_reply(), schema_of(CollectionsReply)), **_bad(OF_KEYS, schema_of)},
    }
    shared: Json = {"tags": ["server"], **({"security": [{name: []} for name in KEYS]} if needs_key else {})}
    return {("post", SEARCH): {**search, **shared}, ("get", COLLECTIONS): {**listing, **shared}}


def _good(headers: Json, schema: Json) -> Json:
    return {
        "description": "what was asked for",
        "headers": headers,
        "content": {"application/json": {"schema": schema}},
    }


def _bad(errors: Sequence[Why], schema_of: Callable[[object], Json]) -> dict[str, Json]:
    content = {"application/json": {"schema": schema_of(OpenAIFailure)}}
    found = by_status(own_words().dialect.fail, errors)
    return {
        str(status): {"description": "; ".join(why), "headers": of_failure(status), "content": content}
        for status, why in found.items()
    }
