"""Rules of what shall go wrong in, the fault of each request out: by count, or by chance from a seed."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from embedstack.errors import BadRequest, ConfigError

STATUSES = range(200, 600)  # of 1xx no reply can be made
MOST_S = 86_400.0  # more is a slip: milliseconds

CLIENT_ROUTES = (
    "run",
    "runsync",
    "status",
    "stream",
    "cancel",
    "retry",
    "purge-queue",
    "health",
    "requests",
    "metrics",
    "openai",
)
WORKER_ROUTES = ("job-take", "job-stop", "job-done", "job-stream", "ping")
CONTROL_ROUTES = ("create", "read", "update", "delete", "action", "spawn")
GROUPS = {"client": CLIENT_ROUTES, "worker": WORKER_ROUTES, "control": CONTROL_ROUTES}
ROUTES = frozenset((*CLIENT_ROUTES, *WORKER_ROUTES, *CONTROL_ROUTES, *GROUPS))

SPAWN_ACTIONS = ("status", "delay", "reset")

Action = Literal["status", "delay", "reset", "truncate", "html", "ignore", "double"]
Stage = Literal["before", "handing out", "after"]
"""Before anything is done, where a job is handed out, or when it is done and only the reply is missing."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule.

    Args:
        route: one of ROUTES; `client`, `worker` and `control` are all of theirs.
        action: `status` answers that status · `delay` answers so many seconds later · `reset` closes the connection
            without an answer · `truncate` does so in the middle of it · `html` answers 200 with a web page ·
            `ignore` answers 200 and does nothing (a heartbeat that is not noted) · `double` hands the job that is
            taken to the next one who asks, too.
        after_commit: what was asked is done, and only then goes wrong; `truncate` is always so.
        seconds: of `delay`; of `spawn`, see docs/runpod.md; of a 429 of the control plane, its Retry-After.
        times: how often; None for always.
        skip: so many requests first are served well.
        share: of the requests that are left, by chance.
        endpoint: only of this one, if it is set.
    """

    route: str
    action: Action
    status: int = 500
    seconds: float = 0.0
    body: str = ""
    after_commit: bool = False
    times: int | None = None
    skip: int = 0
    share: float = 1.0
    endpoint: str = ""

    @property
    def stage(self) -> Stage:
        """When it happens."""
        if self.action == "double":
            return "handing out"
        return "after" if self.after_commit or self.action == "truncate" else "before"


def _checked(fault: Fault) -> Fault:
    """The rule, if it can do something."""
    if fault.route not in ROUTES:
        raise BadRequest(f"fault of route {fault.route!r}: there is none; take one of: {', '.join(sorted(ROUTES))}")
    for reason in _wrong_with(fault):
        raise BadRequest(f"fault {fault.action!r} of route {fault.route!r}: {reason}; see docs/runpod.md")
    return fault


def _wrong_with(fault: Fault) -> Iterator[str]:
    if not 0 <= fault.share <= 1:
        yield f"share={fault.share:g} is not within 0 and 1"
    if fault.status not in STATUSES:
        yield f"status={fault.status} is not within {STATUSES[0]} and {STATUSES[-1]}"
    if not 0 <= fault.seconds <= MOST_S:
        yield f"seconds={fault.seconds:g} is not within 0 and {MOST_S:g}"
    if fault.skip < 0 or (fault.times is not None and fault.times < 1):
        yield f"skip={fault.skip} and times={fault.times} must be at least 0 and 1"
    if fault.action == "double" and fault.route not in ("job-take", "worker"):
        yield "only what job-take hands out can be doubled"
    if fault.action in ("double", "ignore") and fault.after_commit:
        yield "nothing is left to be done after_commit"
    if fault.route == "spawn" and (fault.action not in SPAWN_ACTIONS or fault.after_commit):
        yield f"it takes {', '.join(SPAWN_ACTIONS)}, without after_commit"


class _Rule:
    def __init__(self, fault: Fault, seed: str) -> None:
        self.fault = _checked(fault)
        self.routes = frozenset(GROUPS.get(fault.route, (fault.route,)))
        self.seen = self.fired = 0
        self._chance = random.Random(seed)  # noqa: S311  # repeatable, which is the point

    def fires(self, route: str, endpoint_id: str, stage: Stage) -> bool:
        fault = self.fault
        if route not in self.routes or fault.endpoint not in ("", endpoint_id) or fault.stage != stage:
            return False
        self.seen += 1
        if self.seen <= fault.skip or (fault.times is not None and self.fired >= fault.times):
            return False
        if fault.share < 1 and self._chance.random() >= fault.share:
            return False
        self.fired += 1
        return True


class Faults:
    """Rules, in their order; the first that fires decides.

    Args:
        seed: the same requests get the same faults.
    """

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 0) -> None:
        self._seed = seed
        self._rules: list[_Rule] = []
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        """One more rule, behind the others.

        Raises:
            BadRequest: there is no such route, or the rule could do nothing there.
        """
        self._rules.append(_Rule(fault, f"{self._seed}/{len(self._rules)}"))

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._rules.clear()

    def pick(self, route: str, endpoint_id: str = "", stage: Stage = "before") -> Fault | None:
        """What goes wrong with this request at this point of it; asking is what counts."""
        for rule in self._rules:
            if rule.fires(route, endpoint_id, stage):
                return rule.fault
        return None

    @property
    def fired(self) -> int:
        """How often something went wrong so far."""
        return sum(rule.fired for rule in self._rules)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    fault: tuple[Fault, ...] = ()
    seed: int = 0


def read_faults(path: Path) -> Faults:
    """The rules of a TOML file: a `[[fault]]` for each, and perhaps a `seed`.

    Raises:
        ConfigError: the file is not there, or holds something else.
    """
    try:
        read = msgspec.toml.decode(path.read_bytes(), type=_File)
        return Faults(read.fault, read.seed)
    except (OSError, msgspec.MsgspecError, BadRequest) as error:
        raise ConfigError(f"faults file {str(path)!r} cannot be used ({error}); see docs/runpod.md") from error
