"""POST /search: queries become what a collection has for them, asked with the model of its vectors as they are now."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from starlette.types import Receive, Scope

from embedstack.databases.database import Collection, UnknownCollection
from embedstack.dialects.dialect import Claim, Wire
from embedstack.dialects.wire import claim_headers, identities
from embedstack.engine.answers import aside
from embedstack.engine.reading import within
from embedstack.errors import Mismatch
from embedstack.search.found import Found, How
from embedstack.search.hybrid import Searcher
from embedstack.search.legs import reranking_field
from embedstack.server.bound_models import BoundModels
from embedstack.server.front import Front, peer_of
from embedstack.server.guard import read_body, unless_hung_up, with_terms
from embedstack.server.noting import Noting
from embedstack.server.posted import Posted, Turn
from embedstack.server.search_metrics import Searches
from embedstack.server.search_shapes import SearchBody, asked_names, how_of, read, shown, texts_of, written
from embedstack.server.served import Served
from embedstack.server.table import SEARCH, own_words
from embedstack.server.tracing import Searched
from embedstack.server.usage import total
from embedstack.types import Answer, Encode, Encoded, Request, Usage

LABEL = "server"  # what stands for the dialect in logs and metrics
HIT_BYTES = 1000  # of a hit in the reply, about: a text and some keys
Given = TypeVar("Given")


@dataclass(frozen=True, slots=True)
class Answered:
    """What all queries of a request found in one collection."""

    there: Collection
    found: Sequence[Found]
    claim: Claim  # whose vectors answered
    answers: tuple[Answer, ...]  # of the models, one for each


def searching(front: Front) -> Posted:
    """The ASGI app of the path."""
    return Posted(front, SEARCH, own_words(), Search(front).answer, label=LABEL)


class Search:
    """What answers there."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._searches = Searches(front.metrics.registry)

    async def answer(self, turn: Turn, scope: Scope, receive: Receive) -> Wire:
        """The reply; `turn` becomes what it was for."""
        front, began = self._front, time.perf_counter()
        with self._searches.watch() as watched:
            bound = front.bound()
            raw = await read_body(receive, turn.headers, front.max_bytes)
            body = await aside(len(raw), lambda: read(raw))
            served = front.collections.named(body.collection)
            watched.collection = served.name
            terms = self._terms(turn, scope)
            meter = front.metrics.meter(SEARCH, LABEL)
            meter.read.add(time.perf_counter() - began)
            work = within(terms.deadline, _answered(served, body, bound, terms))
            done = await unless_hung_up(work, receive)
            turn.answers, turn.searched = done.answers, Searched(done.there.name, _longest(done.found))
            self._book(turn, len(done.found))
            began = time.perf_counter()
            wire = await aside(HIT_BYTES * sum(len(one.points) for one in done.found), lambda: _wire(body, done))
            meter.write.add(time.perf_counter() - began)
            return wire

    def _terms(self, turn: Turn, scope: Scope) -> Request:
        """As a request would have them."""
        plain = Encode(model="", items=(), truncate=self._front.limits.truncate)
        terms = with_terms(plain, turn.headers, peer_of(scope), time.monotonic(), key_name=turn.key_name)
        turn.caller = terms.caller
        return terms

    def _book(self, turn: Turn, queries: int) -> None:
        """One request of the caller, also where words were counted and no model was needed."""
        usage = total([one.usage for one in turn.answers]) if turn.answers else Usage(queries, 0)
        self._front.metrics.meter(SEARCH, LABEL).count(usage, has_run=bool(turn.answers))
        assert turn.caller is not None
        self._front.totals.answered(turn.caller, usage)


async def _answered(served: Served, body: SearchBody, bound: BoundModels, terms: Request) -> Answered:
    """The collection is looked at once for all queries; again where it went, or became another's, in between."""
    there = await served.recent()
    try:
        return await _asked(served, there, body, bound, terms)
    except (UnknownCollection, Mismatch):
        now = await served.look()
        if (now.name, now.fields) == (there.name, there.fields):
            raise
        return await _asked(served, now, body, bound, terms)


async def _asked(served: Served, there: Collection, body: SearchBody, bound: BoundModels, terms: Request) -> Answered:
    """By the collection's own name, so that an alias which is switched meanwhile changes nothing."""
    names, how = asked_names(body, there), how_of(body)
    bound.check(there, names)
    if (reranking := reranking_field(there, how)) is not None:
        bound.check(there, [reranking])
    noting = Noting(bound, terms)
    searcher = Searcher(served.fenced.over(there), there.name, noting)
    found = await _all([partial(_found, served.turns, searcher, text, how) for text in texts_of(body)])
    answers = _by_model(noting.answers)
    return Answered(there, found, _claim(there, names, answers), answers)


async def _found(turns: asyncio.Semaphore, searcher: Searcher, text: str, how: How) -> Found:
    async with turns:
        return await searcher.search(text, how)


async def _all(works: Sequence[Callable[[], Coroutine[object, object, Given]]]) -> list[Given]:
    """At once; when one fails, the others are given up."""
    tasks = [asyncio.ensure_future(work()) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _by_model(answers: Sequence[Answer]) -> tuple[Answer, ...]:
    """One for each model, with what all of its answers cost; those with vectors first."""
    grouped: dict[tuple[bool, str, str], list[Answer]] = {}
    for one in answers:
        grouped.setdefault((not isinstance(one, Encoded), one.spec.name, one.spec.space), []).append(one)
    some = [grouped[key] for key in sorted(grouped)]
    return tuple(replace(group[0], usage=total([one.usage for one in group])) for group in some)


def _claim(there: Collection, names: Sequence[str], answers: Sequence[Answer]) -> Claim:
    """The first model that read queries; else whose vectors the first field holds, such as words that were counted."""
    for one in answers:
        if isinstance(one, Encoded):
            return Claim(one.spec.name, one.spec.space, one.fingerprint)
    origins = (there.fields[name].origin for name in names)
    identity = next((one.identity for one in origins if one is not None), None)
    return Claim() if identity is None else Claim(identity.model, identity.space, identity.fingerprint)


def _longest(found: Sequence[Found]) -> dict[str, float]:
    """Of each stage; queries were asked at once."""
    stages = dict.fromkeys(stage for one in found for stage in one.took_s)
    return {stage: max(one.took_s.get(stage, 0.0) for one in found) for stage in stages}


def _wire(body: SearchBody, done: Answered) -> Wire:
    replies = [shown(one, body.text_key, done.there.name, done.claim.model, done.claim.space) for one in done.found]
    headers = identities(done.answers) if done.answers else claim_headers(done.claim)
    return Wire(200, written(replies, is_list=isinstance(body.query, list)), headers)
