"""`embedstack serve` in a process of its own, with tiny models."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest

from embedstack import load
from embedstack.databases.bound import Bound, origin_of
from embedstack.databases.database import Collection, Field, Points
from embedstack.databases.opening import open_database
from embedstack.errors import BadRequest, ConfigError
from support.commands import COMMAND, PATIENCE_S, run, settings_only, wanted
from support.tiny import CASES, write

pytestmark = pytest.mark.usefixtures("machine")
NOWHERE = ("--port", "99999")  # a server that should have refused ends here instead of waiting
DOCUMENTS = ["the panda is a bear", "music", "light and water", "a bear of china"]


@dataclass
class Server:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    url: str
    said: list[str]


@contextlib.contextmanager
def served(folder: Path, *arguments: str, **environment: str) -> Iterator[Server]:
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=settings_only(EMBEDSTACK_CACHE_DIR=str(folder / "cache"), **environment),
        cwd=folder,
    )
    said: list[str] = []
    try:
        for line in process.stderr:
            said.append(line)
            if line.startswith("listening on "):
                break
        assert process.poll() is None, said
        yield Server(process, said[-1].removeprefix("listening on ").strip(), said)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        process.stderr.close()


@pytest.fixture(scope="module")
def both(folders: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the module, with an embedder and a reranker in a folder that has a comma in its name."""
    root = tmp_path_factory.mktemp("serve")
    reranker = write(CASES["bert-classifier"], root / "re,ranker")
    with served(root, folders["bert-mean"], str(reranker)) as server:
        yield server


@pytest.mark.slow
def test_serve_answers_with_the_vectors_of_the_library(both: Server, embedder: str) -> None:
    reply = httpx.post(f"{both.url}/v1/embeddings", json={"model": "bert-mean", "input": ["sun", "moon tree"]})

    made = np.array([row["embedding"] for row in reply.json()["data"]], np.float32)
    assert reply.status_code == 200
    assert np.allclose(made, wanted(embedder, "sun", "moon tree"), atol=1e-6)


@pytest.mark.slow
def test_serve_reranks_beside_it(both: Server, reranker: str) -> None:
    body = {"query": "what is a panda?", "texts": DOCUMENTS}

    reply = httpx.post(f"{both.url}/rerank", json=body).json()

    with load(reranker) as model:
        scores = model.score("what is a panda?", DOCUMENTS).scores
    assert [row["index"] for row in reply] == sorted(range(4), key=lambda n: -scores[n])
    assert [row["score"] for row in reply] == pytest.approx(sorted(scores)[::-1], abs=1e-6)


@pytest.mark.slow
def test_serve_lists_both_models(both: Server) -> None:
    listed = httpx.get(f"{both.url}/v1/models").json()["data"]

    assert [model["id"] for model in listed] == ["bert-mean", "re,ranker"]


@pytest.mark.slow
def test_a_folder_answers_to_the_path_it_was_given_by(both: Server, embedder: str) -> None:
    reply = httpx.post(f"{both.url}/v1/embeddings", json={"model": embedder, "input": "sun"})

    assert reply.status_code == 200


@pytest.mark.slow
def test_serve_says_what_it_runs_on_before_it_listens(both: Server) -> None:
    assert [line for line in both.said if "bert-mean: openvino, float32, as asked; threads: 1" in line]
    assert both.url.startswith("http://127.0.0.1:")


@pytest.mark.slow
def test_serve_ends_cleanly_on_sigterm(folders: dict[str, str], tmp_path: Path) -> None:
    with served(tmp_path, EMBEDSTACK_MODELS=folders["bert-mean"]) as server:
        assert httpx.get(f"{server.url}/health").status_code == 200
        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(PATIENCE_S) == 0
        assert "Traceback" not in server.process.stderr.read()


def test_serve_refuses_models_that_are_given_twice(embedder: str) -> None:
    result = run("serve", embedder, "--models", embedder, *NOWHERE)

    assert isinstance(result.exception, BadRequest)
    assert str(result.exception) == "models are given twice; name them as arguments or with --models"


def test_serve_refuses_settings_without_a_model() -> None:
    result = run("serve", "--models", " , ", *NOWHERE)

    assert isinstance(result.exception, ConfigError)
    assert "names no model" in str(result.exception)


# ------------------------------------------------------------------------------------------------ collections


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("./database", "entry 1 of --collections (EMBEDSTACK_COLLECTIONS) names no collection behind a '#'"),
        ("bge-m3=./database#docs", "collection 'bge-m3' of --collections has the name of a model"),
        ("ftp://host#docs", "a database cannot be at ftp://"),
    ],
)
def test_serve_refuses_collections_that_are_none(embedder: str, text: str, said: str) -> None:
    result = run("serve", embedder, "--collections", text, *NOWHERE)

    assert isinstance(result.exception, ConfigError)
    assert said in str(result.exception)


@pytest.mark.slow
def test_serve_refuses_a_collection_that_hides_its_model(embedder: str) -> None:
    result = run("serve", embedder, "--port", "0", "--collections", "bert-mean=./database#docs")

    assert isinstance(result.exception, ConfigError)
    assert "'bert-mean' of --collections has the name of a model" in str(result.exception)


def loaded(folder: Path, name: str, model: str) -> None:
    """A collection of DOCUMENTS with the vectors of a model."""
    with load(model) as opened:
        made = opened.encode(DOCUMENTS, role="document")
    database = open_database(str(folder))
    bound = Bound(database, name, {"": origin_of(made, "document")})
    bound.prepare(Collection(name=name, fields={"": Field(dim=made.dense.shape[1])}))
    payloads = [{"text": text} for text in DOCUMENTS]
    bound.write(Points(ids=range(len(DOCUMENTS)), vectors={"": made.dense}, payloads=payloads))
    database.close()


@pytest.mark.slow
def test_serve_searches_with_the_model_of_the_collection(folders: dict[str, str], tmp_path: Path) -> None:
    other = str(write(CASES["bert-cls"], tmp_path / "other"))
    for name, model in (("first", folders["bert-mean"]), ("second", other)):
        loaded(tmp_path / "db", name, model)
    collections = f"{tmp_path}/db#first,{tmp_path}/db#second"
    with served(tmp_path, folders["bert-mean"], other, "--collections", collections) as server:
        found = [
            httpx.post(f"{server.url}/search", json={"query": DOCUMENTS[0], "collection": name, "limit": 1}).json()
            for name in ("first", "second")
        ]
        reply = httpx.post(f"{server.url}/v1/embeddings", json={"model": "second", "input": "sun"})

    assert [(one["hits"][0]["text"], one["model"]) for one in found] == [
        (DOCUMENTS[0], "bert-mean"),
        (DOCUMENTS[0], "other"),
    ]
    assert np.allclose(reply.json()["data"][0]["embedding"], wanted(other, "sun")[0], atol=1e-6)
