"""A total that rises in steps, and when it was looked at -> how fast it rises."""

from collections import deque
from itertools import pairwise

WINDOW_S = 60.0  # what a rate is of: steps of some seconds each come evenly in it
STEPS = 4  # or so many, where they take longer
LATE = 2.0  # times the longest step, after which the next one is not only late: the total stands still


class Rate:
    """Of whole steps: a part of one would count its time and not what it brings, or the other way round.

    Args:
        at_s: from when on; seconds of one clock everywhere.
        total: what there is by then.
    """

    def __init__(self, at_s: float, total: float) -> None:
        self._steps: deque[tuple[float, float]] = deque([(at_s, total)])

    def add(self, at_s: float, total: float) -> None:
        """It is so much now; it never falls."""
        if total == self._steps[-1][1]:
            return
        self._steps.append((at_s, total))
        while len(self._steps) > STEPS + 1 and self._steps[1][0] <= at_s - WINDOW_S:
            self._steps.popleft()

    def per_s(self, now_s: float) -> float:
        """0 until the first step is done."""
        steps = list(self._steps)
        (first_s, first), (last_s, last) = steps[0], steps[-1]
        longest_s = max((after[0] - before[0] for before, after in pairwise(steps)), default=0.0)
        end_s = now_s if now_s - last_s > LATE * longest_s else last_s
        return (last - first) / (end_s - first_s) if end_s > first_s else 0.0
