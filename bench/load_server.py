"""The real server in a process of its own: started with two keys, watched from outside, ended by a signal."""

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil

from embedstack.settings import DEFAULT_MODEL

START_S = 120.0  # the first start on a machine measures lanes and may download
END_S = 120.0
LISTENING = re.compile(r"^listening on \S+:(\d+)\n", re.MULTILINE)
COMMAND = f"{shlex.quote(sys.executable)} -m embedstack serve {DEFAULT_MODEL}"


@dataclass(frozen=True, slots=True)
class Clock:
    """What has been used so far, in seconds."""

    wall: float
    server: float  # of processors, by the server
    generator: float  # by this process
    idle: float | None  # of processors, by nobody on this machine; None where the system does not tell


@dataclass(frozen=True, slots=True)
class Used:
    """Between two looks at the clock."""

    wall_s: float
    server_s: float
    generator_s: float
    idle_s: float | None

    @property
    def to_be_had_s(self) -> float | None:
        """Processor seconds that the server had or could have had; what others took is not among them."""
        return None if self.idle_s is None else self.server_s + self.idle_s

    def stated(self) -> dict[str, float | None]:
        shares = {"server": self.server_s, "generator": self.generator_s, "idle": self.idle_s}
        return {
            "wall_s": round(self.wall_s, 2),
            **{f"{name}_processors": None if s is None else round(s / self.wall_s, 3) for name, s in shares.items()},
        }


class Server:
    """`embedstack serve` with default settings and API keys; nothing else of the environment's settings reaches it.

    Args:
        secrets: by the name of their key.
        settings: by the name of their variable.
    """

    def __init__(
        self, secrets: Mapping[str, str], command: str = COMMAND, settings: Mapping[str, str] | None = None
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.log = Path(self._folder.name) / "log"
        ours = {"EMBEDSTACK_CACHE_DIR"}
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("EMBEDSTACK_") or name in ours
        }
        environment["EMBEDSTACK_API_KEYS"] = ",".join(f"{name}:{secret}" for name, secret in secrets.items())
        environment |= settings or {}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*shlex.split(command), "--port", "0"], stderr=log, stdout=log, env=environment, cwd=self._folder.name
            )
        self._watched = psutil.Process(self.process.pid)
        self.port = 0

    def __enter__(self) -> "Server":
        until = time.monotonic() + START_S
        while not (found := LISTENING.search(self.log.read_text())):
            if self.process.poll() is not None or time.monotonic() > until:
                said = self.log.read_text()[-2000:]
                self.__exit__(None, None, None)
                raise RuntimeError(f"the server did not start: {said}")
            time.sleep(0.05)
        self.port = int(found[1])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if kind is None:
            self._folder.cleanup()

    def end(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def anonymous_mb(self) -> float:
        """Memory that only this process holds, as the kernel counts it; smaps would cost a walk over all pages."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise RuntimeError("this system does not tell anonymous memory; run this on Linux")

    def clock(self) -> Clock:
        mine, own = self._watched.cpu_times(), time.process_time()
        return Clock(time.perf_counter(), mine.user + mine.system, own, _idle_s())

    def since(self, before: Clock) -> Used:
        now = self.clock()
        idle = None if before.idle is None or now.idle is None else now.idle - before.idle
        return Used(now.wall - before.wall, now.server - before.server, now.generator - before.generator, idle)

    def metrics(self) -> dict[str, float]:
        """What Prometheus would scrape, each series by its name and labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as page:
            lines = page.read().decode().splitlines()
        series = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in series}


def _idle_s() -> float | None:
    """Of all processors together; None where only some are ours, since the others' idleness is not to be had."""
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) != psutil.cpu_count():
        return None
    times = psutil.cpu_times()
    return times.idle + getattr(times, "iowait", 0.0)
