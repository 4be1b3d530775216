"""What the numbers were measured on: the machine, its matrix product limit, and how much work a text is."""

import os
import platform
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np

from embedstack.modelspec import Architecture
from embedstack.runtimes.openvino import op, ov
from embedstack.runtimes.processor import NATIVE_BFLOAT16, choose_precision, flags, usable_threads

WANTED = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
PRODUCTS = ((1024, 384, 1536), (1024, 1536, 384), (1024, 1024, 1024), (512, 1024, 4096))  # rows, wide, out
HINTS = {"float32": "f32", "bfloat16": "bf16"}


def machine() -> dict[str, object]:
    """For the head of every result."""
    named_commit = ["git", "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]
    commit = subprocess.run(named_commit, capture_output=True, text=True, check=False)
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = {line.split(":")[0].strip(): line.split(":")[1].strip() for line in lines if ":" in line}
    return {
        "processor": f"{named.get('model name')} family {named.get('cpu family')} model {named.get('model')}",
        "flags": [flag for flag in WANTED if flag in flags()],
        "threads": usable_threads(),
        "precision": choose_precision("auto")[1],
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("embedstack", "openvino", "numpy", "tokenizers")},
        "commit": commit.stdout.strip(),
        "date": time.strftime("%Y-%m-%d"),
    }


def native_precisions() -> list[str]:
    """What products can be computed in without emulation."""
    return ["float32", "bfloat16"] if flags() & NATIVE_BFLOAT16 else ["float32"]


class Limit:
    """GFLOP/s of matrix products alone, in the library that is fastest at them here; the best shape counts."""

    def __init__(self, precision: str, threads: int) -> None:
        config = {"INFERENCE_PRECISION_HINT": HINTS[precision], "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
        self._products = [_product(shape, config) for shape in PRODUCTS]

    def measure(self, seconds: float = 0.15) -> float:
        """The best of the shapes, each run for so long."""
        return max(self._rate(request, work, seconds) for request, work in self._products)

    def _rate(self, request: ov.InferRequest, work: float, seconds: float) -> float:
        request.infer()
        best, until = 0.0, time.perf_counter() + seconds
        while time.perf_counter() < until:
            began = time.perf_counter()
            for _ in range(4):
                request.infer()
            best = max(best, 4 * work / (time.perf_counter() - began))
        return best / 1e9


def _product(shape: tuple[int, int, int], config: dict[str, object]) -> tuple[ov.InferRequest, float]:
    rows, wide, out = shape
    x = op.parameter([rows, wide], ov.Type.f32)
    weight = op.constant(np.random.default_rng(0).normal(0, 1, (out, wide)).astype(np.float32))
    model = ov.Model([op.matmul(x, weight, False, True)], [x])
    request = ov.Core().compile_model(model, "CPU", config).create_infer_request()
    request.set_input_tensor(ov.Tensor(np.ones((rows, wide), np.float32)))
    return request, 2.0 * rows * wide * out


def work_flop(a: Architecture, lengths: Sequence[int]) -> float:
    """Of all texts: 2 x the layers' parameters for each token, and 4 x length x hidden in each layer's attention."""
    per_token = 2 * a.layers * (4 * a.hidden**2 + 2 * a.hidden * a.intermediate)
    return float(sum(n * per_token + 4 * a.layers * n * n * a.hidden for n in lengths))


def spread(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Median and range."""
    return {
        "median": round(median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
    }


def hold_to(threads: int) -> None:
    """This process and all that it starts stay on so many processors."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
