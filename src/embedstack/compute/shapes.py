"""What is said to RunPod's control plane and what it says, as structs: keys of replies that are not known are ignored.

The API's names stand here as Python has them: `dataCenterIds` is `data_center_ids`.
https://docs.runpod.io/api-reference-v2/overview
"""

from datetime import datetime
from typing import Literal

from msgspec import UNSET, Struct, UnsetType, field

Action = Literal["start", "stop", "restart", "terminate"]
Cloud = Literal["SECURE", "COMMUNITY"]
FlashBoot = Literal["OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT"]

TIMEOUT_MS = 300_000  # documented as the default, and seen as 0 where it was left out, so it is always sent


class Shape(Struct, frozen=True, rename="camel"):
    """Wishes leave out what is unset; of replies, unknown keys are ignored."""


# ------------------------------------------------------------------------------------------------ both ways


class QueueDelay(Shape, frozen=True, tag_field="type", tag="QUEUE_DELAY"):
    """More workers when the oldest job has waited this long."""

    queue_delay: float = 4.0  # seconds, at least 0.5


class RequestCount(Shape, frozen=True, tag_field="type", tag="REQUEST_COUNT"):
    """One worker for so many jobs that wait or run; the only choice of a load balancer."""

    request_count: int = 4


class Workers(Shape, frozen=True, kw_only=True):
    """How many may run. `idle_timeout`, in seconds, is refused for a queue that scales by RequestCount."""

    min: int | UnsetType = UNSET
    max: int | UnsetType = UNSET
    idle_timeout: int | UnsetType = UNSET


class Cpu(Shape, frozen=True, kw_only=True):
    """A flavor of the catalog and a power of two."""

    id: str
    vcpu_count: int
    memory: float | UnsetType = UNSET  # in GB, told and never asked for


class PersistentMount(Shape, frozen=True, kw_only=True):
    """Storage of the pod's own machine, lost with it."""

    size: int  # in GB
    path: str


class NetworkMount(Shape, frozen=True, kw_only=True):
    """A network volume."""

    volume_id: str
    path: str


class Mounts(Shape, frozen=True, kw_only=True):
    """One kind of storage, or none."""

    persistent: PersistentMount | UnsetType = UNSET
    network: tuple[NetworkMount, ...] | UnsetType = UNSET


# ------------------------------------------------------------------------------------------------ wishes


class PodGpu(Shape, frozen=True, kw_only=True):
    """A GPU type, and how many."""

    id: str
    count: int = 1
    allowed_cuda_versions: tuple[str, ...] | UnsetType = UNSET
    min_cuda_version: str | UnsetType = UNSET


class GpuPools(Shape, frozen=True, kw_only=True):
    """Pools whose cards will do. In a change, `pools` left out keeps them."""

    pools: tuple[str, ...] | UnsetType = UNSET
    excluded_types: tuple[str, ...] | UnsetType = UNSET
    count: int | UnsetType = UNSET
    allowed_cuda_versions: tuple[str, ...] | UnsetType = UNSET
    min_cuda_version: str | UnsetType = UNSET


class _Container(Shape, frozen=True, kw_only=True):
    image: str | UnsetType = UNSET
    args: str | UnsetType = UNSET
    disk: int | UnsetType = UNSET  # in GB
    env: dict[str, str] | UnsetType = UNSET  # in a change it replaces all of it
    ports: tuple[str, ...] | UnsetType = UNSET  # such as "80/http"
    registry: str | UnsetType | None = UNSET
    template_id: str | UnsetType = UNSET

    def __repr__(self) -> str:  # the environment may hold keys
        return f"{type(self).__name__}(image={self.image!r}, template_id={self.template_id!r})"


class NewEndpoint(_Container, frozen=True, kw_only=True):
    """A serverless endpoint to be made. Exactly one of `gpu` and `cpu`; an image or a template."""

    name: str
    scaling: QueueDelay | RequestCount
    type: Literal["QUEUE", "LOAD_BALANCER"] = "QUEUE"
    gpu: GpuPools | UnsetType = UNSET
    cpu: tuple[Cpu, ...] | UnsetType = UNSET
    workers: Workers | UnsetType = UNSET
    data_center_ids: tuple[str, ...] | UnsetType = UNSET
    network_volumes: tuple[str, ...] | UnsetType = UNSET
    timeout: int = TIMEOUT_MS  # of one job
    flashboot: FlashBoot | UnsetType = UNSET


