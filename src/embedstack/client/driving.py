"""A route's steps become calls that run, and what became of each goes back to the route, until it has decided."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TypeVar

from embedstack.client.routing import THEIRS, Ask, Decision, Outcome, Route
from embedstack.errors import BadRequest, DeadlineExceeded, EmbedstackError
from embedstack.types import Encoded, Scored

Answer = TypeVar("Answer", Encoded, Scored)
Calls = dict[int, "asyncio.Future[Answer]"]
MAX_HAPPENED = 400  # characters of what one endpoint said
SLACK_S = 0.2  # after the deadline, for the calls themselves to say that it has passed


async def driven(
    steps: Route,
    ask: Callable[[int], Coroutine[object, object, Answer]],
    leave: "Callable[[asyncio.Future[Answer]], None]",
    deadline: float | None = None,
) -> "tuple[Decision, Calls[Answer]]":
    """What the route decided, and all calls that were begun.

    Args:
        ask: the call to an endpoint, by its place.
        leave: takes each call whose outcome nobody waits for any more.
        deadline: on time.monotonic's clock.
    Raises:
        DeadlineExceeded: it passed, and no call said so.
    """
    calls: Calls[Answer] = {}
    heard: set[int] = set()
    try:
        step = next(steps)
        while True:
            outcome = None
            if isinstance(step, Ask):
                calls[step.place] = asyncio.ensure_future(ask(step.place))
            else:
                running = {call: place for place, call in calls.items() if place not in heard}
                outcome = await _ended(running, step.at_most_s, deadline)
                heard |= {outcome.place} if outcome is not None else set()
            step = steps.send(outcome)
    except StopIteration as stop:
        decision = stop.value
        assert isinstance(decision, Decision)
        return decision, calls
    finally:
        for call in calls.values():
            leave(call)


async def _ended(
    running: "dict[asyncio.Future[Answer], int]", at_most_s: float | None, deadline: float | None
) -> Outcome | None:
    """One that ended, an answer before an error; None if the patience ended first."""
    left_s = None if deadline is None else max(0.0, deadline - time.monotonic()) + SLACK_S
    patience_s = min((wait for wait in (at_most_s, left_s) if wait is not None), default=None)
    done, _ = await asyncio.wait(running, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
    if not done and left_s is not None and patience_s == left_s:
        raise DeadlineExceeded("the deadline passed before an endpoint answered; allow more time or send less")
    if not done:
        return None
    call = min(done, key=lambda one: (one.cancelled() or one.exception() is not None, running[one]))
    if call.cancelled():
        return Outcome(running[call], settled=False, happened="it was cancelled")
    error = call.exception()
    is_settled = error is None or settles(error, deadline)
    return Outcome(running[call], is_settled, "" if error is None or is_settled else _words(error))


def settles(error: BaseException, deadline: float | None) -> bool:
    """Whether no other endpoint could do better: the request itself is wrong, or the caller's time is over."""
    if isinstance(error, DeadlineExceeded):
        return deadline is not None and time.monotonic() >= deadline
    return not isinstance(error, EmbedstackError) or (isinstance(error, BadRequest) and not isinstance(error, THEIRS))


def _words(error: BaseException) -> str:
    said = error.message if isinstance(error, EmbedstackError) else str(error)
    return said if len(said) <= MAX_HAPPENED else f"{said[:MAX_HAPPENED]}…"
