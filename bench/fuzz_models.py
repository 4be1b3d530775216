"""A folder -> small models for every task in it, as real ones look, and a collection of vectors of one of them."""

import json
import subprocess
import sys
from pathlib import Path

from safetensors.numpy import load_file

from fuzz_server import own_environment

sys.path.append(str(Path(__file__).parents[1] / "tests"))
sys.path.append(str(Path(__file__).parents[1] / "tests/models"))

from saved_weights import save_state

from support import tiny
from support.tiny_clip import write_clip

TEXTS = ("a cat sleeps", "two dogs bark", "three birds sing", "four fish swim", "five cows graze")


def command(folder: Path, cache: Path) -> list[str]:
    """What serves vectors of three kinds, of texts and pictures, a reranker, a classifier, and a collection."""
    first = write_bge(folder / "texts")
    others = (
        write_clip(folder / "pictures"),
        tiny.write(tiny.CASES["bert-classifier"], folder / "reranker"),
        tiny.write(tiny.CASES["bert-labels"], folder / "labels"),
    )
    models = map(str, (first, *others))  # the first of a task answers where none is named
    return ["-m", "embedstack", "serve", *models, "--collections", index(folder, first, cache), "--lanes", "1"]


def write_bge(folder: Path) -> Path:
    """Of the family of bge-m3; its two heads lie in files of PyTorch."""
    tiny.write(tiny.CASES["bge-m3"], folder)
    heads = folder / "heads.safetensors"
    tensors = load_file(heads)
    heads.unlink()
    for head in ("sparse_linear", "colbert_linear"):
        state = {name.removeprefix(f"{head}."): one for name, one in tensors.items() if name.startswith(head)}
        save_state(folder, state, f"{head}.pt")
    return folder


def index(folder: Path, model: Path, cache: Path) -> str:
    """A collection of a few texts with dense vectors, the model's terms beside them."""
    lines = folder / "texts.jsonl"
    lines.write_text("".join(json.dumps({"id": f"text-{n}", "text": text}) + "\n" for n, text in enumerate(TEXTS)))
    database = folder / "database"
    command = [sys.executable, "-m", "embedstack", "index", str(lines), "--database", str(database)]
    command += ["--collection", "docs", "--model", str(model), "--sparse", "model"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=own_environment(cache))
    if done.returncode:
        raise SystemExit(f"no collection: {done.stderr[-2000:]}")
    return f"{database}#docs"
