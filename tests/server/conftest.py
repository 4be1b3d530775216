"""An app with its encoder open, in this process; and a server with the fake encoder, in another."""

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from embedstack.server import create_app
from embedstack.settings import Settings
from embedstack.testing.fake import HashEncoder
from embedstack.types import Encoder

PROGRAM = Path(__file__).parent / "serve_fake.py"
PATIENCE_S = 20


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextlib.asynccontextmanager
async def opened(
    open_encoder: Callable[[], Encoder] = HashEncoder,
    *,
    wait: bool = True,
    clock: Callable[[], float] = time.monotonic,
    **changes: object,
) -> AsyncIterator[httpx.AsyncClient]:
    settled = threading.Event()
    settings = replace(Settings(), **changes)
    app = create_app(open_encoder, settings, on_settled=lambda error: settled.set(), clock=clock)
    async with app.router.lifespan_context(app):
        if wait:
            assert await asyncio.to_thread(settled.wait, PATIENCE_S)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
            yield client


@pytest.fixture
def serve():
    """A context manager: an httpx client of an app around the given encoder, with the settings given by keyword."""
    return opened


@dataclass
class Live:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    url: str

    def gauge(self, line: str) -> float:
        """The value of one series."""
        for text in httpx.get(f"{self.url}/metrics").text.splitlines():
            if text.startswith(line + " "):
                return float(text.rpartition(" ")[2])
        return 0.0

    def wait_for(self, line: str, value: float) -> None:
        """Ask until a series has the value."""
        for _ in range(5000):
            if self.gauge(line) == value:
                return
        raise AssertionError(f"{line} never became {value}")

    def wait_for_draining(self) -> None:
        """Ask until it says that it leaves."""
        for _ in range(2000):
            if httpx.get(f"{self.url}/ready").status_code == 503:
                return
        raise AssertionError("it never said that it leaves")


@contextlib.contextmanager
def started(*arguments: str, program: tuple[str, ...] = (str(PROGRAM),)) -> Iterator[Live]:
    command = [sys.executable, *program, *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "EMBEDSTACK_PORT": "0"})
    # a pipe that nobody reads fills, and the server would wait for room in it
    drain = threading.Thread(target=lambda: deque(process.stderr, maxlen=0), daemon=True)
    try:
        line = next((line for line in process.stderr if line.startswith("listening on ")), "")
        assert line, "the server ended before it listened"
        drain.start()
        yield Live(process, line.removeprefix("listening on ").strip())
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        if drain.ident is not None:
            drain.join(PATIENCE_S)
        process.stderr.close()


@pytest.fixture(scope="session")
def start():
    """A context manager: a Live server with the given arguments of serve_fake.py, or of another program."""
    return started


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    """One server for the module, its bodies limited to 1 MB."""
    with started("--max-body-mb", "1") as server:
        yield server
