"""Servers in processes of their own with the real default model, and what the library gives for the clients' texts."""

import contextlib
import json
import os
import subprocess
import sys
from binascii import b2a_base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cases
import pytest
from environments import Broken, Client
from judge import Truth

from embedstack import load
from embedstack.dialects.cl100k import CACHED, vocabulary
from support.commands import COMMAND, settings_only
from support.tiny import CASES, write

KEY = "foreign-clients-7c1f0d2e9b"
EMBEDDER, RERANKER, LABELLER = "all-MiniLM-L6-v2", "tiny-reranker", "tiny-labels"
WITHOUT_CL100K = (sys.executable, str(Path(__file__).parent / "serve_without_cl100k.py"))
START_S, PROGRAM_S = 60, 110


@dataclass(frozen=True)
class Ground:
    """What programs are given, and what they are judged by."""

    environment: dict[str, str]
    truth: Truth

    def run(self, client: Client, python: str, more: dict[str, str]) -> dict[str, dict[str, object]]:
        """What the client saw, by the names of its checks.

        Args:
            python: the interpreter in place of the client's own.
            more: environment variables that not all clients need.
        """
        input_file = client.program.open() if client.language == "node" else None
        with input_file or contextlib.nullcontext():
            done = subprocess.run(
                client.command(python),
                env={**self.environment, **more},
                cwd=client.folder if client.language == "node" else None,
                stdin=input_file or subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PROGRAM_S,
            )
        if done.returncode:
            raise Broken(f"{client.name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a small reranker and a small classifier lie."""
    place = tmp_path_factory.mktemp("models")
    write(CASES["bert-classifier"], place / RERANKER)
    write(CASES["bert-labels"], place / LABELLER)
    return place


@pytest.fixture(scope="session")
def ground(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A server, and the library beside it."""
    home = tmp_path_factory.mktemp("home")
    (home / "cases.json").write_text(json.dumps(_texts()))
    with _served(folders, COMMAND) as url:
        given = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "SERVER_URL": url,
            "SERVER_KEY": KEY,
            "CASES": str(home / "cases.json"),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it asks the network at import
            "HAYSTACK_TELEMETRY_ENABLED": "False",
        }
        yield Ground(given, _truth(folders))


@pytest.fixture(scope="session")
def openai_ids(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """For clients that send ids of OpenAI's: the vocabulary, and a server that has none."""
    cache = tmp_path_factory.mktemp("tiktoken")  # where tiktoken looks before it asks the network
    lines = (b2a_base64(word, newline=False) + b" %d\n" % number for number, word in enumerate(vocabulary()))
    (cache / CACHED).write_bytes(b"".join(lines))
    with _served(folders, WITHOUT_CL100K) as url:
        yield {"TIKTOKEN_CACHE_DIR": str(cache), "SERVER_WITHOUT_CL100K": url}


def _texts() -> dict[str, object]:
    return {
        "embedder": EMBEDDER,
        "reranker": RERANKER,
        "labeller": LABELLER,
        "texts": cases.TEXTS,
        "many": cases.MANY,
        "long": [cases.LONG],
        "query": cases.QUERY,
        "documents": cases.DOCUMENTS,
        "sentence": [cases.SENTENCE],
    }


@contextlib.contextmanager
def _served(folders: Path, command: tuple[str, ...]) -> Iterator[str]:
    """The URL of `embedstack serve` with all three models and a key."""
    process = subprocess.Popen(
        [*command, "serve", EMBEDDER, f"./{RERANKER}", f"./{LABELLER}", "--port", "0"],
        cwd=folders,
        env=settings_only(EMBEDSTACK_API_KEYS=f"clients:{KEY}"),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said: list[str] = []
    try:
        for line in process.stderr:
            said.append(line)
            if line.startswith("listening on "):
                break
        else:
            raise RuntimeError(f"the server did not start:\n{''.join(said)}")
        drained = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
        yield said[-1].removeprefix("listening on ").strip()
    finally:
        process.terminate()
        process.wait(START_S)
        process.stderr.close()
    drained.wait(START_S)


def _truth(folders: Path) -> Truth:
    sets = {"texts": cases.TEXTS, "many": cases.MANY, "long": [cases.LONG]}
    with load(EMBEDDER, precision="float32", threads=1) as model:
        encoded = {name: model.encode(list(texts)) for name, texts in sets.items()}
    with load(str(folders / RERANKER), precision="float32", threads=1) as model:
        scores = model.score(cases.QUERY, list(cases.DOCUMENTS)).scores
    with load(str(folders / LABELLER), precision="float32", threads=1) as model:
        shares = model.classify(cases.SENTENCE).scores[0]
        labels = sorted(zip(model.spec.label_names, shares.tolist(), strict=True), key=lambda one: -one[1])
    return Truth(
        vectors={name: one.dense for name, one in encoded.items() if one.dense is not None},
        tokens={name: one.usage.tokens for name, one in encoded.items()},
        scores=scores.tolist(),
        labels=labels,
    )
