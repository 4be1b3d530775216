"""What starts workers for the autoscaler: an order in, something that runs out; real processes do, and a test's own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Order:
    """A worker to start, with the variables that its endpoint sets."""

    endpoint_id: str
    worker_id: str
    env: Mapping[str, str] = field(default_factory=dict, repr=False)  # keys may stand in it


class Running(Protocol):
    """A worker that was started."""

    async def wait(self) -> int:
        """Return once it has ended and nothing of it is left: its exit status, or minus the signal that ended it."""
        ...

    def terminate(self) -> None:
        """Ask it to end (SIGTERM); one that has ended is no error."""
        ...

    def kill(self) -> None:
        """End it and all that it started (SIGKILL); one that has ended is no error."""
        ...

    def last_words(self) -> str:
        """What it wrote last, to say why it ended."""
        ...


class Spawner(Protocol):
    """Starts workers."""

    async def start(self, order: Order) -> Running:
        """A worker that begins.

        Raises:
            ConfigError: it cannot be started, now or ever.
        """
        ...
