"""KripTik's `/stats` and `/health`: what the server knows of itself, in the words of the original."""

from collections.abc import Callable

import msgspec

from embedstack.dialects.dialect import CallerTotals, Status, Wire
from embedstack.dialects.wire import dump
from embedstack.watching import Load

PROVIDER = "embedstack"


class CacheStats(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The cache of finished vectors. The original counts bytes to and from Redis, which is not here: always 0."""

    hits: int
    misses: int
    hit_rate: str
    entries: int
    bytes_written: int
    bytes_read: int
    bytes: int  # held now; more than the original has


class StatsProviders(msgspec.Struct, forbid_unknown_fields=True):
    """The models that are served."""

    available: list[str]


class StatsCaller(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What one caller or project has used since the start; the original counts a project's credits and shows none."""

    requests: int
    failures: int
    items: int
    tokens: int
    images: int
    seconds: float
    credits_cost: float


class StatsData(msgspec.Struct, forbid_unknown_fields=True):
    """All three."""

    cache: CacheStats
    providers: StatsProviders
    callers: dict[str, StatsCaller]


class StatsReply(msgspec.Struct, forbid_unknown_fields=True):
    """Their envelope."""

    success: bool
    data: StatsData
    timestamp: str


class ProviderHealth(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """How one model is; `error` is there where it cannot answer."""

    name: str
    healthy: bool
    last_checked: str
    error: str | msgspec.UnsetType = msgspec.UNSET


class CacheHealth(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The cache of finished vectors."""

    healthy: bool
    entries: int
    hit_rate: str


class HealthData(msgspec.Struct, forbid_unknown_fields=True):
    """How the server and its models are."""

    status: str
    providers: list[ProviderHealth]
    cache: CacheHealth


class KriptikHealth(msgspec.Struct, forbid_unknown_fields=True):
    """Its envelope."""

    success: bool
    data: HealthData
    timestamp: str


def show_stats(status: Status, now: Callable[[], str]) -> Wire:
    """Counts of the cache, the models, and what each caller has used."""
    load = status.load
    cache = {
        "hits": load.cache_hits,
        "misses": load.cache_misses,
        "hitRate": _rate(load, "0.0%"),
        "entries": load.cache_entries,
        "bytesWritten": 0,
        "bytesRead": 0,
        "bytes": load.cache_bytes,
    }
    data = {
        "cache": cache,
        "providers": {"available": [spec.name for spec in status.models]},
        "callers": {name: _totals(totals) for name, totals in status.callers.items()},
    }
    return Wire(200, dump({"success": True, "data": data, "timestamp": now()}))


def show_health(status: Status, now: Callable[[], str]) -> Wire:
    """200 when requests are answered, else 503.

    A provider has no `latencyMs`: the original embeds a text at each call to measure it, which here would let anybody
    without a key keep the device busy.
    """
    is_healthy, moment = status.state == "ready", now()
    names = [spec.name for spec in status.models] or [PROVIDER]
    data = {
        "status": "healthy" if is_healthy else "degraded",
        "providers": [_provider(status, name, moment) for name in names],
        "cache": {"healthy": is_healthy, "entries": status.load.cache_entries, "hitRate": _rate(status.load, "N/A")},
    }
    return Wire(200 if is_healthy else 503, dump({"success": is_healthy, "data": data, "timestamp": moment}))


def _provider(status: Status, name: str, moment: str) -> dict[str, object]:
    """One model; another's failure is not its own."""
    is_healthy = status.answers(name)
    why = {} if is_healthy else {"error": status.reason or "the model could not be loaded"}
    return {"name": name, "healthy": is_healthy, "lastChecked": moment, **why}


def _rate(load: Load, none_yet: str) -> str:
    asked = load.cache_hits + load.cache_misses
    return f"{100 * load.cache_hits / asked:.1f}%" if load.cache_hits else none_yet


def _totals(totals: CallerTotals) -> dict[str, object]:
    return {field.encode_name: getattr(totals, field.name) for field in msgspec.structs.fields(StatsCaller)}
