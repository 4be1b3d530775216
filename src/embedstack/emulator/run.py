"""What a user wants emulated becomes two ports that answer, workers if a command for them was given, until a signal."""

import asyncio
import math
import re
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from embedstack.emulator.app import data_app
from embedstack.emulator.autoscaler import spawning
from embedstack.emulator.billing import Ledger, Meter
from embedstack.emulator.control import control_app
from embedstack.emulator.control_account import Account
from embedstack.emulator.control_front import Quota
from embedstack.emulator.endpoint import EndpointSettings
from embedstack.emulator.faults import Faults, read_faults
from embedstack.emulator.limits import Limits
from embedstack.emulator.platform import Platform
from embedstack.emulator.schema import Document
from embedstack.emulator.serve import listen, served, url_of
from embedstack.errors import ConfigError

PATH_PART = re.compile(r"\w[\w.~-]*", re.ASCII)
Say = Callable[[str, str], None]
"""Is told the id of a worker and a line that it wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to emulate.

    Raises:
        ConfigError: what cannot be.

    Args:
        endpoint: the id of the endpoint that is there from the beginning.
        key: that clients, workers and the control plane's callers must send.
        worker_command: starts a worker; the scaler runs it as often as needed. Empty: workers are started by hand.
        is_rated: whether more requests than RunPod allows are refused.
        faults: a file of rules of what shall go wrong.
        schema: RunPod's OpenAPI document, against which requests and replies of the control plane are checked.
    """

    host: str = "127.0.0.1"
    port: int = 8001
    control_port: int = 8002
    endpoint: str = "local"
    key: str = "local"
    worker_command: str = ""
    settings: EndpointSettings = field(default_factory=EndpointSettings)
    is_rated: bool = True
    faults: Path | None = None
    schema: Path | None = None

    def __post_init__(self) -> None:
        least, most, idle_s = self.settings.workers_min, self.settings.workers_max, self.settings.idle_timeout_s
        if not 0 <= least <= most:
            raise ConfigError(f"workers: min {least} and max {most}; give numbers from 0, and a max that is no less")
        if not 0 <= idle_s < math.inf:
            raise ConfigError(f"idle timeout {idle_s:g} is no time; give seconds from 0")
        if not PATH_PART.fullmatch(self.endpoint):
            raise ConfigError(f"endpoint {self.endpoint!r} is no part of a path; take letters, digits, - and _")
        if not self.key.isascii() or not self.key.isprintable() or not self.key.strip():
            raise ConfigError("the key is empty, or cannot stand in a header; take letters and digits")


@dataclass(frozen=True, slots=True)
class Places:
    """Where it answers.

    Args:
        data: jobs, of clients and of workers.
        control: endpoints, pods and the rest.
    """

    data: str
    control: str


def run(wanted: Wanted, environ: Mapping[str, str], ready: Callable[[Places], None], say: Say) -> None:
    """Emulate until SIGTERM or SIGINT.

    Args:
        environ: the variables of this machine, for workers.
        ready: called once all answers.
    Raises:
        ConfigError: a file, a port or the command does not do.
    """
    asyncio.run(_run(wanted, environ, ready, say))


async def _run(wanted: Wanted, environ: Mapping[str, str], ready: Callable[[Places], None], say: Say) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, over.set)
    async with running(wanted, environ, say) as places:
        ready(places)
        await over.wait()


@asynccontextmanager
async def running(wanted: Wanted, environ: Mapping[str, str], say: Say) -> AsyncIterator[Places]:
    """Within it all answers; at its end workers finish what they have, then every wait ends.

    Raises:
        ConfigError: as `run`.
    """
    faults = read_faults(wanted.faults) if wanted.faults else Faults()
    document = Document.read(wanted.schema) if wanted.schema else None
    platform = Platform(faults=faults, limits=Limits() if wanted.is_rated else Limits(rates={}))
    ports = [listen(wanted.host, port) for port in (wanted.port, wanted.control_port)]
    places = Places(*(url_of(port) for port in ports))
    ledger = Ledger()
    account = Account(platform, ledger, data_url=places.data)
    account.adopt(platform.add_endpoint(wanted.endpoint, settings=wanted.settings))
    meter = Meter(platform, ledger, account.rate_of)
    quota = None if wanted.is_rated else Quota(windows=())
    control = control_app(account, [wanted.key], quota=quota, document=document)
    apps = (data_app(platform, [wanted.key]), control)

    def heard(worker_id: str, line: str) -> None:
        account.heard(worker_id, line)
        say(worker_id, line)

    async with AsyncExitStack() as stack:
        stack.callback(meter.close)
        await stack.enter_async_context(served(platform, dict(zip(apps, ports, strict=True))))
        if wanted.worker_command:
            workers = spawning(
                platform,
                wanted.worker_command,
                environ,
                url=places.data,
                key=wanted.key,
                say=heard,
                env_of=account.env_of,
            )
            await stack.enter_async_context(workers)
        stack.callback(platform.drain)
        yield places
