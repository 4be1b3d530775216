"""KripTik's `/batch`: requests of several types, widths and projects become requests of one kind each, then results.

What has one type or model, one width and one project is computed together, texts apart from pictures since their costs
differ; the rest one after another, as the original does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, chain, pairwise

from embedstack.dialects.credits import shares
from embedstack.dialects.dialect import Limits
from embedstack.dialects.kriptik_shapes import BatchBody, GenerateBody
from embedstack.dialects.kriptik_vectors import Json, ask_generate, contents_of, cost_of, pictures_of, result_of
from embedstack.dialects.wire import TooManyItems, check_count, milliseconds
from embedstack.modelspec import ModelSpec
from embedstack.types import Encode, Encoded, Floats

MAX_REQUESTS = 100  # in a batch; server/src/routes/embeddings.ts
Kind = tuple[str, int | None, str, bool]
"""What chooses the model, the width, the project, whether it is a picture."""


def ask_batch(body: BatchBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode | tuple[Encode, ...]:
    """A request for each kind, in the order in which they come first."""
    count = len(body.requests)
    if count > MAX_REQUESTS:
        raise TooManyItems(f"requests holds {count} requests, the limit is {MAX_REQUESTS}; send several batches")
    asked = [ask_generate(one, limits, models) for one in body.requests]
    check_count(sum(len(one.items) for one in asked), limits, "requests")
    joined = [
        replace(asked[group[0]], items=tuple(chain.from_iterable(asked[place].items for place in group)))
        for group in _groups(body)
    ]
    return tuple(joined) if len(joined) > 1 else joined[0]


def places_of(body: BatchBody, number: int) -> list[int]:
    """Where the items of one of several requests stand among all items of the body."""
    ends = list(accumulate(map(_count, body.requests), initial=0))
    return [item for place in _groups(body)[number] for item in range(ends[place], ends[place + 1])]


def batched(body: BatchBody, answer: Encoded | tuple[Encoded, ...]) -> Json:
    """Results in the order of the requests, and what all of them took."""
    answers = answer if isinstance(answer, tuple) else (answer,)
    results: dict[int, Json] = {}
    credits_cost = 0.0
    for group, one in zip(_groups(body), answers, strict=True):
        for place, dense, tokens in _parts(body, group, one):
            results[place] = result_of(body.requests[place], one, dense, tokens)
            credits_cost += cost_of(body.requests[place], one, tokens)
    totals = {
        "tokensUsed": sum(one.usage.tokens for one in answers),
        "latencyMs": sum(milliseconds(one.usage) for one in answers),  # they took their turns
        "creditsCost": credits_cost,
        "requestsProcessed": len(results),
    }
    return {"results": [results[place] for place in sorted(results)], "totals": totals}


def _groups(body: BatchBody) -> list[list[int]]:
    """The places of the requests of each kind."""
    groups: dict[Kind, list[int]] = {}
    for place, one in enumerate(body.requests):
        width = one.options.dimensions if one.options else None
        kind = (one.model or one.type, width, one.project_id or "", bool(pictures_of(one)))
        groups.setdefault(kind, []).append(place)
    return list(groups.values())


def _parts(body: BatchBody, group: Sequence[int], answer: Encoded) -> Iterator[tuple[int, Floats, int]]:
    """The place of each request of a group, its vectors and its tokens.

    The model counts the tokens of all; a request's are its share by characters, or by pictures.
    """
    assert answer.dense is not None
    own = [body.requests[place] for place in group]
    rows = pairwise(accumulate(map(_count, own), initial=0))
    tokens = shares(answer.usage.tokens, [_size(one) for one in own])
    for place, (start, stop), share in zip(group, rows, tokens, strict=True):
        yield place, answer.dense[start:stop], share


def _count(one: GenerateBody) -> int:
    return len(pictures_of(one)) or len(contents_of(one))


def _size(one: GenerateBody) -> int:
    return len(pictures_of(one)) or sum(map(len, contents_of(one)))
