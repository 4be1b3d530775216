"""The default model beside sentence-transformers, in one run: texts per second, fidelity, start-up and memory.

    python bench/minilm.py --peer PYTHON --data DATA --out bench/results/minilm.json

PYTHON has sentence-transformers. DATA holds xquad/xquad.en.json: the texts are its 240 paragraphs and its first 272
questions. Each contender is a process that stays alive; rounds are interleaved, so that a noisy minute hits both.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np

ROUNDS = 5
OURS = """
import sys, time, json, numpy as np
import embedstack
texts = json.load(open(sys.argv[1])); precision = sys.argv[3]
model = embedstack.load(precision=precision)
run = lambda: model.encode(texts).dense
"""
THEIRS = """
import sys, time, json, numpy as np
from sentence_transformers import SentenceTransformer
texts = json.load(open(sys.argv[1]))
model = SentenceTransformer(sys.argv[3], device="cpu")
run = lambda: model.encode(texts)
"""
LOOP = """
run()
print("ready", flush=True)
for line in sys.stdin:
    began = time.perf_counter(); vectors = run(); took = time.perf_counter() - began
    np.save(sys.argv[2], vectors); print(took, flush=True)
"""
FIRST_VECTOR = "import embedstack; embedstack.load().encode('one text'); print('there', flush=True)"
BARE_IMPORTS = """
import sys; sys.modules['openvino_telemetry'] = None
import numpy, openvino, tokenizers, msgspec, platformdirs, dotenv, asyncio
print('there', flush=True)
"""


class Contender:
    """A process that encodes the texts whenever it is told to."""

    def __init__(self, python: str, program: str, texts: Path, argument: str, environment: dict[str, str]) -> None:
        self.vectors = texts.with_name(f"{abs(hash(program + argument))}.npy")
        command = [python, "-c", program + LOOP, str(texts), str(self.vectors), argument]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        assert self.process.stdout.readline().strip() == "ready", f"{python} did not start"

    def run(self) -> float:
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def texts_of(data: Path) -> list[str]:
    articles = json.loads((data / "xquad/xquad.en.json").read_text())["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    questions = [qa["question"] for paragraph in paragraphs for qa in paragraph["qas"]]
    return [paragraph["context"] for paragraph in paragraphs] + questions[:272]


def speed(texts: list[str], peer: str, folder: Path, environment: dict[str, str]) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as tmp:
        path = Path(tmp) / "texts.json"
        path.write_text(json.dumps(texts))
        contenders = {
            "sentence-transformers default": Contender(peer, THEIRS, path, str(folder), environment),
            "embedstack auto": Contender(sys.executable, OURS, path, "auto", environment),
        }
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(ROUNDS):
            for name, contender in contenders.items():
                times[name].append(contender.run())
        vectors = {name: np.load(contender.vectors) for name, contender in contenders.items()}
        for contender in contenders.values():
            contender.close()
    made = {name: spread([len(texts) / t for t in took]) for name, took in times.items()}
    theirs, ours = vectors.values()
    cosines = (theirs * ours).sum(axis=1) / np.linalg.norm(theirs, axis=1) / np.linalg.norm(ours, axis=1)
    rates = [rate["median"] for rate in made.values()]
    return {
        "texts_per_s": made,
        "ratio": round(rates[1] / rates[0], 2),
        "cosine_to_sentence_transformers": {"min": float(cosines.min()), "mean": float(cosines.mean())},
    }


def spread(values: list[float]) -> dict[str, float]:
    return {"median": round(median(values), 3), "min": round(min(values), 3), "max": round(max(values), 3)}


def fidelity(texts: list[str]) -> dict[str, object]:
    """Against float64 on every eighth text; and each of 64 texts alone against itself in the batch."""
    import embedstack

    some = texts[::8]
    with embedstack.load() as model, embedstack.load(runtime="numpy") as truth:
        made, judged = model.encode(texts).dense, truth.encode(some).dense
        alone = np.concatenate([model.encode(text).dense for text in some])
    cosines = (made[::8].astype(np.float64) * judged).sum(axis=1)
    neighbours = (made[::8].astype(np.float64) * alone).sum(axis=1)
    return {
        "texts": len(some),
        "cosine_to_float64": {"min": float(cosines.min()), "mean": float(cosines.mean())},
        "alone_to_in_batch": {
            "min": float(neighbours.min()),
            "largest_difference": float(np.abs(made[::8] - alone).max()),
        },
    }


def work_gflop(texts: list[str]) -> float:
    """Of all texts: 2 x the layers' parameters for each token, and 4 x length x hidden in each layer's attention."""
    import embedstack

    with embedstack.load() as model:
        a = model.spec.architecture
        lengths = [model.encode(text).usage.tokens for text in texts]
    per_token = 2 * a.layers * (4 * a.hidden**2 + 2 * a.hidden * a.intermediate)
    return sum(n * per_token + 4 * a.layers * n * n * a.hidden for n in lengths) / 1e9


def matmul_limit(threads: int) -> float:
    """GFLOP/s of the model's largest product alone (1024 x 384 times 384 x 1536, float32) in OpenVINO."""
    from embedstack.runtimes.openvino import op, ov

    x = op.parameter([1024, 384], ov.Type.f32)
    weight = op.constant(np.random.default_rng(0).normal(0, 1, (1536, 384)).astype(np.float32))
    config = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    compiled = ov.Core().compile_model(ov.Model([op.matmul(x, weight, False, True)], [x]), "CPU", config)
    request = compiled.create_infer_request()
    request.set_input_tensor(ov.Tensor(np.ones((1024, 384), np.float32)))
    return best(lambda: [request.infer() for _ in range(20)], 2 * 1024 * 384 * 1536 * 20 / 1e9)


