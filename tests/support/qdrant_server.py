"""A folder becomes a process that looks like a Qdrant server, which can be killed, restarted, and told to fail.

It is `support.qdrant_facade`, which is ours: what it does not prove stands there.
"""

import http.client
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

TESTS = Path(__file__).parents[1]
PATIENCE_S = 20.0


class QdrantServer:
    """One process at a time over one folder; it is gone at the latest when this one is.

    Args:
        version: what it says it is: before 1.16 there is no metadata, before 1.18 no vector is added later.
    """

    def __init__(self, folder: Path, *, api_key: str = "", version: str = "1.19.0") -> None:
        self._folder, self._api_key, self._version = folder, api_key, version
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The same after a restart."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def is_running(self) -> bool:
        """Whether there is a process that lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Returns when it answers."""
        assert not self.is_running
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / "server.log"
        with log.open("ab") as written:
            self._process = subprocess.Popen(
                [*self._command(), "--port", str(self._port)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=written,
            )
        line = _first_line(self._process)
        if not line:
            self.kill()
            raise RuntimeError(f"the facade did not start: {log.read_text()}")
        self._port = int(line)

    def _command(self) -> list[str]:
        given = {"--folder": str(self._folder), "--api-key": self._api_key, "--version": self._version}
        return [
            sys.executable,
            "-m",
            "support.qdrant_facade",
            "--until-closed",
            *(w for pair in given.items() for w in pair),
        ]

    def kill(self) -> None:
        """SIGKILL; nothing is left of it but the folder."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with process:  # closes its pipes, and waits
                pass

    def stop(self) -> None:
        """SIGTERM, as who restarts a server does it."""
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE_S)
        self.kill()

    def restart(self) -> None:
        """On the same port, over the same folder; one that runs is stopped first."""
        self.stop()
        self.start()

    def fail(
        self,
        does: Literal["answer", "drop", "wait"],
        *,
        method: str = "",
        path: str = "",
        times: int = 1,
        after: bool = False,
        status: int = 503,
        retry_after_s: int = 0,
        wait_s: float = 0.0,
    ) -> None:
        """Of the next `times` requests with this method and this in their path.

        Args:
            after: what was asked for is done first.
        """
        order = {"does": does, "method": method, "path": path, "times": times, "after": after}
        self._ask("POST", "faults", {**order, "status": status, "retry_after_s": retry_after_s, "wait_s": wait_s})

    def recover(self) -> None:
        """No more faults."""
        self._ask("DELETE", "faults")

    def requests(self) -> list[str]:
        """Method and path of all that came since the start: `PUT /collections/docs/points`."""
        return list(json.loads(self._ask("GET", "requests")))

    def _ask(self, method: str, path: str, body: object = None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        try:
            connection.request(method, f"/_facade/{path}", None if body is None else json.dumps(body))
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        assert answer.status in (200, 204), said
        return said


def _first_line(process: "subprocess.Popen[bytes]") -> bytes:
    """Empty where it ended, or said nothing in time."""
    assert process.stdout
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
    return process.stdout.readline() if ready else b""


@contextmanager
def qdrant_server(folder: Path, api_key: str = "", *, version: str = "1.19.0") -> Iterator[QdrantServer]:
    """One that runs; at the end it is killed."""
    server = QdrantServer(folder, api_key=api_key, version=version)
    server.start()
    try:
        yield server
    finally:
        server.kill()
