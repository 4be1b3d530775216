"""A pod: what its owner wished for, and the time, in; its status, what it may do, and its page out (pure)."""

from dataclasses import dataclass
from typing import Literal

from msgspec import UNSET, Struct

from embedstack.emulator.billing import FREE, HOUR_S, Line, Rate
from embedstack.emulator.control_bodies import Cloud, Cpu, Mounts, PodChange
from embedstack.emulator.control_machines import card, cpu_pod_rate, gpu_pod_rate, memory_gb
from embedstack.emulator.control_problem import Problem
from embedstack.emulator.control_shapes import POD_DISK_GB, Fields, Template, changed, container, moment, shown

Status = Literal["PROVISIONING", "STARTING", "RUNNING", "EXITED", "TERMINATED"]
Action = Literal["start", "stop", "restart", "terminate"]

ACTIONS: dict[Status, tuple[Action, ...]] = {
    "PROVISIONING": ("stop", "terminate"),
    "STARTING": ("stop", "terminate"),
    "RUNNING": ("stop", "restart", "terminate"),
    "EXITED": ("start", "terminate"),
    "TERMINATED": (),
}
"""As the document tells of podAction. In its examples a pod in PROVISIONING may start, which that text denies."""

MONTH_S = 730 * 3600
DISK_RATE = 0.10 / MONTH_S  # dollars a second of a GB: https://docs.runpod.io/pods/pricing
STOPPED_DISK_RATE = 0.20 / MONTH_S  # of the persistent one, whose pod is stopped
HOST = "192.0.2.1"  # of no machine: RFC 5737
FIRST_PORT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long each step takes. The document gives no times; these are long enough to be seen."""

    provisioning_s: float = 5.0
    starting_s: float = 5.0


class PodConfig(Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything that its owner can set, under the API's names."""

    name: str
    image: str
    args: str = ""
    disk: int = POD_DISK_GB
    ports: list[str] = []
    env: dict[str, str] = {}
    registry: str | None = None
    mounts: Mounts = Mounts()
    cloud: Cloud = "SECURE"
    locked: bool = False


class TakenGpu(Struct, frozen=True, kw_only=True):
    """The GPUs that it has."""

    id: str
    count: int


@dataclass(slots=True, eq=False, kw_only=True)
class Pod:
    """One pod. Its status follows from these times.

    Args:
        starting_at: when its machine is there and its container begins.
        running_at: when the container is healthy.
        stopped_at: None while it shall run.
    """

    id: str
    config: PodConfig
    gpu: TakenGpu | None
    cpu: Cpu | None
    center_id: str
    created_at: float
    starting_at: float
    running_at: float
    is_networked: bool = False  # in the account's own network between data centres
    stopped_at: float | None = None

    def status(self, now: float) -> Status:
        """How it stands."""
        if self.stopped_at is not None:
            return "EXITED"
        if now < self.starting_at:
            return "PROVISIONING"
        return "STARTING" if now < self.running_at else "RUNNING"

    def has_run(self, now: float) -> bool:
        """Whether its container was ever healthy since its last start."""
        return self.running_at <= (now if self.stopped_at is None else self.stopped_at)

    def actions(self, now: float) -> tuple[Action, ...]:
        """What may be done with it; one that is locked is neither stopped nor restarted."""
        known = ACTIONS[self.status(now)]
        return tuple(one for one in known if one not in ("stop", "restart")) if self.config.locked else known

    def rate(self) -> Rate:
        """What its machine costs while it has one."""
        if self.cpu is not None:
            return cpu_pod_rate(self.cpu.vcpu_count)
        found = card(self.gpu.id) if self.gpu else None
        return gpu_pod_rate(found, self.config.cloud, self.gpu.count) if found and self.gpu else FREE

    def line(self, now: float) -> Line:
        """What it runs up now: a stopped one only its persistent disk."""
        persistent = self.config.mounts.persistent
        kept_gb = 0 if persistent is UNSET else persistent.size
        status = self.status(now)
        if status == "EXITED":
            return Line("pods", self.id, status, Rate(disk=kept_gb * STOPPED_DISK_RATE))
        rate = self.rate()
        disk = (self.config.disk + kept_gb) * DISK_RATE
        return Line("pods", self.id, "RUNNING", Rate(gpu=rate.gpu, cpu=rate.cpu, disk=disk))

    # ------------------------------------------------------------------------------------------------ acts

    def start(self, now: float, pace: Pace) -> None:
        """Boot it again, on the machine that it had."""
        self.stopped_at = None
        self.starting_at, self.running_at = now, now + pace.starting_s

    def stop(self, now: float) -> None:
        """Give its machine up and keep its disk."""
        self.stopped_at = now

    def restart(self, now: float, pace: Pace) -> None:
        """Its container begins anew."""
        self.starting_at, self.running_at = now, now + pace.starting_s


