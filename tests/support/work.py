"""Something to do -> the processor time of this thread that it takes, for tests of how work grows."""

import time
from collections.abc import Callable

WASTED = 8.0  # of `growth`: between 4 and 16


def processor_s(work: Callable[[], object], times: int = 5) -> float:
    """The least of some."""
    return min(_once(work) for _ in range(times))


def _once(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


def growth(work: Callable[[int], object], size: int, times: int = 5) -> float:
    """How many times as long it takes for four times as much: about 4, or 16 if all is looked at again for each."""
    return processor_s(lambda: work(4 * size), times) / processor_s(lambda: work(size), times)