def best(work: Callable[[], object], amount: float) -> float:
    rates = []
    for _ in range(8):
        began = time.perf_counter()
        work()
        rates.append(amount / (time.perf_counter() - began))
    return round(max(rates), 1)


def start_up(environment: dict[str, str]) -> dict[str, object]:
    """From the start of a process to its first vector, and to the end of importing the same libraries."""
    times: dict[str, list[float]] = {FIRST_VECTOR: [], BARE_IMPORTS: []}
    for _ in range(ROUNDS + 1):
        for code, took in times.items():
            began = time.perf_counter()
            process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
            assert process.stdout.readline() == b"there\n"
            took.append(time.perf_counter() - began)
            process.communicate()
    first, bare = (spread(took[1:]) for took in times.values())  # the first round only warms the disk cache
    return {"first_vector_s": first, "bare_imports_s": bare, "ratio": round(first["median"] / bare["median"], 2)}


def memory(texts: list[str], environment: dict[str, str]) -> dict[str, object]:
    """Of a server that has answered 512 texts, from /proc: anonymous, and pages that belong to files."""
    import httpx

    command = [sys.executable, "-m", "embedstack", "serve", "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        url = next(line.split()[-1] for line in server.stderr if line.startswith("listening on"))
        for start in range(0, len(texts), 32):
            httpx.post(f"{url}/v1/embeddings", json={"input": texts[start : start + 32]}, timeout=60).raise_for_status()
        lines = Path(f"/proc/{server.pid}/smaps_rollup").read_text().splitlines()[1:]
        held = {line.split(":")[0]: int(line.split()[1]) / 1000 for line in lines}
    finally:
        server.terminate()
        server.wait()
    return {
        "anonymous_mb": round(held["Anonymous"], 1),
        "file_backed_mb": round(held["Rss"] - held["Anonymous"], 1),
        "resident_mb": round(held["Rss"], 1),
    }


def machine() -> dict[str, object]:
    from embedstack.runtimes.processor import choose_precision, flags, usable_threads

    wanted = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
    commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = {line.split(":")[0].strip(): line.split(":")[1].strip() for line in lines if ":" in line}
    return {
        "processor": f"{named.get('model name')} family {named.get('cpu family')} model {named.get('model')}",
        "flags": [flag for flag in wanted if flag in flags()],
        "threads": usable_threads(),
        "precision": choose_precision("auto")[1],
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("embedstack", "openvino", "numpy", "tokenizers")},
        "commit": commit.stdout.strip(),
        "date": time.strftime("%Y-%m-%d"),
    }


def peer_versions(python: str) -> str:
    code = "import sentence_transformers as s, torch as t; print(s.__version__, t.__version__)"
    said = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    return f"sentence-transformers {said[0]}, torch {said[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="a Python that has sentence-transformers")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("EMBEDSTACK_TEST_DATA"), help="the folder of labelled sets"
    )
    parser.add_argument("--out", type=Path, help="where to write the JSON; stdout if left out")
    given = parser.parse_args()
    import embedstack.settings
    from embedstack.catalog import find
    from embedstack.runtimes.processor import usable_threads

    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}
    folder = find("all-MiniLM-L6-v2", cache_dir=embedstack.settings.read_settings().cache_dir).folder
    texts = texts_of(given.data)
    measured, limit = speed(texts, given.peer, folder, environment), matmul_limit(usable_threads())
    ours = work_gflop(texts) * measured["texts_per_s"]["embedstack auto"]["median"] / len(texts)
    made = {
        "machine": machine(),
        "command": "python bench/minilm.py --peer PYTHON --data DATA --out bench/results/minilm.json",
        "peer": peer_versions(given.peer),
        "texts": len(texts),
        "speed": measured,
        "matmul": {
            "limit_gflops": limit,
            "ours_gflops": round(ours, 1),
            "share": round(ours / limit, 2),
        },
        "fidelity": fidelity(texts),
        "start": start_up(environment),
        "memory": memory(texts, environment),
    }
    text = json.dumps(made, indent=2) + "\n"
    given.out.write_text(text) if given.out else print(text)


if __name__ == "__main__":
    main()
