"""Models that take turns under a server's memory ceiling: what it holds in each round, and what each model needs.

    python bench/cycle.py --scratch FOLDER --out bench/results/cycle.json

Three models of other shapes, all-MiniLM-L6-v2 and two with drawn weights (1 GB in FOLDER, removed afterwards), are
asked for in turn over HTTP. The server's ceiling never holds both of the larger ones. Memory is what the kernel counts
as the server's own, looked at every few milliseconds from outside. The rule: never over the ceiling, and after the last
round within 5 % of the first; and a model that came back makes the vectors that it made before. The exit code is 1 if
it is broken. `--rounds 2` tries the script.
"""

import argparse
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import httpx
import numpy as np

from cycle_models import WORDS, draw_all
from embedstack.catalog import find
from embedstack.runtimes.processor import choose_precision
from embedstack.settings import DEFAULT_MODEL, read_settings
from load_server import Server
from machine import machine

ROUNDS = 20
DRIFT = 0.05
SAME = 1e-4  # between two vectors of one text, each from another load
# megabytes: the two larger models never fit together
CASES = {("openvino", "auto"): 870, ("onnx", "float32"): 600}
LENGTHS = (8, 64, 250)  # words
TEXTS = [" ".join(WORDS[:length]) for length in LENGTHS for _ in range(4)]
LOOK_S, SETTLE_S = 0.005, 1.0  # what was unloaded last goes back to the system after the reply
PATIENCE_S = 120.0
KEY, ADMIN_KEY = "a-key-for-the-time-of-one-run", "another-key-for-that-time"
Made = dict


class Asking:
    """The callers of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=PATIENCE_S)

    def models(self) -> list[Made]:
        """As the admin sees them."""
        return list(self._client.get("/admin/models", headers=_bearing(ADMIN_KEY)).raise_for_status().json()["models"])

    def vectors(self, model: str) -> np.ndarray:
        """(texts, width); the request waits while the model is brought."""
        until = time.monotonic() + PATIENCE_S
        while True:
            body = {"model": model, "input": TEXTS}
            reply = self._client.post("/v1/embeddings", json=body, headers=_bearing(KEY))
            if reply.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > until:
                return np.array([row["embedding"] for row in reply.raise_for_status().json()["data"]], np.float32)
            time.sleep(float(reply.headers["retry-after"]))

    @contextmanager
    def watched(self) -> Iterator[list[float]]:
        """What the server holds meanwhile, in megabytes."""
        seen, over = [self._server.anonymous_mb()], Event()

        def look() -> None:
            while not over.wait(LOOK_S):
                seen.append(self._server.anonymous_mb())

        watcher = Thread(target=look)
        watcher.start()
        try:
            yield seen
        finally:
            over.set()
            watcher.join()


def _bearing(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def cycled(server: Server, ceiling_mb: int, rounds: int) -> Made:
    """Each round asks every model for short and long texts, which brings it where it has to be."""
    asking, ends, tops, far = Asking(server), [], [], 0.0
    names = [model["name"] for model in asking.models()]
    first: dict[str, np.ndarray] = {}
    for number in range(rounds):
        with asking.watched() as seen:
            for name in names:
                vectors = asking.vectors(name)
                far = max(far, float(np.abs(vectors - first.setdefault(name, vectors)).max()))
            time.sleep(SETTLE_S)
        ends.append(round(seen[-1]))
        tops.append(round(max(seen)))
        kept = ", ".join(model["name"] for model in asking.models() if model["state"] == "loaded")
        print(f"round {number + 1}: end {ends[-1]} MB, top {tops[-1]} MB, in memory: {kept}", file=sys.stderr)
    return {
        "ceiling_mb": ceiling_mb,
        "end_mb": ends,
        "top_mb": tops,
        "is_under_the_ceiling": max(tops) <= ceiling_mb,
        "drift": round(ends[-1] / ends[0] - 1, 3),
        "is_steady": ends[-1] <= (1 + DRIFT) * ends[0],
        "farthest": far,
        "is_same": far <= SAME,
        "models": {model["name"]: _need(model) for model in asking.models()},
    }


def _need(model: Made) -> Made:
    return {"held_mb": model["need_mb"], "peak_mb": model["peak_mb"], "load_s": model["load_s"]}


def one(runtime: str, precision: str, folders: Sequence[Path], rounds: int) -> Made:
    """A server of its own, with an empty cache."""
    began, ceiling_mb = time.monotonic(), CASES[runtime, precision]
    command = [sys.executable, "-m", "embedstack", "serve", *map(str, folders), "--lazy"]
    command += ["--memory-mb", str(ceiling_mb), "--runtime", runtime, "--precision", precision]
    with tempfile.TemporaryDirectory() as cache:
        settings = {"EMBEDSTACK_CACHE_DIR": cache, "EMBEDSTACK_ADMIN_KEY": ADMIN_KEY}
        with Server({"caller": KEY}, shlex.join(command), settings) as server:
            made = cycled(server, ceiling_mb, rounds)
    return {**made, "seconds": round(time.monotonic() - began)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, help="where 1 GB may lie for a while; default: the system's own")
    parser.add_argument("--out", type=Path, help="where to write the JSON; stdout if left out")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--minilm", type=Path, help="its folder; default: from the user's cache")
    given = parser.parse_args()
    minilm = given.minilm or find(DEFAULT_MODEL, cache_dir=read_settings().cache_dir).folder
    made: Made = {}
    with tempfile.TemporaryDirectory(dir=given.scratch) as scratch:
        folders = [minilm, *draw_all(Path(scratch))]
        for runtime, precision in CASES:
            print(f"{runtime}, {precision}", file=sys.stderr)
            made[f"{runtime}:{precision}"] = one(runtime, precision, folders, given.rounds)
    result = {
        "machine": machine(),
        "command": "python bench/cycle.py --scratch FOLDER --out bench/results/cycle.json",
        "rounds": given.rounds,
        "auto": choose_precision("auto")[0],
        "cases": made,
    }
    text = json.dumps(result, indent=2) + "\n"
    given.out.write_text(text) if given.out else print(text)
    rules = ("is_under_the_ceiling", "is_steady", "is_same")
    return int(not all(case[rule] for case in made.values() for rule in rules))


if __name__ == "__main__":
    sys.exit(main())
