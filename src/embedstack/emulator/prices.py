"""A GPU pool or a number of processors -> dollars a second, from a list with a date; where the platform can be asked,
its catalog holds instead of this."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from embedstack.errors import BadRequest

AS_OF = "2026-08-20"  # of runpod/docs snippets/serverless-gpu-pricing-table.mdx at commit a900806e
HOUR_S = 3600

GPU_POOLS: Mapping[str, float] = MappingProxyType(
    {
        "AMPERE_16": 0.00016,
        "AMPERE_24": 0.00019,
        "ADA_24": 0.00031,
        "AMPERE_48": 0.00034,
        "ADA_48_PRO": 0.00053,
        "AMPERE_80": 0.00076,
        "ADA_80_PRO": 0.00116,
        "HOPPER_141": 0.00155,
    }
)
"""Flex workers, dollars a second of one GPU; the docs name no pool for the newest cards."""

DEFAULT_POOL = "AMPERE_16"  # of an endpoint that names neither GPU nor CPU: the cheapest
VCPU = 0.03 / HOUR_S  # the example of /v2/catalog/cpus in the published OpenAPI document; the docs list no price


@dataclass(frozen=True, slots=True)
class Rate:
    """Dollars a second, by what they are for."""

    gpu: float = 0.0
    cpu: float = 0.0
    disk: float = 0.0

    @property
    def total(self) -> float:
        """What a second costs altogether."""
        return self.gpu + self.cpu + self.disk


FREE = Rate()


def gpu_rate(pools: Sequence[str] = (DEFAULT_POOL,), count: int = 1) -> Rate:
    """What a worker of `count` GPUs costs; of several pools the first, which the platform tries first too.

    Raises:
        BadRequest: no price is known for the pool.
    """
    pool = pools[0] if pools else DEFAULT_POOL
    if pool not in GPU_POOLS:
        raise BadRequest(f"no price is known for the GPU pool {pool!r}; known as of {AS_OF}: {', '.join(GPU_POOLS)}")
    return Rate(gpu=GPU_POOLS[pool] * count)


def cpu_rate(vcpus: int) -> Rate:
    """What a worker of so many processors costs."""
    return Rate(cpu=VCPU * vcpus)
