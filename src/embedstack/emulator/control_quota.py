"""How many requests an account may send: counted by minute, hour and day, and told in the headers of every reply."""

import math
from dataclasses import dataclass, field

from embedstack.emulator.control_problem import Problem


@dataclass(frozen=True, slots=True)
class Window:
    """So many requests in so many seconds."""

    name: str
    quota: int
    seconds: int


WINDOWS = (Window("minute", 60, 60), Window("hour", 3000, 3600), Window("day", 50_000, 86_400))
"""The document's example of the header RateLimit-Policy; an account's own numbers may be others."""


@dataclass(slots=True, eq=False)
class Quota:
    """Windows begin at whole minutes, hours and days of UTC."""

    windows: tuple[Window, ...] = WINDOWS
    _counts: dict[str, tuple[int, int]] = field(default_factory=dict)  # by name: which window, requests in it

    def count(self, now: float) -> Problem | None:
        """One more request; a refusal where a window is full, which does not count."""
        for window in self.windows:
            if self._used(window, now) >= window.quota:
                wait_s = {"Retry-After": str(_left_s(window, now))}
                return Problem(429, f"rate limit exceeded for the {window.name} window", headers=wait_s)
        for window in self.windows:
            self._counts[window.name] = (int(now // window.seconds), self._used(window, now) + 1)
        return None

    def headers(self, now: float) -> dict[str, str]:
        """What is left of each window, and what it holds."""
        if not self.windows:
            return {}
        left = (f'"{one.name}";r={one.quota - self._used(one, now)};t={_left_s(one, now)}' for one in self.windows)
        policy = (f'"{one.name}";q={one.quota};w={one.seconds}' for one in self.windows)
        return {"RateLimit": ", ".join(left), "RateLimit-Policy": ", ".join(policy)}

    def _used(self, window: Window, now: float) -> int:
        number, used = self._counts.get(window.name, (0, 0))
        return used if number == int(now // window.seconds) else 0


def _left_s(window: Window, now: float) -> int:
    return max(1, math.ceil(window.seconds - now % window.seconds))
