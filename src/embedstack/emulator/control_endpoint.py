"""A serverless endpoint as it is configured: bodies in, its configuration, its view and its releases out (pure)."""

from msgspec import UNSET, Struct, UnsetType

from embedstack.emulator import endpoint as running
from embedstack.emulator.billing import DEFAULT_POOL, GPU_POOLS, Rate, cpu_rate, gpu_rate
from embedstack.emulator.control_bodies import (
    Cpu,
    EndpointChange,
    EndpointKind,
    FlashBoot,
    NewEndpoint,
    NewPools,
    Pools,
    QueueDelay,
    RequestCount,
    Scaling,
)
from embedstack.emulator.control_machines import CARDS, flavor, memory_gb
from embedstack.emulator.control_problem import Problem, invalid
from embedstack.emulator.control_shapes import DISK_GB, Fields, Template, changed, container, sent, shown


class Gpus(Struct, frozen=True, kw_only=True, rename="camel"):
    """The pools of its workers."""

    pools: list[str]
    count: int = 1
    excluded_types: list[str] | UnsetType = UNSET
    allowed_cuda_versions: list[str] = []
    min_cuda_version: str | None = None


class WorkerCounts(Struct, frozen=True, kw_only=True, rename="camel"):
    """How many, and how long they idle; unset where that has no meaning."""

    min: int = 0
    max: int = 3
    idle_timeout: int | UnsetType = 10


