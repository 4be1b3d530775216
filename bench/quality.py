"""Labelled sets through a model: XQuAD-en retrieval (nDCG@10) and STS-B test (Spearman), beside sentence-transformers.

    python bench/quality.py --peer PYTHON --data DATA --out bench/results/quality.json

PYTHON has sentence-transformers. DATA holds xquad/xquad.en.json and stsb/stsb-en-test.csv.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from embedstack.errors import ConfigError
from embedstack.evals.metrics import ndcg, retrieve, spearman
from embedstack.types import Floats
from machine import machine

THEIRS = """
import sys, json, numpy as np
from sentence_transformers import SentenceTransformer
np.save(sys.argv[2], SentenceTransformer(sys.argv[3], device="cpu").encode(json.load(open(sys.argv[1]))))
"""
Encode = Callable[[list[str]], Floats]
RUNS = (("openvino", "auto"), ("onnx", "int8"))


def xquad(data: Path, encode: Encode, language: str = "en") -> float:
    """nDCG@10: each question finds the paragraph that it was asked about, among all 240."""
    asked, paragraphs = questions_and_paragraphs(data, language)
    found = retrieve(encode([question for question, _ in asked]), encode(paragraphs), 10)
    run = found.run([f"q{n}" for n in range(len(asked))], [str(n) for n in range(len(paragraphs))])
    return ndcg({f"q{n}": {paragraph: 1} for n, (_, paragraph) in enumerate(asked)}, run, 10).mean


def questions_and_paragraphs(data: Path, language: str = "en") -> tuple[list[tuple[str, str]], list[str]]:
    """1,190 questions, each with the number of the paragraph that answers it, and the 240 paragraphs of XQuAD."""
    articles = json.loads((data / f"xquad/xquad.{language}.json").read_text())["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    asked = [(qa["question"], str(n)) for n, paragraph in enumerate(paragraphs) for qa in paragraph["qas"]]
    return asked, [paragraph["context"] for paragraph in paragraphs]


def stsb(data: Path, encode: Encode, language: str = "en") -> float:
    """Spearman's rank correlation of cosine with people's judgements over the 1,379 test pairs."""
    with (data / f"stsb/stsb-{language}-test.csv").open(newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    firsts, seconds = encode([row[0] for row in rows]), encode([row[1] for row in rows])
    cosines = (firsts * seconds).sum(axis=1) / np.linalg.norm(firsts, axis=1) / np.linalg.norm(seconds, axis=1)
    return spearman(cosines, np.array([float(row[2]) for row in rows]))


def peer(python: str, folder: Path) -> Encode:
    """sentence-transformers in a process of its own."""

    def encode(texts: list[str]) -> Floats:
        with tempfile.TemporaryDirectory() as tmp:
            given, made = Path(tmp) / "texts.json", Path(tmp) / "vectors.npy"
            given.write_text(json.dumps(texts))
            subprocess.run([python, "-c", THEIRS, given, made, folder], check=True, stderr=subprocess.DEVNULL)
            return np.load(made)

    return encode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="a Python that has sentence-transformers")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("EMBEDSTACK_TEST_DATA"), help="the folder of labelled sets"
    )
    parser.add_argument("--out", type=Path, help="where to write the JSON; stdout if left out")
    given = parser.parse_args()
    if given.data is None:
        parser.error("no labelled sets; give --data FOLDER or set EMBEDSTACK_TEST_DATA")
    import embedstack
    from embedstack.catalog import find
    from embedstack.runtimes.processor import choose_precision
    from embedstack.settings import read_settings

    folder = find("all-MiniLM-L6-v2", cache_dir=read_settings().cache_dir).folder
    theirs = peer(given.peer, folder)
    scores = {
        "sentence-transformers": {
            "xquad_en_ndcg@10": xquad(given.data, theirs),
            "stsb_en_spearman": stsb(given.data, theirs),
        }
    }
    for runtime, precision in RUNS:
        try:
            model = embedstack.load(runtime=runtime, precision=precision)
        except ConfigError as error:
            print(f"embedstack {runtime} {precision}: skipped: {error}", file=sys.stderr)
            continue
        with model:
            name = f"embedstack {choose_precision('auto')[0] if precision == 'auto' else precision}"
            ours: Encode = lambda texts, model=model: model.encode(texts).dense  # noqa: E731
            scores[name] = {"xquad_en_ndcg@10": xquad(given.data, ours), "stsb_en_spearman": stsb(given.data, ours)}
    made = {
        "machine": machine(),
        "command": "python bench/quality.py --peer PYTHON --data DATA --out bench/results/quality.json",
        "model": "all-MiniLM-L6-v2",
        "scores": {name: {metric: round(value, 5) for metric, value in row.items()} for name, row in scores.items()},
    }
    text = json.dumps(made, indent=2) + "\n"
    given.out.write_text(text) if given.out else print(text)


if __name__ == "__main__":
    main()
