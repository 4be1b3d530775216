"""embedstack's own processes: how long the libraries alone take to import, and what a server holds."""

import subprocess
import sys
import time
from pathlib import Path

import httpx

from machine import spread

BARE_IMPORTS = """
import sys; sys.modules['openvino_telemetry'] = None
import numpy, openvino, tokenizers, msgspec, platformdirs, dotenv, asyncio
print('there', flush=True)
"""


def bare_imports(rounds: int, environment: dict[str, str]) -> dict[str, float]:
    """From the start of a process to the end of importing the libraries that embedstack stands on."""
    took = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-c", BARE_IMPORTS], stdout=subprocess.PIPE, env=environment)
        assert process.stdout.readline() == b"there\n"
        took.append(time.perf_counter() - began)
        process.communicate()
    return spread(took[1:])  # the first only warms the disk cache


def server_memory(texts: list[str], folder: Path, environment: dict[str, str]) -> dict[str, float]:
    """Of a server that has answered these texts, from /proc: anonymous, and pages that belong to files."""
    command = [sys.executable, "-m", "embedstack", "serve", "--models", str(folder), "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        url = next(line.split()[-1] for line in server.stderr if line.startswith("listening on"))
        for start in range(0, len(texts), 32):
            httpx.post(f"{url}/v1/embeddings", json={"input": texts[start : start + 32]}, timeout=60).raise_for_status()
        held = held_mb(server.pid)
    finally:
        server.terminate()
        server.wait()
    return held


def held_mb(pid: int) -> dict[str, float]:
    """What a process holds now."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    held = {line.split(":")[0]: int(line.split()[1]) * 1024 / 1e6 for line in lines}
    return {
        "anonymous_mb": round(held["Anonymous"], 1),
        "file_backed_mb": round(held["Rss"] - held["Anonymous"], 1),
        "resident_mb": round(held["Rss"], 1),
    }
