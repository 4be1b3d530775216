"""What one account has at RunPod beside its jobs: endpoints as configured, pods, templates, volumes, credentials."""

import random
import string
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from embedstack.emulator.billing import Ledger, Rate, gpu_rate
from embedstack.emulator.control_catalog import Catalog
from embedstack.emulator.control_endpoint import Config, adopted, machine_rate
from embedstack.emulator.control_machines import CENTERS, center
from embedstack.emulator.control_pod import Pace, Pod
from embedstack.emulator.control_problem import NO_MONEY, Problem, missing
from embedstack.emulator.control_release import Release
from embedstack.emulator.control_shapes import Registry, Template, Volume, moment
from embedstack.emulator.endpoint import Endpoint
from embedstack.emulator.platform import Platform

ID_LETTERS = string.ascii_lowercase + string.digits
ID_CHARS = 10
KEPT_LINES = 5000  # of a worker's log, the most that `tail` may ask for
KEPT_WORKERS = 200  # whose logs are kept


def new_ids(seed: int | None = None) -> Callable[[], str]:
    """Ids of the form that RunPod gives, the same ones for the same seed."""
    chance = random.Random(seed)  # noqa: S311 they only have to differ
    return lambda: "".join(chance.choices(ID_LETTERS, k=ID_CHARS))


@dataclass(frozen=True, slots=True)
class LogLine:
    """What a worker wrote, and when."""

    number: int
    at: float
    text: str


@dataclass(slots=True, eq=False)
class Account:
    """Everything belongs to one account and one event loop.

    Args:
        data_url: where the data plane listens, without a path; the addresses of endpoints are below it.
        balance: dollars at the beginning; when as many are spent, nothing that costs can be made. None: enough of them.
        pace: how long pods take.
        page_size: of lists; None: all in one page, as the document has it.
    """

    platform: Platform
    ledger: Ledger
    data_url: str
    catalog: Catalog = field(default_factory=Catalog)
    balance: float | None = None
    pace: Pace = field(default_factory=Pace)
    page_size: int | None = None
    new_id: Callable[[], str] = field(default_factory=new_ids)
    configs: dict[str, Config] = field(default_factory=dict)  # by the endpoint's id
    versions: dict[tuple[str, int], Config] = field(default_factory=dict)  # the same, also for releases before
    bound: dict[str, str] = field(default_factory=dict)  # templates by the endpoint that was made of them
    releases: dict[str, list[Release]] = field(default_factory=dict)  # the newest first
    pods: dict[str, Pod] = field(default_factory=dict)
    templates: dict[str, Template] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    registries: dict[str, Registry] = field(default_factory=dict)
    logs: dict[str, deque[LogLine]] = field(default_factory=dict)  # by the worker's id

    def now(self) -> float:
        """Seconds since 1970."""
        return self.platform.clock.now()

    def adopt(self, endpoint: Endpoint) -> None:
        """Show an endpoint here that the platform had already, as one of the cheapest GPU."""
        self.configure(endpoint.id, endpoint.version, adopted(endpoint))
        created_at = moment(endpoint.created_at)
        first = Release(id=self.new_id(), version=endpoint.version, created_at=created_at, diff=[])
        self.releases[endpoint.id] = [first]

    def configure(self, endpoint_id: str, version: int, config: Config) -> None:
        """The endpoint is this from now on, and so are its workers from this version on."""
        self.configs[endpoint_id] = self.versions[endpoint_id, version] = config

    def config_of(self, endpoint_id: str, version: int) -> Config | None:
        """What a worker of this version was started with."""
        return self.versions.get((endpoint_id, version)) or self.configs.get(endpoint_id)

    def end(self, endpoint_id: str) -> None:
        """The endpoint is gone, and with it its template if no other was made of that."""
        del self.configs[endpoint_id], self.releases[endpoint_id]
        self.versions = {key: config for key, config in self.versions.items() if key[0] != endpoint_id}
        template_id = self.bound.pop(endpoint_id, "")
        if template_id not in self.bound.values():
            self.templates.pop(template_id, None)

    def env_of(self, endpoint_id: str) -> Mapping[str, str]:
        """The variables that an endpoint's workers get."""
        config = self.configs.get(endpoint_id)
        return config.env if config else {}

    def rate_of(self, endpoint_id: str, version: int) -> Rate:
        """What a worker of an endpoint costs."""
        config = self.config_of(endpoint_id, version)
        return machine_rate(config) if config else gpu_rate()

    def heard(self, worker_id: str, line: str) -> None:
        """A worker wrote a line."""
        if worker_id not in self.logs and len(self.logs) >= KEPT_WORKERS:
            del self.logs[next(iter(self.logs))]
        lines = self.logs.setdefault(worker_id, deque(maxlen=KEPT_LINES))
        lines.append(LogLine(lines[-1].number + 1 if lines else 0, self.now(), line))

    def afford(self) -> None:
        """
        Raises:
            Problem: 402, there is no money left.
        """
        if self.balance is not None and self.balance <= self.ledger.spent(self.now()):
            raise Problem(402, NO_MONEY)

    def template(self, template_id: str, *, is_serverless: bool) -> Template:
        """The template that a body names.

        Raises:
            Problem: 404, there is none; 422, it is for the other product.
        """
        template = self.templates.get(template_id)
        if template is None:
            raise missing()
        if template.serverless != is_serverless:
            kind = "a serverless" if is_serverless else "a pod"
            raise Problem(422, f"template {template_id!r} is not {kind} template")
        return template

    def check_places(self, wanted: Sequence[str], volume_ids: Sequence[str]) -> list[str]:
        """The data centres that are left: a volume is in one of them, and holds there what mounts it.

        Raises:
            Problem: 400, there is no such place or volume, or they exclude each other.
        """
        for center_id in wanted:
            if center(center_id) is None:
                raise Problem(400, f"data center {center_id!r} is not known")
        held = {self.volume(volume_id).data_center for volume_id in volume_ids}
        left = held.intersection(wanted) if held and wanted else held
        if len(held) > 1 or (held and not left):
            raise Problem(400, "the network volumes are in another data center")
        return sorted(left) or list(wanted) or [one.id for one in CENTERS]

    def volume(self, volume_id: str) -> Volume:
        """The network volume that a body names.

        Raises:
            Problem: 400, there is none.
        """
        volume = self.volumes.get(volume_id)
        if volume is None:
            raise Problem(400, f"network volume {volume_id!r} is not known")
        return volume
