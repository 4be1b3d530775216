"""How much and how often one may ask: sizes in bytes, and rates that a clock fills up again."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from embedstack.emulator.clock import Clock
from embedstack.emulator.jobs import KEPT_BYTES

MIB = 1 << 20
WINDOW_S = 10.0  # of the documented rates


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests in ten seconds, and how many of them at once."""

    in_10_s: int
    at_once: int


# https://docs.runpod.io/serverless/endpoints/send-requests, of one endpoint; what more workers allow is not known
RATES: Mapping[str, Rate] = {
    "runsync": Rate(2000, 400),
    "run": Rate(1000, 200),
    "status": Rate(2000, 400),
    "stream": Rate(2000, 400),
    "cancel": Rate(100, 20),
    "purge-queue": Rate(2, 2),
    "openai": Rate(2000, 400),
    "requests": Rate(10, 2),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes as documented; results have those of their job's route.

    Args:
        rates: by route; an empty mapping sets none.
        kept_bytes: of ended jobs of one endpoint, beyond which the oldest are forgotten.
    """

    run_bytes: int = 10 * MIB
    runsync_bytes: int = 20 * MIB
    chunk_bytes: int = MIB
    kept_bytes: int = KEPT_BYTES
    rates: Mapping[str, Rate] = field(default_factory=lambda: RATES)


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float
    at_once: int = 0


class Gate:
    """Who may pass now: a bucket of tokens for each endpoint and route."""

    def __init__(self, clock: Clock, rates: Mapping[str, Rate]) -> None:
        self._clock = clock
        self._rates = rates
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def enter(self, endpoint_id: str, route: str) -> bool:
        """Whether one more may be served; if so `leave` must follow."""
        rate = self._rates.get(route)
        if rate is None:
            return True
        now = self._clock.now()
        bucket = self._buckets.setdefault((endpoint_id, route), _Bucket(rate.in_10_s, now))
        filled = bucket.tokens + (now - bucket.filled_at) * rate.in_10_s / WINDOW_S
        bucket.tokens, bucket.filled_at = min(float(rate.in_10_s), filled), now
        if bucket.tokens < 1 or bucket.at_once >= rate.at_once:
            return False
        bucket.tokens -= 1
        bucket.at_once += 1
        return True

    def leave(self, endpoint_id: str, route: str) -> None:
        """It was served."""
        if route in self._rates:
            self._buckets[endpoint_id, route].at_once -= 1
