"""A server, or the engine without one, as a process that runs only when it is measured, and what it used meanwhile."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.error import HTTPError, URLError

import numpy as np
import psutil

from contenders import Failed

HERE = Path(__file__).parent
START_S = 240.0  # an export or a compilation at the first start
SETTLE_S = 0.2  # what was stopped is back at work
GIVE_UP_S = 120.0


class Running:
    """A process group of its own, so that what it started stands still and ends with it."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path, *, talks: bool) -> None:
        self._log = log
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else errors,
                stderr=errors,
                text=True,
                env=environment,
                cwd=log.parent,
                start_new_session=True,
            )
        self._watched = psutil.Process(self._process.pid)
        self.port, self.path = 0, ""

    @classmethod
    def server(cls, command: list[str], path: str, environment: dict[str, str], log: Path) -> "Running":
        """Started on a free port and waited for.

        Args:
            path: where it takes OpenAI's body.
        """
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        running = cls([*command, "--port", str(port)], environment, log, talks=False)
        running.port, running.path = port, path
        until = time.monotonic() + START_S
        while not running._answers():
            if running._process.poll() is not None or time.monotonic() > until:
                running.close()
                raise Failed(running._reason())
            time.sleep(0.1)
        return running

    @classmethod
    def inside(cls, command: list[str], environment: dict[str, str], log: Path) -> "Running":
        """The engine's own loop."""
        running = cls(command, environment, log, talks=True)
        running._answer()
        running.stand_still()
        return running

    def run(self, connections: int, seconds: float, bodies: Path) -> dict:
        """What `sender.py` says of this server, or `inside.py` of the engine; used_s is the process's own."""
        if not self.port:
            self._process.stdin.write(json.dumps({"callers": connections, "seconds": seconds}) + "\n")
            self._process.stdin.flush()
            return self._answer()
        return sent([self], connections, seconds, bodies)

    def used_s(self) -> float:
        """Seconds of processor that it and its children have used: what getrusage would tell them."""
        family = [self._watched, *self._watched.children(recursive=True)]
        return sum(one.user + one.system for one in (process.cpu_times() for process in family))

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)
        time.sleep(SETTLE_S)

    def stand_still(self) -> None:
        self._signal(signal.SIGSTOP)

    def close(self) -> None:
        self._signal(signal.SIGKILL)
        self._process.communicate()

    def _signal(self, which: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, which)

    def _answers(self) -> bool:
        try:
            ask(self, ["one text"], None)
        except HTTPError as error:
            return error.code != 503  # 503: still loading
        except (URLError, OSError):
            return False
        return True

    def _answer(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise Failed(self._reason())
        return json.loads(line)

    def _reason(self) -> str:
        lines = [line.strip() for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1][:200] if lines else "it ended without a word"


class Together:
    """Servers that share the connections, as replicas behind a balancer would."""

    def __init__(self, servers: list[Running]) -> None:
        self._servers = servers

    def run(self, connections: int, seconds: float, bodies: Path) -> dict:
        """As of one."""
        return sent(self._servers, connections, seconds, bodies)

    def go_on(self) -> None:
        for server in self._servers:
            server.go_on()

    def stand_still(self) -> None:
        for server in self._servers:
            server.stand_still()

    def close(self) -> None:
        for server in self._servers:
            server.close()


def sent(servers: list[Running], connections: int, seconds: float, bodies: Path) -> dict:
    """One run of the generator."""
    ports = ",".join(str(server.port) for server in servers)
    command = [sys.executable, "-S", str(HERE / "sender.py"), ports, str(connections), str(seconds)]
    before = sum(server.used_s() for server in servers)
    done = subprocess.run(
        [*command, servers[0].path, str(bodies)], capture_output=True, text=True, timeout=GIVE_UP_S, check=False
    )
    if done.returncode:
        raise Failed(done.stderr.strip().splitlines()[-1])
    said = json.loads(done.stdout)
    return {**said, "generator_s": said["used_s"], "used_s": sum(server.used_s() for server in servers) - before}


def ask(running: Running, texts: list[str], model: str | None) -> dict:
    """OpenAI's reply."""
    body = json.dumps({"input": texts, **({"model": model} if model else {})}).encode()
    address = f"http://127.0.0.1:{running.port}{running.path}"
    asked = urllib.request.Request(address, body, {"content-type": "application/json"})
    with urllib.request.urlopen(asked, timeout=GIVE_UP_S) as reply:
        return json.load(reply)


def vectors_of(running: Running, texts: list[str], model: str) -> np.ndarray:
    """(texts, dim), each of length 1."""
    rows = np.array([row["embedding"] for row in ask(running, texts, model)["data"]], np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def cosine_to(truth: np.ndarray, rows: np.ndarray) -> float:
    """The least of all texts."""
    return float((truth * rows).sum(axis=1).min())