class EndpointChange(_Container, frozen=True, kw_only=True):
    """What of an endpoint is to be another; the rest stays."""

    name: str | UnsetType = UNSET
    scaling: QueueDelay | RequestCount | UnsetType = UNSET
    gpu: GpuPools | UnsetType = UNSET
    cpu: tuple[Cpu, ...] | UnsetType = UNSET
    workers: Workers | UnsetType = UNSET
    data_center_ids: tuple[str, ...] | UnsetType = UNSET
    network_volumes: tuple[str, ...] | UnsetType = UNSET
    timeout: int | UnsetType = UNSET
    flashboot: FlashBoot | UnsetType = UNSET


class NewPod(_Container, frozen=True, kw_only=True):
    """A pod to be made. Exactly one of `gpu` and `cpu`; an image or a template."""

    name: str
    gpu: PodGpu | UnsetType = UNSET
    cpu: Cpu | UnsetType = UNSET
    cloud: Cloud | UnsetType = UNSET
    data_center_ids: tuple[str, ...] | UnsetType = UNSET
    mounts: Mounts | UnsetType = UNSET
    start_ssh: bool | UnsetType = UNSET


# ------------------------------------------------------------------------------------------------ what is told


class EndpointGpu(Shape, frozen=True, kw_only=True):
    """The pools of an endpoint's workers."""

    pools: tuple[str, ...]
    count: int = 1
    excluded_types: tuple[str, ...] = ()
    allowed_cuda_versions: tuple[str, ...] = ()
    min_cuda_version: str | None = None


class _Running(Shape, frozen=True, kw_only=True):
    id: str
    name: str
    created_at: datetime
    image: str = ""
    args: str = ""
    disk: int = 0
    ports: tuple[str, ...] = ()
    env: dict[str, str] = {}
    registry: str | None = None

    def __repr__(self) -> str:  # the environment may hold keys
        return f"{type(self).__name__}(id={self.id!r}, name={self.name!r}, image={self.image!r})"


class Endpoint(_Running, frozen=True, kw_only=True):
    """A serverless endpoint. Its addresses are told, and are not to be put together."""

    type: str = "QUEUE"
    request_urls: dict[str, str] = {}
    workers: Workers
    scaling: QueueDelay | RequestCount
    gpu: EndpointGpu | None = None
    cpu: tuple[Cpu, ...] = ()
    data_center_ids: tuple[str, ...] = ()
    network_volumes: tuple[str, ...] = ()
    timeout: int = 0  # milliseconds
    flashboot: str = "OFF"


class Worker(Shape, frozen=True, kw_only=True):
    """One of an endpoint's workers; what is None is not known yet."""

    id: str
    status: str  # RUNNING, IDLE, INITIALIZING, THROTTLED or UNHEALTHY
    is_stale: bool
    gpu_count: int
    version: int | None = None
    image: str | None = None
    uptime_seconds: int | None = None
    gpu_type_id: str | None = None
    data_center_id: str | None = None
    started_at: datetime | None = None


class WorkerList(Shape, frozen=True, kw_only=True):
    """The workers of an endpoint, and how many there are of each status."""

    workers: tuple[Worker, ...]
    summary: dict[str, int]
    endpoint_version: int | None = None


class TakenGpu(Shape, frozen=True, kw_only=True):
    """The GPUs of a pod."""

    id: str
    count: int = 1


class Pod(_Running, frozen=True, kw_only=True):
    """A pod. `cost` is in dollars an hour now, so nothing for one that is stopped."""

    status: str  # PROVISIONING, STARTING, RUNNING, EXITED, ERROR or TERMINATED
    actions: tuple[str, ...] = ()
    gpu: TakenGpu | None = None
    cpu: Cpu | None = None
    mounts: Mounts = field(default_factory=Mounts)
    cloud: str = "SECURE"
    data_center_id: str | None = None
    cost: float = 0.0
    locked: bool = False
    started_at: datetime | None = None
