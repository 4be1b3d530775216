"""A platform that hands out jobs to real workers: nothing but a list, notes of what came back, and faults on demand."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from embedstack.worker.sdk import emulator_variables

PATIENCE_S = 60
LOOK_S = 0.02
KEY = "local"
Json = dict[str, object]


class Platform:
    """The worker's half of RunPod, for the endpoint `local`.

    Args:
        hold_s: how long a call for jobs is held where there are none.
        max_bytes: of a result; more is refused with 400.
    """

    def __init__(self, hold_s: float = 10.0, max_bytes: int = 1 << 30) -> None:
        self.hold_s = hold_s
        self.max_bytes = max_bytes
        self.results: dict[str, list[Json]] = {}  # by job, each that came
        self.pings: list[str] = []
        self.keys: set[str | None] = set()
        self.faults: deque[int | str] = deque()  # of the next results: a status, or lost "before" or "after" it counted
        self.polls = 0
        self.refused: list[bytes] = []
        self.changed = threading.Condition()
        self.jobs: deque[Json] = deque()
        self.stops: deque[str] = deque()
        self.is_open = True
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.platform = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def give(self, job_id: str, **job: object) -> None:
        """One job more; `input` and what else it has."""
        with self.changed:
            self.jobs.append({"id": job_id, **job})
            self.changed.notify_all()

    def stop(self, job_id: str) -> None:
        """Tell the worker to give a job up."""
        with self.changed:
            self.stops.append(job_id)
            self.changed.notify_all()

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait for something that a call of the worker brings."""
        with self.changed:
            assert self.changed.wait_for(is_so, PATIENCE_S), f"never: {what}"

    def result(self, job_id: str) -> Json:
        """The first result that came for a job."""
        self.until(lambda: job_id in self.results, f"a result of {job_id}")
        return self.results[job_id][0]

    def close(self) -> None:
        """Answer who still waits, and end."""
        with self.changed:
            self.is_open = False
            self.changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    platform: Platform

    def handle_error(self, request: object, client_address: object) -> None:
        """Workers that end leave their calls."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *given: object) -> None:
        pass

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked, platform = parse_qs(url.query), self.server.platform
        with platform.changed:
            platform.keys.add(self.headers["Authorization"])
        match url.path.split("/")[3:]:
            case ["job-take", _]:
                jobs = self._take(1)
                self._answer(jobs[0] if jobs else None)
            case ["job-take-batch", _]:
                self._answer(self._take(int(asked["batch_size"][0])) or None)
            case ["job-stop", _]:
                stopped = self._stopped()
                self._answer({"jobsToStop": stopped} if stopped else None)
            case ["ping", _]:
                with platform.changed:
                    platform.pings.append(asked.get("job_id", [""])[0])
                    platform.changed.notify_all()
                self._answer({})

    def _take(self, count: int) -> list[Json]:
        platform = self.server.platform
        with platform.changed:
            platform.polls += 1
            platform.changed.notify_all()
            self._wait(lambda: bool(platform.jobs))
            return [platform.jobs.popleft() for _ in range(min(count, len(platform.jobs)))] if self._is_there() else []

    def _stopped(self) -> list[str]:
        platform = self.server.platform
        with platform.changed:
            self._wait(lambda: bool(platform.stops))
            told = list(platform.stops) if self._is_there() else []
            if told:
                platform.stops.clear()
            return told

    def _wait(self, is_so: Callable[[], bool]) -> None:
        platform, end = self.server.platform, time.monotonic() + self.server.platform.hold_s
        while platform.is_open and not is_so() and time.monotonic() < end and self._is_there():
            platform.changed.wait(LOOK_S)

    def _is_there(self) -> bool:
        """Whether the worker has not hung up."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        with contextlib.suppress(OSError):
            return not readable or self.connection.recv(1, socket.MSG_PEEK) != b""
        return False

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        job_id, platform = urlsplit(self.path).path.split("/")[-1], self.server.platform
        with platform.changed:
            fault = platform.faults.popleft() if platform.faults else None
            status = fault if isinstance(fault, int) else self._noted(job_id, body, fault)
            platform.changed.notify_all()
        if isinstance(fault, str):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self._answer({}, status)

    def _noted(self, job_id: str, body: bytes, fault: int | str | None) -> int:
        platform = self.server.platform
        if fault == "before":
            return 0
        try:
            assert len(body) <= platform.max_bytes
            result = json.loads(body, parse_constant=_refuse)
        except (AssertionError, ValueError):
            platform.refused.append(body[:100])
            return 400
        platform.results.setdefault(job_id, []).append(result)
        return 200

    def _answer(self, value: object, status: int = 200) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status if value is not None else 204)
        self.send_header("Content-Type", "application/json")
        if value is not None:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


# ------------------------------------------------------------------------------------------------ workers


@dataclass
class Worker:
    """A worker in a process of its own."""

    process: "subprocess.Popen[str]"
    said: list[str] = field(default_factory=list)
    spoken: threading.Condition = field(default_factory=threading.Condition)
    listener: threading.Thread | None = None

    def listen(self) -> None:
        for line in self.process.stdout:
            with self.spoken:
                self.said.append(line)
                self.spoken.notify_all()

    def heard(self, words: str, times: int = 1) -> None:
        """Wait until it has said this."""
        with self.spoken:
            is_so = self.spoken.wait_for(lambda: sum(words in line for line in self.said) >= times, PATIENCE_S)
        assert is_so, "".join(self.said)

    def ended(self) -> int:
        """Wait for its end; the exit code."""
        code = self.process.wait(PATIENCE_S)
        self.listener.join(PATIENCE_S)
        return code

    @property
    def text(self) -> str:
        return "".join(self.said)


@contextlib.contextmanager
def working(platform: Platform, home: Path, *command: str, **variables: str) -> Iterator[Worker]:
    """A worker that takes its jobs from the platform.

    Args:
        command: what Python runs.
        variables: beside those that the platform sets.
    """
    others = {name: value for name, value in os.environ.items() if not name.startswith(("EMBEDSTACK_", "RUNPOD_"))}
    given = {"HOME": str(home), "NO_PROXY": "127.0.0.1", "RUNPOD_PING_INTERVAL": "1000"}
    environ = {**others, **given, **emulator_variables(platform.url, "worker-1"), **variables}
    started = [sys.executable, *command]
    process = subprocess.Popen(
        started, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ, start_new_session=True
    )
    worker = Worker(process)
    worker.listener = threading.Thread(target=worker.listen, daemon=True)
    worker.listener.start()
    try:
        yield worker
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its heartbeat is a process of its own
        process.wait(PATIENCE_S)
        worker.listener.join(PATIENCE_S)
        process.stdout.close()
