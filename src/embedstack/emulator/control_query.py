"""Queries of the catalog's routes: what is asked of a stock, or a refusal."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from embedstack.emulator.control_machines import CENTERS, CUDA, LEAST_VCPUS, MOST_GPUS, Card, Center
from embedstack.emulator.control_problem import Problem, invalid

GPU_FILTERS = ("product", "count", "cloud", "countryCodes", "cudaVersions", "minCudaVersion")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a query wants to know the stock of."""

    count: int
    cloud: str
    countries: tuple[str, ...]
    cuda: tuple[str, ...]

    @property
    def centers(self) -> list[Center]:
        """Those in the countries that were named."""
        return [center for center in CENTERS if not self.countries or center.country in self.countries]

    def can_be(self, card: Card) -> bool:
        """Whether a machine like that is there at all."""
        in_cloud = self.cloud == "SECURE" or card.community is not None
        return in_cloud and self.count <= MOST_GPUS and bool(self.cuda)


def gpu_query(query: Mapping[str, str]) -> Wanted | None:
    """What of the GPUs is asked for, None where their stock is not.

    Raises:
        Problem: 400 where filters exclude each other, 422 where one is of the wrong shape.
    """
    if not _is_stock(query, GPU_FILTERS, ("POD", "CLUSTER", "SERVERLESS")):
        return None
    exact = _matching(query, "cudaVersions", r"\d+\.\d+")
    floor = _matching(query, "minCudaVersion", r"\d+(\.\d+)?")
    if exact and floor:
        raise Problem(400, "cudaVersions and minCudaVersion are mutually exclusive")
    cuda = [version for version in CUDA if not exact or version in exact]
    return Wanted(
        count=_whole(query, "count", 1, least=1),
        cloud=(listed(query, "cloud", ("SECURE", "COMMUNITY")) or ["SECURE"])[0],
        countries=tuple(_matching(query, "countryCodes", r"[A-Z]{2}")),
        cuda=tuple(version for version in cuda if not floor or _numbers(version) >= _numbers(floor[0])),
    )


def cpu_query(query: Mapping[str, str]) -> bool:
    """Whether the stock of CPUs is asked for; raises as `gpu_query`."""
    is_stock = _is_stock(query, ("product", "vcpuCount"), ("POD", "SERVERLESS"))
    vcpus = _whole(query, "vcpuCount", LEAST_VCPUS, least=LEAST_VCPUS)
    if vcpus & (vcpus - 1):
        raise Problem(400, "vcpuCount must be a power of two")
    return is_stock


def _is_stock(query: Mapping[str, str], filters: Iterable[str], products: Iterable[str]) -> bool:
    """Whether the stock is asked for; the product must be named with it, and other filters only then."""
    is_stock = bool(listed(query, "include", ("AVAILABILITY",)))
    listed(query, "product", products)
    alone = [name for name in filters if name in query]
    if alone and not is_stock:
        raise Problem(400, f"{alone[0]} is valid only with include=AVAILABILITY")
    if is_stock and "product" not in query:
        raise Problem(400, "product is required with include=AVAILABILITY")
    return is_stock


def listed(query: Mapping[str, str], name: str, known: Iterable[str]) -> list[str]:
    """Values between commas, each of them known."""
    given = query[name].split(",") if name in query else []
    for value in given:
        if value not in known:
            raise invalid(f"$.{name}: {value!r} is not one of {', '.join(sorted(known))}")
    return given


def _matching(query: Mapping[str, str], name: str, pattern: str) -> list[str]:
    given = query[name].split(",") if name in query else []
    for value in given:
        if not re.fullmatch(pattern, value, re.ASCII):
            raise invalid(f"$.{name}: {value!r} does not match {pattern!r}")
    return given


def _whole(query: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    text = query.get(name, str(default))
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or int(text) < least:
        raise invalid(f"$.{name}: {text!r} is not a whole number from {least}")
    return int(text)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
