"""A ledger and the query of a billing route -> the body that REST v2 answers: records by time, and their totals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from math import fsum
from typing import Literal, get_args

from embedstack.emulator.billing import MICROS, Entry, Ledger, Product
from embedstack.errors import BadRequest

Bucket = Literal["hour", "day", "week", "month", "year"]
Part = Literal["gpu", "cpu", "disk"]
Amounts = Mapping[str, tuple[Product, Part] | None]
"""Names of amounts, and what of a ledger each is; None where the emulator runs nothing that would cost it."""

DEFAULT_DAYS = 30
BUCKETS: tuple[Bucket, ...] = get_args(Bucket)
MOST_BUCKETS = 10_000  # a year of hours, and some
YEARS = (1970, 9000)  # outside of them the arithmetic of dates ends


@dataclass(frozen=True, slots=True)
class Kind:
    """What one billing route tells.

    Args:
        products: whose spans become records.
        id_name: what its records call the resource, and its query the filter; None where they do not tell them apart.
        unique_name: what its metadata calls their number.
    """

    products: frozenset[Product] = frozenset()
    amounts: Amounts = field(default_factory=dict)
    id_name: str | None = None
    unique_name: str | None = None


KINDS: Mapping[str, Kind] = {
    "": Kind(
        frozenset({"pods", "serverless"}),
        {
            "podGpuAmount": ("pods", "gpu"),
            "podCpuAmount": ("pods", "cpu"),
            "podDiskAmount": ("pods", "disk"),
            "serverlessGpuAmount": ("serverless", "gpu"),
            "serverlessCpuAmount": ("serverless", "cpu"),
            "serverlessDiskAmount": ("serverless", "disk"),
            "serverlessFeeAmount": None,
            "storageStandardAmount": None,
            "storageHighPerformanceAmount": None,
            "endpointAmount": None,
            "clusterGpuAmount": None,
            "clusterDiskAmount": None,
            "clusterNetworkingAmount": None,
        },
    ),
    "pods": Kind(
        frozenset({"pods"}),
        {"gpuAmount": ("pods", "gpu"), "cpuAmount": ("pods", "cpu"), "diskAmount": ("pods", "disk")},
        "podId",
        "uniquePodCount",
    ),
    "serverless": Kind(
        frozenset({"serverless"}),
        {
            "gpuAmount": ("serverless", "gpu"),
            "cpuAmount": ("serverless", "cpu"),
            "diskAmount": ("serverless", "disk"),
            "feeAmount": None,
        },
        "serverlessId",
        "uniqueServerlessCount",
    ),
    "endpoints": Kind(),  # RunPod's own public ones
    "network-volumes": Kind(
        amounts={"standardAmount": None, "highPerformanceAmount": None},
        id_name="networkVolumeId",
        unique_name="uniqueNetworkVolumeCount",
    ),
    "clusters": Kind(
        amounts={"gpuAmount": None, "diskAmount": None, "networkingAmount": None},
        id_name="clusterId",
        unique_name="uniqueClusterCount",
    ),
}
"""What follows `/v2/billing/` in the path."""


def billing_page(kind_name: str, ledger: Ledger, query: Mapping[str, str], now: float) -> dict[str, object]:
    """The body of `GET /v2/billing/<kind_name>`; buckets without any cost have no record.

    Raises:
        BadRequest: the query cannot be read.
        KeyError: there is no such kind.
    """
    kind = KINDS[kind_name]
    bucket = _bucket(query)
    start, end = _window(query, bucket, datetime.fromtimestamp(now, timezone.utc))
    wanted = query.get(kind.id_name) if kind.id_name else None
    entries = [
        entry
        for entry in ledger.entries(now)
        if entry.line.product in kind.products
        and start <= _moment(entry) < end
        and entry.line.rate.total
        and wanted in (None, entry.line.resource)
    ]
    records = _records(kind, bucket, entries)
    metadata: dict[str, object] = {
        "query": {**_range(start, end), "bucketSize": bucket, **({kind.id_name: wanted} if kind.id_name else {})},
        "recordCount": len(records),
        "totals": _amounts(kind, entries),
    }
    if kind.unique_name:
        metadata[kind.unique_name] = len({entry.line.resource for entry in entries})
    return {"records": records, "metadata": metadata}


def _records(kind: Kind, bucket: Bucket, entries: Iterable[Entry]) -> list[dict[str, object]]:
    groups: dict[tuple[datetime, str], list[Entry]] = {}
    for entry in entries:
        resource = entry.line.resource if kind.id_name else ""
        groups.setdefault((_floor(_moment(entry), bucket), resource), []).append(entry)
    return [
        {
            **_range(start, _after(start, bucket)),
            **({kind.id_name: resource} if kind.id_name else {}),
            **_amounts(kind, groups[start, resource]),
        }
        for start, resource in sorted(groups)
    ]


def _amounts(kind: Kind, entries: Sequence[Entry]) -> dict[str, float]:
    parts = {name: _sum(entries, *of) if of else 0.0 for name, of in kind.amounts.items()}
    return {"totalAmount": fsum(parts.values()), **parts}


def _sum(entries: Sequence[Entry], product: Product, part: Part) -> float:
    found = ((getattr(entry.line.rate, part), entry) for entry in entries if entry.line.product == product)
    return fsum(price * entry.seconds for price, entry in found)


# ------------------------------------------------------------------------------------------------ times


def _bucket(query: Mapping[str, str]) -> Bucket:
    given = query.get("bucketSize", "day")
    if given not in BUCKETS:
        raise BadRequest(f"bucketSize {given!r} is none of {', '.join(BUCKETS)}")
    return given


def _window(query: Mapping[str, str], bucket: Bucket, now: datetime) -> tuple[datetime, datetime]:
    """From the beginning of the first bucket to the end of the last."""
    if "lastN" in query:
        if "startTime" in query or "endTime" in query:
            raise BadRequest("lastN excludes startTime and endTime; give one or the other")
        start = _floor(now, bucket)
        end = _after(start, bucket)
        for _ in range(_whole(query["lastN"]) - 1):
            if start.year < YEARS[0]:
                break
            start = _floor(start - timedelta(microseconds=1), bucket)
        return start, end
    start = _read(query, "startTime", now - timedelta(days=DEFAULT_DAYS))
    end = _read(query, "endTime", now)
    if end <= start:
        raise BadRequest(f"endTime {_text(end)} is not after startTime {_text(start)}")
    last = _floor(end - timedelta(microseconds=1), bucket)
    return _floor(start, bucket), _after(last, bucket)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= MOST_BUCKETS):
        raise BadRequest(f"lastN {text!r} is not a whole number from 1 to {MOST_BUCKETS}")
    return int(text)


def _read(query: Mapping[str, str], name: str, default: datetime) -> datetime:
    text = query.get(name)
    if text is None:
        return default
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise BadRequest(
            f"{name} {text!r} is not a time as RFC 3339 writes it; example: 2026-06-01T00:00:00Z"
        ) from error
    if not YEARS[0] <= found.year <= YEARS[1]:
        raise BadRequest(f"{name} {text!r} is not within the years {YEARS[0]} to {YEARS[1]}")
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)


def _floor(moment: datetime, bucket: Bucket) -> datetime:
    """When the bucket began that the moment is in."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    if bucket == "hour":
        return hour
    day = hour.replace(hour=0)
    if bucket == "day":
        return day
    if bucket == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if bucket == "month" else day.replace(month=1, day=1)


def _after(start: datetime, bucket: Bucket) -> datetime:
    """When the bucket ends that began at `start`."""
    longest = {"hour": 1 / 24, "day": 1, "week": 7, "month": 31, "year": 366}[bucket]
    return start + timedelta(hours=1) if bucket == "hour" else _floor(start + timedelta(days=longest), bucket)


def _moment(entry: Entry) -> datetime:
    return datetime.fromtimestamp(entry.hour // MICROS, timezone.utc)


def _range(start: datetime, end: datetime) -> dict[str, str]:
    return {"startTime": _text(start), "endTime": _text(end)}


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
