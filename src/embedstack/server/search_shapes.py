"""The JSON of a search becomes texts and how they are asked, and what was found becomes JSON. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import msgspec

from embedstack.databases.database import Collection, Condition, Where
from embedstack.databases.fields import own_name, shown_names
from embedstack.dialects.wire import EmptyList, Misfit, Name, TooManyItems, decode, dump
from embedstack.search.found import LIMIT, RERANKED, TEXT, Found, FoundPoint, Fusion, How, text_of
from embedstack.search.fuse import MOST_K, MOST_WEIGHT, K
from embedstack.search.legs import depth_of, meant

MOST_QUERIES = 100
MOST_QUERY_CHARS = 32_768
MOST_LIMIT = 1000
MOST_DEPTH = 10_000
MOST_HITS = 10_000  # of all queries together
MOST_CANDIDATES = 100_000  # the same of what is looked through for them: each is a payload in memory
MOST_FIELDS = 16
MOST_CONDITIONS = 64
MOST_VALUES = 1000
CONDITION = "a condition on {!r} asks for nothing; give values, least or most"

Question: TypeAlias = Annotated[str, msgspec.Meta(max_length=MOST_QUERY_CHARS)]
Weight: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=MOST_WEIGHT)]
Fields: TypeAlias = Annotated[list[Name], msgspec.Meta(min_length=1, max_length=MOST_FIELDS)]


class ConditionBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """About one key of a payload, of a nested one with dots; all that is given must hold."""

    key: Name
    values: Annotated[list[str | int | bool], msgspec.Meta(max_length=MOST_VALUES)] | None = None  # it is one of these
    least: float | None = None  # a number of at least so much
    most: float | None = None


Conditions: TypeAlias = Annotated[list[ConditionBody], msgspec.Meta(max_length=MOST_CONDITIONS)]


class WhereBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which points are meant: every condition of `all` holds, and none of `none`."""

    all: Conditions = []
    none: Conditions = []


class SearchBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is looked for. Without `collection` it is the only one; without `fields` all vectors that can be asked, but
    those of which a point has several.
    """

    query: Question | Annotated[list[Question], msgspec.Meta(max_length=MOST_QUERIES)]
    collection: Name | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_LIMIT)] = LIMIT
    fields: Fields | None = None
    depth: Annotated[int, msgspec.Meta(ge=1, le=MOST_DEPTH)] | None = None  # candidates of each field
    fusion: Fusion = "rrf"
    rrf_k: Annotated[int, msgspec.Meta(ge=0, le=MOST_K)] = K
    weights: Annotated[dict[Name, Weight], msgspec.Meta(max_length=MOST_FIELDS)] = {}  # by field; of others 1
    least: Annotated[dict[Name, float], msgspec.Meta(max_length=MOST_FIELDS)] = {}  # by field, before fusion
    where: WhereBody = msgspec.field(default_factory=WhereBody)
    rerank: Name | None = None  # a multi vector of the collection, else a model, that orders the first ones anew
    rerank_top: Annotated[int, msgspec.Meta(ge=1, le=MOST_LIMIT)] = RERANKED
    adaptive: bool = False  # the reranker is not asked where the first one is sure
    exact: bool = False  # every point is compared, whatever index there is
    text_key: Name = TEXT  # of the payload, where a passage's text is; of a nested one with dots


class SearchHit(msgspec.Struct, forbid_unknown_fields=True):
    """One point; `scores` are those of each stage, and `score` is that of the last one."""

    id: int | str
    score: float
    scores: dict[str, float]
    text: str | None
    payload: dict[str, Any]  # as it was loaded


class SearchReply(msgspec.Struct, forbid_unknown_fields=True):
    """What one query found, best first; `collection` is that which answered, by its own name."""

    hits: list[SearchHit]
    fields: list[str]
    notes: list[str]
    took_ms: dict[str, float]
    collection: str
    model: str
    space: str


_DECODER = msgspec.json.Decoder(SearchBody)
EXAMPLE: Mapping[str, object] = {"query": "what is a cat?", "limit": 3}


def read(raw: bytes) -> SearchBody:
    """The body.

    Raises:
        Misfit: it is none; `param` is the field that is wrong.
    """
    body = decode(_DECODER, raw)
    texts = texts_of(body)
    if not texts:
        raise EmptyList("query is an empty list; send at least one", "query")
    for place, text in enumerate(texts):
        if not text.strip():
            what = "query" if isinstance(body.query, str) else f"query {place}"
            raise Misfit(f"{what} is empty; say what is looked for", "query")
    _check_total("limit", body.limit, len(texts), MOST_HITS)
    _check_total("depth", depth_of(how_of(body)), len(texts), MOST_CANDIDATES)
    for one in (*body.where.all, *body.where.none):
        if one.values is None and one.least is None and one.most is None:
            raise Misfit(CONDITION.format(one.key), "where")
    return body


def texts_of(body: SearchBody) -> Sequence[str]:
    """Of all queries."""
    return [body.query] if isinstance(body.query, str) else body.query


def how_of(body: SearchBody) -> How:
    """What is wanted of each query."""
    return How(
        limit=body.limit,
        fields=None if body.fields is None else tuple(body.fields),
        depth=body.depth,
        fusion=body.fusion,
        rrf_k=body.rrf_k,
        weights=body.weights,
        least=body.least,
        where=Where(all=_conditions(body.where.all), none=_conditions(body.where.none)),
        reranker=body.rerank or "",
        rerank_top=body.rerank_top,
        is_adaptive=body.adaptive,
        is_exact=body.exact,
        text_key=body.text_key,
    )


def asked_names(body: SearchBody, there: Collection) -> list[str]:
    """The collection's fields that are asked, whether they can be or not, in its order.

    Raises:
        Misfit: one that is named is not there. TooManyItems: all queries have too many candidates in all fields.
    """
    for param, names in (("fields", body.fields or ()), ("weights", body.weights), ("least", body.least)):
        for name in names:
            if own_name(there, name) is None:
                has = shown_names(there, there.fields)
                raise Misfit(f"collection {there.name!r} has no field {name!r} for {param}; it has: {has}", param)
    how = how_of(body)
    asked = meant(there, how)
    _check_total("depth", depth_of(how), len(texts_of(body)), MOST_CANDIDATES, fields=len(asked))
    return asked


def shown(found: Found, text_key: str, collection: str, model: str, space: str) -> dict[str, object]:
    """As JSON."""
    return {
        "hits": [_hit(one, text_key) for one in found.points],
        "fields": found.fields,
        "notes": found.notes,
        "took_ms": {stage: round(seconds * 1000, 3) for stage, seconds in found.took_s.items()},
        "collection": collection,
        "model": model,
        "space": space,
    }


def written(replies: Sequence[Mapping[str, object]], *, is_list: bool) -> bytes:
    """The body of a reply: a list where a list was asked."""
    value = list(replies) if is_list else replies[0]
    try:
        return dump(value)
    except TypeError:  # a payload may hold what orjson has no bytes for: numbers over 64 bits, halves of letters
        return json.dumps(value).encode()


def _hit(point: FoundPoint, text_key: str) -> dict[str, object]:
    return {
        "id": point.id,
        "score": point.score,
        "scores": point.scores,
        "text": text_of(point, text_key),
        "payload": point.payload,
    }


def _conditions(given: Sequence[ConditionBody]) -> tuple[Condition, ...]:
    return tuple(
        Condition(
            key=one.key,
            values=None if one.values is None else tuple(one.values),
            least=one.least,
            most=one.most,
        )
        for one in given
    )


def _check_total(param: str, each: int, queries: int, most: int, *, fields: int = 1) -> None:
    total = each * queries * fields
    if total > most:
        of = f"{queries} queries of {fields} fields" if fields > 1 else f"{queries} queries"
        raise TooManyItems(f"{param} {each} of {of} is {total} in all, the limit is {most}; ask for less", param)
