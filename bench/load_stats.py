"""What became of requests, and what the server told -> percentiles, fair shares, memory, the longest batch. Pure."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from embedstack.server.batches import WINDOW_S
from load_traffic import Priority
from load_wire import Fate

GRACE_S = 10.0  # that a request may take before it counts as not answered, where its key has a right to all it wants
LONGEST = {priority: f'embedstack_longest_batch_seconds{{priority="{priority}"}}' for priority in get_args(Priority)}
OVER = "embedstack_bulk_batches_over_limit_total"
STATED = (429, 503, 504)  # a server that is busy, stopping, or out of the caller's time


@dataclass(frozen=True, slots=True)
class Seen:
    """One request and its end. Times are in seconds since the phase began."""

    key: str
    priority: Priority
    tokens: int
    due: float  # when the schedule wanted it sent
    sent: float
    ended: float
    fate: Fate
    status: int = 0
    wrong: str = ""  # what is wrong with the reply, or how it came that there is none

    @property
    def is_good(self) -> bool:
        """It has its vectors."""
        return self.fate == "answered" and self.status == 200 and not self.wrong

    @property
    def is_answered(self) -> bool:
        """With vectors, or with an error that says what to do."""
        return self.is_good or (self.fate == "answered" and self.status in STATED and not self.wrong)

    @property
    def ending(self) -> str:
        """In one word, for counts."""
        ending = str(self.status) if self.fate == "answered" else self.fate
        return f"{ending} ({self.wrong})" if self.wrong else ending


def percentile(values: Iterable[float], share: float) -> float:
    """The least value that so large a share of all does not exceed."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)] if ranked else math.nan


def latencies_ms(
    seen: Iterable[Seen], priority: Priority, start: float = -math.inf, stop: float = math.inf
) -> list[float]:
    """From the head to the whole reply, of good ones that were sent in a window."""
    chosen = (one for one in seen if one.priority == priority and one.is_good and start <= one.sent < stop)
    return [(one.ended - one.sent) * 1000 for one in chosen]


def spread_ms(values: Sequence[float]) -> dict[str, float | int]:
    return {
        "count": len(values),
        **{name: round(percentile(values, share), 2) for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))},
        "max": round(max(values, default=math.nan), 2),
    }


def offered(seen: Iterable[Seen], start: float, stop: float) -> dict[str, int]:
    """Tokens by key, of requests that were sent in a window."""
    return _tokens(one for one in seen if start <= one.sent < stop)


def answered(seen: Iterable[Seen], start: float, stop: float) -> dict[str, int]:
    """Tokens by key, of good replies that came in a window."""
    return _tokens(one for one in seen if one.is_good and start <= one.ended < stop)


def _tokens(seen: Iterable[Seen]) -> dict[str, int]:
    tokens: Counter[str] = Counter()
    for one in seen:
        tokens[one.key] += one.tokens
    return dict(tokens)


def fair_shares(wanted: Mapping[str, float], given: float) -> dict[str, float]:
    """Max-min: nobody gets more than it wants, and what one leaves the others share alike.

    Args:
        given: all that there is to share.
    """
    shares: dict[str, float] = {}
    left = given
    for place, name in enumerate(sorted(wanted, key=lambda name: wanted[name])):
        shares[name] = min(wanted[name], left / (len(wanted) - place))
        left -= shares[name]
    return shares


def shares(seen: Sequence[Seen], start: float, stop: float) -> dict[str, "Share"]:
    """What each key wanted and got in a window, beside its fair share.

    A key that has a right to all that it wants is judged by what became of its requests; the last ones are left out, as
    they may be under way. The others, who always have something waiting, by what they got in the window.
    """
    wanted, got = offered(seen, start, stop), answered(seen, start, stop)
    fair = fair_shares(wanted, sum(got.values()))
    grace_s = min(GRACE_S, (stop - start) / 3)
    sent = offered(seen, start, stop - grace_s)
    in_time = _tokens(one for one in seen if one.is_good and start <= one.sent < stop - grace_s and one.ended < stop)
    whole = sum(wanted.values())
    return {
        key: Share(wanted[key], wanted[key] / whole, got.get(key, 0), in_time.get(key, 0) / sent[key])
        if fair[key] >= wanted[key] and sent.get(key)
        else Share(
            wanted[key], wanted[key] / whole, got.get(key, 0), got.get(key, 0) / fair[key] if fair[key] else math.nan
        )
        for key in wanted
    }


@dataclass(frozen=True, slots=True)
class Share:
    """Of one key, in tokens."""

    offered: int
    of_offered: float
    answered: int
    of_fair: float  # of its fair share, what it got


def growth(samples: Sequence[tuple[float, float]], length_s: float) -> tuple[float, float]:
    """The highest value of the second sixth, and of the last: of 30 minutes, minutes 5 to 10 and 25 to 30.

    Args:
        samples: pairs of seconds and value.
    """

    def highest(first: float, last: float) -> float:
        return max((value for at, value in samples if first * length_s <= at <= last * length_s), default=math.nan)

    return highest(1 / 6, 2 / 6), highest(5 / 6, 1)


def looks(length_s: float) -> list[float]:
    """Seconds from the window's beginning at which to ask for the longest batch.

    Each answer is about the last minute, so all together are about the window and nothing before it; a window of less
    than a minute cannot be told from what was before.
    """
    if length_s < WINDOW_S:
        return []
    step_s = WINDOW_S / 2
    return [*(number * step_s for number in range(2, math.ceil(length_s / step_s))), length_s]


def longest_ms(metrics: Sequence[Mapping[str, float]]) -> dict[str, float] | None:
    """The longest batch by priority, of all answers; None if there are none, or the server does not show it."""
    if not metrics or any(name not in one for one in metrics for name in LONGEST.values()):
        return None
    return {priority: round(1000 * max(one[name] for one in metrics), 1) for priority, name in LONGEST.items()}


def endings(seen: Iterable[Seen]) -> dict[str, dict[str, int]]:
    """How many of each kind ended how."""
    counts: dict[str, Counter[str]] = {}
    for one in seen:
        counts.setdefault(f"{one.key} {one.priority}", Counter())[one.ending] += 1
    return {kind: dict(counts[kind]) for kind in sorted(counts)}
