"""A server as a process, its log kept to be read afterwards."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

import fuzz_values as values

CACHE = "EMBEDSTACK_CACHE_DIR"
PATIENCE_S = 120.0
WORDS = ("Traceback", "event=bug", "event=failed", values.CANARY, values.KEY, values.STRANGE_KEY)
"""What no line of a log may hold."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where it is, and what it has said."""

    url: str
    log: Path

    def description(self) -> Any:
        """What it publishes."""
        return httpx.get(f"{self.url}/openapi.json", timeout=30).raise_for_status().json()

    def indiscretions(self) -> list[str]:
        """Lines of the log that say too much, or that something unforeseen happened."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line[:300] for line in lines if any(word in line for word in WORDS)]


def own_environment(cache: Path | None = None) -> dict[str, str]:
    """This one's without settings of embedstack.

    Args:
        cache: where models and notes about them are kept; None for the user's own.
    """
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("EMBEDSTACK_")}
    kept = os.environ.get(CACHE) if cache is None else str(cache)
    return {**theirs, **({CACHE: kept} if kept else {})}


@contextlib.contextmanager
def serving(command: Sequence[str], cache: Path | None = None) -> Iterator[Server]:
    """A server that needs a key, until the block ends."""
    environment = own_environment(cache) | {"EMBEDSTACK_PORT": "0", "EMBEDSTACK_API_KEYS": f"fuzz:{values.KEY}"}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("w") as stderr:
            process = subprocess.Popen([sys.executable, *command], stderr=stderr, env=environment, cwd=folder)
        try:
            yield Server(_url(process, log), log)
        finally:
            process.terminate()
            process.wait(30)


def _url(process: "subprocess.Popen[bytes]", log: Path) -> str:
    until = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < until:
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith("listening on "):
                return line.removeprefix("listening on ").strip()
        time.sleep(0.1)
    raise SystemExit(f"no server: {log.read_text(errors='replace')[-2000:]}")
