"""The machines that the emulated RunPod has: GPUs, CPU flavors and data centres, with what they cost.

The GPUs are one or more of each serverless pool, not all there are. Their ids, names and memory are from runpod/docs
references/gpu-types.mdx at commit 0a0dd1bc. Pod prices are those seen in 2026 in copies of the price page; where none
was seen, the serverless price stands in its place. The real catalog is the one to ask what something costs.
"""

from dataclasses import dataclass

from embedstack.emulator.billing import GPU_POOLS, HOUR_S, Rate


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU type; prices in dollars an hour, None where none is known."""

    id: str
    name: str
    pool: str
    memory: int
    secure: float | None = None
    community: float | None = None

    @property
    def serverless(self) -> float:
        """Dollars an hour, by its pool."""
        return round(GPU_POOLS[self.pool] * HOUR_S, 4)

    def price(self, cloud: str) -> float:
        """Dollars an hour in a pod."""
        known = self.secure if cloud == "SECURE" else self.community
        return self.serverless if known is None else known


CARDS = (
    Card("NVIDIA RTX A4000", "RTX A4000", "AMPERE_16", 16),
    Card("NVIDIA RTX A4500", "RTX A4500", "AMPERE_16", 20),
    Card("NVIDIA L4", "L4", "AMPERE_24", 24, community=0.44),
    Card("NVIDIA RTX A5000", "RTX A5000", "AMPERE_24", 24),
    Card("NVIDIA GeForce RTX 3090", "RTX 3090", "AMPERE_24", 24, community=0.22),
    Card("NVIDIA GeForce RTX 4090", "RTX 4090", "ADA_24", 24, secure=0.44, community=0.31),
    Card("NVIDIA RTX A6000", "RTX A6000", "AMPERE_48", 48),
    Card("NVIDIA A40", "A40", "AMPERE_48", 48),
    Card("NVIDIA L40", "L40", "ADA_48_PRO", 48),
    Card("NVIDIA L40S", "L40S", "ADA_48_PRO", 48, community=0.79),
    Card("NVIDIA A100 80GB PCIe", "A100 PCIe", "AMPERE_80", 80, community=1.19),
    Card("NVIDIA A100-SXM4-80GB", "A100 SXM", "AMPERE_80", 80, secure=1.79, community=1.39),
    Card("NVIDIA H100 PCIe", "H100 PCIe", "ADA_80_PRO", 80, secure=2.89, community=1.99),
    Card("NVIDIA H100 80GB HBM3", "H100 SXM", "ADA_80_PRO", 80, secure=3.99, community=2.69),
    Card("NVIDIA H200", "H200 SXM", "HOPPER_141", 141, secure=4.59),
)
MOST_GPUS = 8  # in one machine


@dataclass(frozen=True, slots=True)
class Flavor:
    """A kind of CPU machine."""

    id: str
    name: str
    group: str
    ram_gb_per_vcpu: float


FLAVORS = (  # runpod/docs references/cpu-types.mdx
    Flavor("cpu3c", "Compute-Optimized", "Gen 3", 2),
    Flavor("cpu3g", "General Purpose", "Gen 3", 4),
    Flavor("cpu5c", "Compute-Optimized", "Gen 5", 2),
    Flavor("cpu5g", "General Purpose", "Gen 5", 4),
)
LEAST_VCPUS, MOST_VCPUS = 2, 32
POD_VCPU = 0.04  # dollars an hour, the example of /v2/catalog/cpus


@dataclass(frozen=True, slots=True)
class Center:
    """A data centre."""

    id: str
    name: str
    region: str
    country: str


CENTERS = (
    Center("US-KS-2", "US Kansas 2", "NORTH_AMERICA", "US"),
    Center("US-TX-3", "US Texas 3", "NORTH_AMERICA", "US"),
    Center("EU-RO-1", "EU Romania 1", "EUROPE", "RO"),
)
CUDA = ("12.8", "12.6", "12.4")
COMPLIANCE = ("SOC_2_TYPE_2", "ISO_IEC_27001")
VOLUME_KINDS = ("STANDARD", "HIGH_PERFORMANCE")


def card(card_id: str) -> Card | None:
    """The GPU type of this id."""
    return next((one for one in CARDS if one.id == card_id), None)


def flavor(flavor_id: str) -> Flavor | None:
    """The CPU flavor of this id."""
    return next((one for one in FLAVORS if one.id == flavor_id), None)


def center(center_id: str) -> Center | None:
    """The data centre of this id."""
    return next((one for one in CENTERS if one.id == center_id), None)


def memory_gb(flavor_id: str, vcpus: int) -> int:
    """What a flavor brings for so many processors."""
    found = flavor(flavor_id)
    return int(vcpus * (found.ram_gb_per_vcpu if found else LEAST_VCPUS))


def gpu_pod_rate(found: Card, cloud: str, count: int) -> Rate:
    """What the GPUs of a pod cost."""
    return Rate(gpu=found.price(cloud) * count / HOUR_S)


def cpu_pod_rate(vcpus: int) -> Rate:
    """What the processors of a pod cost."""
    return Rate(cpu=POD_VCPU * vcpus / HOUR_S)
