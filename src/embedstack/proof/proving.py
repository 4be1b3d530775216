"""A proof that is being made -> how long it still takes, for those who wait; and that it is to be left, for it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event

from embedstack.errors import NotReady

UNKNOWN_S = 10.0  # what is said before enough has run to tell
TELLING = 0.1  # the share that must have run: of MiniLM's first weights, a table is read and nothing is computed
HALF = 0.5  # MiniLM: 1.4 s to see that the truth is true, 0.9 s to ask for the vectors; both grow with the model


@dataclass(slots=True, eq=False)
class Proving:
    """One proof. Its steps are told by the thread that makes it, the rest is for all others.

    Args:
        clock: seconds that never go back.
        left: whether it is to end as soon as it can.
    """

    clock: Callable[[], float] = time.monotonic
    left: Event = field(default_factory=Event)
    _began: float | None = None
    share: float = 0.0

    @property
    def is_under_way(self) -> bool:
        """Whether anything is compared; nothing is where it passed before."""
        return self._began is not None

    def begin(self) -> None:
        """The steps follow; called again, what ran before is not counted."""
        self._began = self.clock()

    def step(self, share: float = 0.0) -> None:
        """One more begins, after which that share of the whole is done.

        Raises:
            NotReady: it is to be left.
        """
        if self.left.is_set():
            raise NotReady(
                "the proof was left before it was done, since this process is stopping; the next start makes it"
            )
        self.share += share

    def left_s(self, now: float) -> float:
        """By what has run so far."""
        if self._began is None or self.share < TELLING:
            return UNKNOWN_S
        return max(1.0, (now - self._began) * (1 - self.share) / self.share)
