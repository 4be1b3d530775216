"""One POST: bytes become a request, its answer becomes bytes, in the words of the dialect that it was for."""

import time
from collections.abc import Sequence
from dataclasses import replace

from msgspec import Struct
from starlette.types import Receive, Scope

from embedstack.dialects.choosing import chosen, widened
from embedstack.dialects.credits import cost
from embedstack.dialects.dialect import Page, Wire
from embedstack.dialects.places import Place
from embedstack.dialects.wire import identities, identity
from embedstack.engine.answers import answers_of, aside, images_in, size_of
from embedstack.server.bound_models import seen
from embedstack.server.front import Door, Front, peer_of
from embedstack.server.guard import check_terms, read_body, unless_hung_up, with_terms
from embedstack.server.metrics import Meter
from embedstack.server.posted import Posted, Turn
from embedstack.server.usage import total
from embedstack.types import Answer, Decoded, Request, Tokenized

NO_BODY = (b"", b"null", b"{}")


def answering(front: Front, place: Place) -> Posted:
    """The ASGI app of one path."""
    return Posted(front, place.path, place.first, Asked(front, place).answer)


class Asked:
    """What answers at one path."""

    def __init__(self, front: Front, place: Place) -> None:
        self._front = front
        self._place = place
        self._takes_query = any(not isinstance(one.what, Page) and one.what.takes_query for one in place.servings)

    async def answer(self, turn: Turn, scope: Scope, receive: Receive) -> Wire:
        """The reply; `turn` becomes what it was for."""
        began = time.perf_counter()
        front = self._front
        door = front.door()
        body, size_bytes = await self._body(turn, scope, receive, door)
        models = door.encoder.models()
        route = turn.serving.what
        assert not isinstance(route, Page)
        request = await seen(lambda: aside(size_bytes, lambda: route.ask(body, door.limits, models)))
        meter = self._front.metrics.meter(self._place.path, turn.serving.dialect.name)
        meter.read.add(time.perf_counter() - began)
        given: Answer | tuple[Answer, ...] | None = None
        asked: list[Request] = []
        if request is None:
            check_terms(turn.headers)
        else:
            peer, now = peer_of(scope), time.monotonic()
            asked = [
                with_terms(one, turn.headers, peer, now, key_name=turn.key_name)
                for one in (request if isinstance(request, tuple) else (request,))
            ]
            turn.caller, *others = dict.fromkeys(one.caller for one in asked)
            turn.others = tuple(others)
            for one in asked:
                await door.look(one.model)
            work = answers_of(
                door.encoder,
                asked,
                links=front.links,
                find=door.find,
                places=lambda number: route.places(body, number) if route.places is not None else None,
                in_turn=route.in_turn,
            )
            turn.answers, turn.in_turn = await unless_hung_up(work, receive), route.in_turn
            given = turn.answers if isinstance(request, tuple) else turn.answers[0]
        began = time.perf_counter()
        wire = await aside(sum(map(size_of, turn.answers)), lambda: route.reply_to(body, given, models))
        wire = widened(wire, turn.serving, self._place.servings, next(iter(turn.answers), None))
        meter.write.add(time.perf_counter() - began)
        if given is None:
            return wire
        self._book(asked, turn.answers, meter)  # not before it is written: what fails there is booked as a failure
        told = identities(_by_identity(given)) if isinstance(given, tuple) else identity(given)
        return Wire(wire.status, wire.body, {**wire.headers, **told}, wire.media_type)

    async def _body(self, turn: Turn, scope: Scope, receive: Receive, door: Door) -> tuple[Struct, int]:
        """What the body says, and how many bytes it had. They end here: with pictures they are many."""
        raw = await read_body(receive, turn.headers, self._front.max_bytes)
        if self._takes_query and raw in NO_BODY:
            raw = scope["query_string"]
        models, servings = door.encoder.models(), self._place.servings
        turn.serving, body = await seen(lambda: aside(len(raw), lambda: chosen(servings, raw, models, door.find)))
        return body, len(raw)

    def _book(self, requests: Sequence[Request], answers: Sequence[Answer], meter: Meter) -> None:
        """One request of each caller, however many it became."""
        pairs = list(zip(requests, answers, strict=True))
        ran = [(request, answer) for request, answer in pairs if _has_run(answer)]
        meter.count(total([answer.usage for _, answer in ran or pairs]), has_run=bool(ran))
        parts: dict[str, list[tuple[Request, Answer]]] = {}
        for request, answer in ran or pairs:
            parts.setdefault(request.caller, []).append((request, answer))
        for caller, own in parts.items():
            usage = total([answer.usage for _, answer in own])
            self._front.totals.answered(
                caller,
                usage if ran else replace(usage, tokens=0),
                images=sum(images_in(request) for request, _ in own),
                credits_cost=sum(_price(request, answer) for request, answer in own),
            )


def _has_run(answer: Answer) -> bool:
    """Whether a model read its tokens; else they were only counted, beside other answers a second time."""
    return not isinstance(answer, Tokenized | Decoded)


def _price(request: Request, answer: Answer) -> float:
    """In credits; of a request with pictures theirs alone, since nobody knows which tokens were of texts."""
    if isinstance(answer, Tokenized | Decoded):
        return 0.0
    images = images_in(request)
    return cost(answer.spec, 0 if images else answer.usage.tokens, images)


def _by_identity(answers: Sequence[Answer]) -> list[Answer]:
    """One answer for each model and fingerprint, with what all of its kind took: headers name it once."""
    kinds: dict[tuple[str, str, str], list[Answer]] = {}
    for one in [one for one in answers if _has_run(one)] or answers:
        fingerprint = "" if isinstance(one, Tokenized | Decoded) else one.fingerprint
        kinds.setdefault((one.spec.name, one.spec.space, fingerprint), []).append(one)
    return [replace(alike[0], usage=total([one.usage for one in alike])) for alike in kinds.values()]
