"""A number and a seed -> submissions; a share -> rules of what goes wrong with that share of all calls. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from msgspec.structs import replace

from embedstack.emulator.faults import Fault
from embedstack.evals.sentences import SENTENCES

MOST_TEXTS = 8
DEADLINES_S, WEIGHTS = (30.0, 0.5), (0.95, 0.05)  # some have so little time that they can only end in an error
CANCELLED, CANCEL_S = 0.05, 0.5  # the share that is cancelled, and the latest time of that
DELAY_S = 0.5
MARK = "submission"

TROUBLES = (
    Fault(route="client", action="status", status=500),
    Fault(route="client", action="status", status=502),
    Fault(route="client", action="status", status=503),
    Fault(route="client", action="status", status=429),
    Fault(route="client", action="reset"),
    Fault(route="client", action="html"),
    Fault(route="client", action="delay", seconds=DELAY_S),
    Fault(route="client", action="status", status=500, after_commit=True),
    Fault(route="client", action="status", status=524, after_commit=True),
    Fault(route="client", action="reset", after_commit=True),
    Fault(route="client", action="html", after_commit=True),
    Fault(route="client", action="truncate"),
)
"""What happens to a call, of whichever route."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One submission: texts of which the first is nobody else's."""

    number: int
    texts: tuple[str, ...]
    deadline_s: float
    cancel_after_s: float | None = None


def asks(count: int, seed: int = 0) -> list[Ask]:
    """Submissions of 1 to 8 short texts."""
    draw = Random(seed)
    return [_ask(number, draw) for number in range(count)]


def _ask(number: int, draw: Random) -> Ask:
    others = draw.choices(SENTENCES, k=draw.randrange(MOST_TEXTS))
    (deadline_s,) = draw.choices(DEADLINES_S, WEIGHTS)
    cancel_after_s = draw.uniform(0.0, CANCEL_S) if draw.random() < CANCELLED else None
    return Ask(number, (first_text(number), *others), deadline_s, cancel_after_s)


def first_text(number: int) -> str:
    """By which a job is recognised."""
    return f"{MARK} {number}: {SENTENCES[number % len(SENTENCES)]}"


def number_of(texts: Sequence[str]) -> int:
    """Whose these are."""
    mark, number = texts[0].partition(":")[0].split()
    assert mark == MARK, texts[0]
    return int(number)


def storm(share: float) -> tuple[Fault, ...]:
    """Rules by which this share of the calls of clients, of the calls of workers and of the hand-outs goes wrong."""
    each = share / len(TROUBLES)
    return (
        Fault(route="ping", action="ignore", share=share),
        Fault(route="job-take", action="double", share=share),
        *(replace(trouble, route=route, share=each) for route in ("client", "worker") for trouble in TROUBLES),
    )
