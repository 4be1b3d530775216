"""Endpoints and how they stand -> whom to ask next, told step by step what became of it; pure."""

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from embedstack.errors import Forbidden, Unauthorized, UnknownModel, Unsupported
from embedstack.types import Encode, Score, Text

Function = Literal["query", "ingest", "late"]
"""What vectors are for: the same text may go elsewhere when it is searched with and when it is stored."""
FUNCTIONS: tuple[Function, ...] = ("query", "ingest", "late")
THEIRS = (Unauthorized, Forbidden, UnknownModel, Unsupported)  # wrong requests to one endpoint, sound ones to others


@dataclass(frozen=True, slots=True)
class Standing:
    """An endpoint before a request: `barred` says why it is not asked at all, and is empty where it is."""

    name: str
    barred: str = ""
    is_healthy: bool = True  # by the last look; who is not is asked after the others


@dataclass(frozen=True, slots=True)
class Attempt:
    """Whom a request was to go to, and what became of it."""

    name: str
    happened: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Begin to ask this one; nothing is sent back."""

    place: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Until one of those that were asked ends, or so many seconds at most; the outcome is sent back."""

    at_most_s: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One of them ended: `settled` if it decides the request, with an answer or because the request is wrong."""

    place: int
    settled: bool
    happened: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whose outcome is the request's; without a place nobody's, and `attempts` is everybody's."""

    place: int | None
    attempts: tuple[Attempt, ...]


Step: TypeAlias = Ask | Wait
Route: TypeAlias = Generator[Step, Outcome | None, Decision]


def function_of(request: Encode | Score) -> Function:
    """What the vectors are for, by late chunking and by the role of its texts."""
    if not isinstance(request, Encode):
        return "query"
    if request.late_chunking:
        return "late"
    roles = {item.role for item in request.items if isinstance(item, Text)}
    return "query" if roles == {"query"} else "ingest"


def route(standings: Sequence[Standing], *, hedge_after_s: float | None = None, falls_back: bool = True) -> Route:
    """One after the other until one settles it.

    Args:
        standings: in the order in which they are wanted; who is not healthy comes last.
        hedge_after_s: the next one is asked as well when nobody answered for so long; None: never.
        falls_back: False leaves it at the first one, by health.
    """
    wanted = sorted(range(len(standings)), key=lambda place: not standings[place].is_healthy)
    wanted = wanted if falls_back else wanted[:1]
    attempts = [Attempt(standings[place].name, standings[place].barred) for place in wanted if standings[place].barred]
    waiting = deque(place for place in wanted if not standings[place].barred)
    running: set[int] = set()
    while waiting or running:
        if not running:
            running.add(waiting[0])
            yield Ask(waiting.popleft())
        outcome = yield Wait(hedge_after_s if waiting else None)
        if outcome is None:
            running.add(waiting[0])
            yield Ask(waiting.popleft())
        elif outcome.settled:
            return Decision(outcome.place, tuple(attempts))
        else:
            running.discard(outcome.place)
            attempts.append(Attempt(standings[outcome.place].name, outcome.happened))
    return Decision(None, tuple(attempts))
