"""A POST and a function that answers it become an ASGI app: who may, who hung up, what is said of errors and noted."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from traceback import clear_frames

from starlette.types import Receive, Scope, Send

from embedstack.dialects.dialect import Wire
from embedstack.dialects.places import Serving
from embedstack.errors import NotReady
from embedstack.server.front import Front, peer_of
from embedstack.server.guard import caller_by_head, send_wire
from embedstack.server.tracing import Finished, Searched
from embedstack.types import Answer


class Turn:
    """What became of a request: who sent it, which of a place's dialects it was for, its answer if there was one."""

    def __init__(self, serving: Serving, headers: Mapping[bytes, bytes]) -> None:
        self.serving = serving
        self.headers = headers
        self.key_name: str | None = None
        self.caller: str | None = None  # None: it was not let in
        self.others: tuple[str, ...] = ()  # for whom it is as well, where a body names several
        self.answers: tuple[Answer, ...] = ()  # one for each request that its body became
        self.in_turn = False  # whether these were computed one after another
        self.searched: Searched | None = None


Reply = Callable[[Turn, Scope, Receive], Awaitable[Wire]]


@dataclass(frozen=True, slots=True)
class Posted:
    """The ASGI app of one path.

    Args:
        first: whose words errors have until it is known for which dialect the request is.
        reply: the answer; what it raises becomes the reply to an error.
        label: what stands for the dialect in logs and metrics; "" is the dialect's own name.
    """

    front: Front
    path: str
    first: Serving
    reply: Reply
    label: str = field(default="", kw_only=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, whatever happens."""
        began = time.perf_counter()
        turn = Turn(self.first, dict(scope["headers"]))
        self.front.metrics.in_flight += 1
        try:
            wire = await self._wire(turn, scope, receive)
            await send_wire(send, wire)
        finally:
            self.front.metrics.in_flight -= 1
        self._note(turn, scope, wire.status, time.perf_counter() - began)

    async def _wire(self, turn: Turn, scope: Scope, receive: Receive) -> Wire:
        try:
            turn.key_name = self.front.admitted(scope)
            turn.caller = caller_by_head(turn.headers, peer_of(scope), turn.key_name)
            return await self.reply(turn, scope, receive)
        except asyncio.CancelledError:
            if not self.front.opening.is_draining:
                raise
            error: Exception = NotReady("the server stops and had no more time for the request; send it again")
        except Exception as caught:
            error = caught
        if turn.caller is not None:
            for caller in (turn.caller, *turn.others):
                self.front.totals.failed(caller)
        try:
            return self.front.failed(turn.serving, error, scope["embedstack.request_id"])
        finally:
            clear_frames(error.__traceback__)  # they hold the body, and this frame them: a circle that lasts
            del error

    def _note(self, turn: Turn, scope: Scope, status: int, took_s: float) -> None:
        front, dialect = self.front, self.label or turn.serving.dialect.name
        front.metrics.meter(self.path, dialect).seconds.add(took_s)
        front.done(self.path, dialect, scope, status, took_s)
        if front.record is not None:
            request_id = scope["embedstack.request_id"]
            front.record(
                Finished(
                    "POST",
                    self.path,
                    dialect,
                    status,
                    request_id,
                    took_s,
                    turn.headers,
                    turn.answers,
                    turn.searched,
                    in_turn=turn.in_turn,
                )
            )
