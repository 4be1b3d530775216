"""How the last calls to an endpoint went becomes whether it is asked now; pure, the time is passed in."""

from dataclasses import dataclass

FAILURES = 3  # in a row; each was repeated by the client where that is safe, so it is no hiccup
OPEN_S = 10.0  # a model from the cache is loaded in seconds, a container restarts in about this
LONGEST_S = 300.0  # RunPod's idle workers are gone after less, so a longer pause spares nothing


@dataclass(slots=True)
class Breaker:
    """Closed: all calls pass. Open: none until a pause is over. Half-open then: one call passes and decides.

    Each trial that fails doubles the pause.
    """

    failures: int = 0  # in a row
    open_s: float = 0.0  # the present pause; 0 while it is closed
    until: float = 0.0  # when that is over
    trial: int = 0  # the number of the one call of half-open that is under way; 0 where none is
    trials: int = 0  # so far

    @property
    def is_closed(self) -> bool:
        """Whether nothing is known against the endpoint."""
        return self.open_s == 0.0

    def may_ask(self, now: float) -> bool:
        """Whether a call passes."""
        return self.is_closed or (now >= self.until and not self.trial)

    def left_s(self, now: float) -> float:
        """Of the pause."""
        return max(0.0, self.until - now) if not self.is_closed else 0.0

    def began(self) -> int:
        """A call passed. Its number if it is the trial, which it alone can end; else 0."""
        if self.is_closed:
            return 0
        self.trials += 1
        self.trial = self.trials
        return self.trial

    def succeeded(self) -> None:
        """A call was answered: whatever was known against the endpoint is over."""
        self.failures, self.open_s, self.trial = 0, 0.0, 0

    def released(self, number: int = 0) -> None:
        """A call ended and says nothing of the endpoint: it was cancelled, or the request was wrong."""
        if number == self.trial:
            self.trial = 0

    def failed(self, now: float, number: int = 0) -> bool:
        """A call failed; whether that opened it now."""
        self.failures += 1
        was_closed = self.is_closed
        if was_closed and self.failures < FAILURES:
            return False
        if was_closed or (number and number == self.trial):  # calls that passed before it opened do not prolong it
            self.open_s = OPEN_S if was_closed else min(LONGEST_S, 2 * self.open_s)
            self.until = now + self.open_s
            self.trial = 0
        return was_closed
