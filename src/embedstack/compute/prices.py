"""What RunPod's catalog lists and what its bills say, as structs."""

from datetime import datetime
from typing import Literal

from msgspec import field

from embedstack.compute.shapes import Shape

Product = Literal["POD", "SERVERLESS"]
Bucket = Literal["hour", "day", "week", "month", "year"]


class Price(Shape, frozen=True, kw_only=True):
    """Dollars an hour for one GPU."""

    secure: float = 0.0
    community: float = 0.0
    serverless: float | None = None


class Place(Shape, frozen=True, kw_only=True):
    """How many are free there: NONE, LOW, MEDIUM or HIGH."""

    id: str
    name: str
    availability: str


class GpuType(Shape, frozen=True, kw_only=True):
    """A GPU type; `pool` is None where serverless does not have it."""

    id: str
    name: str
    memory: int  # in GB
    price: Price
    pool: str | None = None
    manufacturer: str = "UNKNOWN"
    secure: bool = False
    community: bool = False
    max_count: dict[str, int] = field(default_factory=dict)
    availability: str | None = None  # only where a product was named
    data_centers: tuple[Place, ...] = ()


class CpuPrice(Shape, frozen=True, kw_only=True):
    """Dollars an hour for one vCPU."""

    secure_per_vcpu: float
    serverless_per_vcpu: float


class CpuType(Shape, frozen=True, kw_only=True):
    """A CPU flavor."""

    id: str
    name: str
    group: str
    vcpu: dict[str, int]  # min, max
    ram_gb_per_vcpu: float
    price: CpuPrice
    availability: str | None = None
    data_centers: tuple[Place, ...] = ()


class DataCenter(Shape, frozen=True, kw_only=True):
    """A data centre, and the kinds of network volumes that it has."""

    id: str
    name: str
    region: str = "UNKNOWN"
    network_volume_types: tuple[str, ...] = ()
    global_network: bool = False
    gpu_availability: tuple[Place, ...] = ()
    cpu_availability: tuple[Place, ...] = ()


class PodBill(Shape, frozen=True, kw_only=True):
    """Dollars that one pod cost in one stretch of time."""

    start_time: datetime
    end_time: datetime
    pod_id: str
    total_amount: float
    gpu_amount: float = 0.0
    cpu_amount: float = 0.0
    disk_amount: float = 0.0


class EndpointBill(Shape, frozen=True, kw_only=True):
    """Dollars that one serverless endpoint cost in one stretch of time."""

    start_time: datetime
    end_time: datetime
    serverless_id: str
    total_amount: float
    gpu_amount: float = 0.0
    cpu_amount: float = 0.0
    disk_amount: float = 0.0
    fee_amount: float = 0.0