class Config(Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything that its owner can set, under the API's names."""

    name: str
    type: EndpointKind
    image: str
    args: str = ""
    disk: int = DISK_GB
    ports: list[str] = []
    env: dict[str, str] = {}
    registry: str | None = None
    gpu: Gpus | UnsetType = UNSET
    cpu: list[Cpu] | UnsetType = UNSET
    workers: WorkerCounts = WorkerCounts()
    scaling: Scaling
    data_center_ids: list[str] = []
    network_volumes: list[str] = []
    timeout: int = 300_000
    flashboot: FlashBoot = "OFF"


# ------------------------------------------------------------------------------------------------ made and changed


def made(body: NewEndpoint, template: Template | None) -> Config:
    """The configuration that a body asks for.

    Raises:
        Problem: 400 where it breaks a rule, 422 where parts of it exclude each other.
    """
    gpu, cpu = body.gpu, body.cpu
    if (gpu is UNSET) == (cpu is UNSET):
        raise Problem(400, "exactly one of gpu or cpu must be set")
    config = Config(
        name=body.name,
        type=body.type,
        scaling=body.scaling,
        data_center_ids=body.data_center_ids,
        network_volumes=body.network_volumes,
        timeout=body.timeout,
        flashboot=body.flashboot,
        gpu=UNSET if gpu is UNSET else _pooled(gpu, template),
        cpu=cpu,
        **container(body, template),
    )
    return _sound(changed(config, {"workers": _counts(config, sent(body.workers))}))


def patched(config: Config, body: EndpointChange, template: Template | None) -> Config:
    """The configuration after a change; what the body does not name stays.

    Raises:
        Problem: as in `made`; 400 also where a GPU endpoint is to become one of CPUs, or the other way round.
    """
    if (body.gpu is not UNSET and config.gpu is UNSET) or (body.cpu is not UNSET and config.cpu is UNSET):
        raise Problem(400, "the compute family of an endpoint cannot be changed")
    if config.type == "LOAD_BALANCER" and isinstance(body.scaling, Struct) and not _counts_requests(body.scaling):
        raise Problem(400, "scaling of a LOAD_BALANCER must be of type REQUEST_COUNT")
    fields = {key: value for key, value in sent(body).items() if key in Config.__struct_fields__}
    fields |= container(body, template)
    if body.gpu is not UNSET and config.gpu is not UNSET:
        fields["gpu"] = _repooled(config.gpu, body.gpu)
    after = changed(config, {**fields, "workers": config.workers})
    return _sound(changed(after, {"workers": _counts(after, {} if body.workers is UNSET else sent(body.workers))}))


def _pooled(gpu: NewPools, template: Template | None) -> Gpus:
    fields = _trimmed(sent(gpu))
    seeds = template.allowed_cuda_versions if template else []
    if seeds and "allowed_cuda_versions" not in fields and "min_cuda_version" not in fields:
        fields["allowed_cuda_versions"] = seeds
    return Gpus(**fields)


def _repooled(before: Gpus, gpu: Pools) -> Gpus:
    """Pools and what is left out of them are one choice, so new pools come without the old exclusions."""
    fields = _trimmed(sent(gpu))
    if "pools" in fields:
        fields.setdefault("excluded_types", UNSET)
    if fields.get("min_cuda_version") == "":
        fields["min_cuda_version"] = None
    return changed(before, fields)


def _trimmed(fields: Fields) -> Fields:
    if "excluded_types" not in fields:
        return fields
    return {**fields, "excluded_types": [card.strip() for card in fields["excluded_types"]] or UNSET}


def _counts(config: Config, fields: Fields) -> WorkerCounts:
    """An idle timeout has no meaning for a queue that counts requests: refused there, and not shown."""
    if config.type == "QUEUE" and _counts_requests(config.scaling):
        if "idle_timeout" in fields:
            raise invalid("$.workers.idleTimeout: not applicable to queue-based endpoints scaling on requestCount")
        return changed(config.workers, {**fields, "idle_timeout": UNSET})
    known = config.workers.idle_timeout
    return changed(config.workers, {"idle_timeout": 10 if known is UNSET else known, **fields})


def _counts_requests(scaling: object) -> bool:
    return isinstance(scaling, RequestCount)


def _sound(config: Config) -> Config:
    if config.workers.min > config.workers.max:
        raise Problem(400, f"workers.min {config.workers.min} is above workers.max {config.workers.max}")
    if config.gpu is not UNSET:
        _sound_pools(config.gpu)
    for cpu in [] if config.cpu is UNSET else config.cpu:
        check_cpu(cpu)
    return config


def _sound_pools(gpu: Gpus) -> None:
    for pool in gpu.pools:
        if pool not in GPU_POOLS:
            raise Problem(400, f"GPU pool {pool!r} is not known")
    cards = {card.id for card in CARDS if card.pool in gpu.pools}
    excluded = set() if gpu.excluded_types is UNSET else set(gpu.excluded_types)
    if unknown := sorted(excluded - cards):
        raise Problem(400, f"excluded GPU type {unknown[0]!r} is in none of the pools")
    if not cards - excluded:
        raise Problem(400, "no GPU type is left in the pools")
    if gpu.allowed_cuda_versions and gpu.min_cuda_version:
        raise Problem(400, "allowedCudaVersions and minCudaVersion are mutually exclusive")


def check_cpu(cpu: Cpu) -> None:
    """
    Raises:
        Problem: 400, there is no such flavor, or not of this size.
    """
    if flavor(cpu.id) is None:
        raise Problem(400, f"CPU flavor {cpu.id!r} is not known")
    if cpu.vcpu_count & (cpu.vcpu_count - 1):
        raise Problem(400, f"vcpuCount {cpu.vcpu_count} is not a power of two")


# ------------------------------------------------------------------------------------------------ seen


def view(config: Config, endpoint_id: str, created_at: str, data_url: str) -> dict[str, object]:
    """As REST v2 shows it."""
    page = {"id": endpoint_id, **shown(config), "requestUrls": _urls(config, endpoint_id, data_url)}
    if config.cpu is not UNSET:
        page["cpu"] = [with_memory(cpu) for cpu in config.cpu]
    return {**page, "createdAt": created_at}


def with_memory(cpu: Cpu) -> dict[str, object]:
    """A CPU choice with the memory that its flavor brings."""
    return {**shown(cpu), "memory": memory_gb(cpu.id, cpu.vcpu_count)}


def _urls(config: Config, endpoint_id: str, data_url: str) -> dict[str, str]:
    if config.type == "LOAD_BALANCER":
        base = f"{data_url}/lb/{endpoint_id}"
        return {"base": base, "health": base + config.env.get("HEALTH_CHECK_PATH", "/ping")}
    base = f"{data_url}/v2/{endpoint_id}"
    return {
        "run": f"{base}/run",
        "runSync": f"{base}/runsync",
        "status": f"{base}/status/{{job_id}}",
        "stream": f"{base}/stream/{{job_id}}",
        "cancel": f"{base}/cancel/{{job_id}}",
        "retry": f"{base}/retry/{{job_id}}",
        "purgeQueue": f"{base}/purge-queue",
        "health": f"{base}/health",
    }


# ------------------------------------------------------------------------------------------------ run


def settings(config: Config) -> running.EndpointSettings:
    """What the platform runs it by."""
    idle_s = config.workers.idle_timeout
    return running.EndpointSettings(
        workers_min=config.workers.min,
        workers_max=config.workers.max,
        idle_timeout_s=0.0 if idle_s is UNSET else float(idle_s),
        scaling=_scaling(config.scaling),
        execution_timeout_s=config.timeout / 1000
        if config.timeout > 0
        else running.EndpointSettings().execution_timeout_s,
        flashboot=config.flashboot,
    )


def _scaling(scaling: Scaling) -> running.Scaling:
    if isinstance(scaling, RequestCount):
        return running.Scaling("REQUEST_COUNT", scaling.request_count)
    return running.Scaling("QUEUE_DELAY", scaling.queue_delay)


def machine_rate(config: Config) -> Rate:
    """What one of its workers costs: of several choices the first."""
    if config.cpu is not UNSET:
        return cpu_rate(config.cpu[0].vcpu_count)
    return gpu_rate() if config.gpu is UNSET else gpu_rate(config.gpu.pools, config.gpu.count)


def gpu_count(config: Config) -> int:
    """GPUs of one worker."""
    return 0 if config.gpu is UNSET else config.gpu.count


def card_of(config: Config) -> str | None:
    """The GPU type that a worker runs on: the first that is left of its pools."""
    if config.gpu is UNSET:
        return None
    excluded = [] if config.gpu.excluded_types is UNSET else config.gpu.excluded_types
    pools = config.gpu.pools
    return next((card.id for card in CARDS if card.pool in pools and card.id not in excluded), None)


def adopted(endpoint: running.Endpoint) -> Config:
    """What an endpoint would be that nobody configured here."""
    runs = endpoint.settings
    scaling: Scaling = QueueDelay(runs.scaling.value)
    if runs.scaling.kind == "REQUEST_COUNT":
        scaling = RequestCount(int(runs.scaling.value))
    knows_idle = endpoint.kind == "LOAD_BALANCER" or isinstance(scaling, QueueDelay)
    idle_s = max(1, int(runs.idle_timeout_s)) if knows_idle else UNSET
    return Config(
        name=endpoint.name,
        type=endpoint.kind,
        image="local",
        gpu=Gpus(pools=[DEFAULT_POOL]),
        workers=WorkerCounts(min=runs.workers_min, max=runs.workers_max, idle_timeout=idle_s),
        scaling=scaling,
        timeout=int(runs.execution_timeout_s * 1000),
        flashboot=runs.flashboot,
    )
