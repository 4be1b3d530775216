"""Something to do -> the processor time of this thread that it takes, for tests of how work grows."""

import time
from collections.abc import Callable

WASTED = 8.0  # of `growth`: between 4 and 16
ROUNDS = 25  # after which what is still too slow is so


def processor_s(work: Callable[[], object], times: int = 5) -> float:
    """The least of some."""
    return min(_once(work) for _ in range(times))


def _once(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


def growth(work: Callable[[int], object], size: int) -> float:
    """How many times as long it takes for four times as much: about 4, or 16 if all is looked at again for each.

    The least that either took in some rounds, both in each: a busy machine only makes them longer, so there are more
    rounds where they look wasteful.
    """
    small, large = float("inf"), float("inf")
    for done in range(1, ROUNDS + 1):
        small, large = min(small, _once(lambda: work(size))), min(large, _once(lambda: work(4 * size)))
        if done >= 5 and large / small < WASTED:
            break
    return large / small
