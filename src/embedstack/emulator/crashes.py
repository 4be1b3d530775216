"""Workers that ended by themselves, one after another -> when the next may start, or that none should (pure)."""

from dataclasses import dataclass

MOST = 5  # in a row, without one finished job between them: a loop, which in production goes on and is paid for
LONGEST_PAUSE_S = 60.0


@dataclass(slots=True)
class Streak:
    """The crashes of one endpoint since a job was last finished, and of its present version."""

    count: int = 0
    retry_at: float = 0.0
    version: int = 0
    completed: int = 0  # jobs, when it crashed last

    def crashed(self, version: int, completed: int, now: float) -> None:
        """One more: the pause before the next start doubles."""
        if version != self.version or completed > self.completed:
            self.count = 0
        self.version, self.completed = version, completed
        self.count += 1
        self.retry_at = now + min(2.0 ** (self.count - 1), LONGEST_PAUSE_S)

    def may_start(self, version: int, now: float) -> bool:
        """Whether a worker may start; a new version gets a new chance."""
        return version != self.version or (not self.is_loop(version) and now >= self.retry_at)

    def is_loop(self, version: int) -> bool:
        """Whether starting another one is given up."""
        return version == self.version and self.count >= MOST