def patched(config: PodConfig, body: PodChange, template: Template | None) -> PodConfig:
    """The configuration after a change.

    Raises:
        Problem: 400, its storage cannot be changed like that.
    """
    fields: Fields = container(body, template)
    if body.name is not UNSET:
        fields["name"] = body.name
    if body.locked is not UNSET:
        fields["locked"] = body.locked
    if body.mounts is not UNSET:
        fields["mounts"] = _remounted(config.mounts, body.mounts)
    return changed(config, fields)


def _remounted(before: Mounts, wanted: Mounts) -> Mounts:
    check_mounts(wanted, is_cpu=False)
    for kind in ("persistent", "network"):
        if getattr(wanted, kind) is not UNSET and getattr(before, kind) is UNSET:
            raise Problem(400, f"a {kind} mount cannot be added to a pod that was created without one")
    if wanted.network is not UNSET and before.network is not UNSET:
        if not wanted.network:
            raise Problem(400, "mounts cannot be cleared")
        if wanted.network[0].volume_id != before.network[0].volume_id:
            raise Problem(400, "the volumeId of a network mount cannot be changed")
    both = {"persistent": wanted.persistent, "network": wanted.network}
    return changed(before, {kind: mount for kind, mount in both.items() if mount is not UNSET})


def check_mounts(mounts: Mounts, *, is_cpu: bool) -> None:
    """
    Raises:
        Problem: 400, both kinds of storage, or one that a CPU pod does not have.
    """
    has_network = mounts.network is not UNSET and bool(mounts.network)
    if mounts.persistent is not UNSET and has_network:
        raise Problem(400, "mounts.persistent and mounts.network are mutually exclusive")
    if is_cpu and mounts.persistent is not UNSET:
        raise Problem(400, "mounts.persistent is not available on CPU pods")


# ------------------------------------------------------------------------------------------------ seen


def view(pod: Pod, now: float) -> dict[str, object]:
    """As REST v2 shows it."""
    status = pod.status(now)
    has_machine = status != "EXITED"
    page: dict[str, object] = {
        "id": pod.id,
        **shown(pod.config),
        "status": status,
        "actions": list(pod.actions(now)),
        "dataCenterId": pod.center_id,
        "cudaVersion": None if pod.gpu is None else "12.8",
        "ssh": {"proxy": _ssh("ssh.runpod.io", 22, f"{pod.id}-64411eb2"), "direct": _direct(pod, status)},
        "template": None,
        "cost": round(pod.rate().total * HOUR_S, 6) if has_machine else 0.0,
        "globalNetworking": _networking(pod),
        "runtime": _runtime(pod, now) if status == "RUNNING" else None,
        "createdAt": moment(pod.created_at),
        "startedAt": moment(pod.running_at) if pod.has_run(now) else None,
    }
    if pod.gpu is not None:
        page["gpu"] = shown(pod.gpu)
    if pod.cpu is not None:
        page["cpu"] = {**shown(pod.cpu), "memory": memory_gb(pod.cpu.id, pod.cpu.vcpu_count)}
    return page


def _runtime(pod: Pod, now: float) -> dict[str, object]:
    return {"uptime": int(now - pod.running_at), "ports": _ports(pod)}


def _ports(pod: Pod) -> list[dict[str, object]]:
    """Each published port at one of a machine that is not there."""
    found: list[dict[str, object]] = []
    for place, port in enumerate(pod.config.ports):
        number, _, kind = port.partition("/")
        if number.isascii() and number.isdecimal():
            found.append({"private": int(number), "public": FIRST_PORT + place, "type": kind or "tcp", "ip": HOST})
    return found


def _direct(pod: Pod, status: Status) -> dict[str, object] | None:
    if status != "RUNNING" or "22/tcp" not in pod.config.ports:
        return None
    return _ssh(HOST, FIRST_PORT + pod.config.ports.index("22/tcp"), "root")


def _ssh(host: str, port: int, username: str) -> dict[str, object]:
    command = f"ssh {username}@{host}" + (f" -p {port}" if port != 22 else "")
    return {"host": host, "port": port, "username": username, "command": command}


def _networking(pod: Pod) -> dict[str, object]:
    if not pod.is_networked:
        return {"enabled": False}
    return {"enabled": True, "ip": "10.65.0.2", "internalDns": f"{pod.id}.runpod.internal"}
