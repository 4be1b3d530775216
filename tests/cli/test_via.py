"""`--via` and `serve --upstream`: vectors and scores of endpoints, by name, by URL and by a file."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from embedstack.cli.embed import _encoded
from embedstack.errors import BadRequest, ConfigError, Mismatch, NoEndpoint
from embedstack.model import Model
from embedstack.testing.fake import HashEncoder, hash_spec
from support.commands import COMMAND, PATIENCE_S, good, run, settings_only, vectors_of, wanted
from support.serving import serving

pytestmark = pytest.mark.usefixtures("machine")
DOCUMENTS = ["rain falls", "a cat is a small animal"]
NOWHERE = "http://127.0.0.1:9"


def server(*specs) -> contextlib.AbstractContextManager[str]:
    """The URL of our server around the fake."""
    return serving(lambda: HashEncoder(specs))


@pytest.fixture(scope="module")
def there() -> Iterator[str]:
    with server() as url:
        yield url


def plan(folder: Path, *lines: str) -> str:
    path = folder / "router.toml"
    path.write_text("\n".join(lines))
    return str(path)


def two(first: str, second: str, task: str = "embed") -> tuple[str, ...]:
    """Lines of a plan with two servers for one task."""
    return (
        "warm_up = false",
        *(f'[[{task}.endpoints]]\nprovider = "embedstack"\nurl = "{url}"\nretries = 0' for url in (first, second)),
    )


# ------------------------------------------------------------------------------------------------ embed, rerank


def test_embed_via_a_url_gives_the_vectors_of_the_server(there: str) -> None:
    result = good("embed", *DOCUMENTS, "--via", there)

    reply = httpx.post(f"{there}/v1/embeddings", json={"model": "hash", "input": DOCUMENTS}).json()
    assert np.allclose(vectors_of(result.stdout), [row["embedding"] for row in reply["data"]], atol=1e-6)


@pytest.mark.parametrize("path", ["/runpod/runsync", "/v1"])
def test_the_end_of_a_url_says_what_is_spoken(there: str, path: str) -> None:
    result = good("embed", *DOCUMENTS, "--via", f"{there}{path}")

    assert np.array_equal(vectors_of(result.stdout), vectors_of(good("embed", *DOCUMENTS, "--via", there).stdout))


def test_embed_via_runpod_reads_the_environment(there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNPOD_ENDPOINT_BASE_URL", there)
    monkeypatch.setenv("RUNPOD_ENDPOINT_ID", "runpod")
    monkeypatch.setenv("RUNPOD_API_KEY", "local")

    result = good("embed", "rain falls", "--via", "runpod")

    assert vectors_of(result.stdout).shape == (1, 32)


def test_variables_may_stand_in_the_env_file(there: str, machine: Path) -> None:
    (machine / "mine.env").write_text(
        f"RUNPOD_ENDPOINT_BASE_URL={there}\nRUNPOD_ENDPOINT_ID=runpod\nRUNPOD_API_KEY=k\n"
    )

    assert good("embed", "rain falls", "--via", "runpod", "--env-file", "mine.env").exit_code == 0


def test_embed_json_via_an_endpoint_has_its_identity(there: str) -> None:
    whole = json.loads(good("embed", "rain falls", "--via", there, "--json").stdout)

    assert (whole["model"], whole["dim"]) == ("hash", 32)
    assert whole["fingerprint"] == hash_spec().fingerprint("float32")


def test_rerank_via_a_url_orders_and_names_who_scored(there: str) -> None:
    result = good("rerank", "what is a cat?", *DOCUMENTS, "--via", there)

    assert result.stdout.splitlines()[0].endswith("\t1\ta cat is a small animal")
    assert "scored by overlap" in result.stderr


def test_a_file_names_several_and_the_next_one_stands_in(there: str, machine: Path) -> None:
    path = plan(machine, *two(NOWHERE, there, "rerank"))

    assert "\t1\ta cat" in good("rerank", "what is a cat?", *DOCUMENTS, "--via", path).stdout


def test_where_all_fail_one_error_lists_them_and_the_exit_code_is_5(there: str, machine: Path) -> None:
    path = plan(machine, *two(NOWHERE, there))

    result = run("embed", "rain falls", "--via", path)

    assert isinstance(result.exception, NoEndpoint)
    assert result.exception.exit_code == 5
    assert "embedstack (http://127.0.0.1:9/tei): no answer" in str(result.exception)
    assert "embedstack#2: it cannot be proven" in str(result.exception)


def test_vectors_of_two_spaces_do_not_come_into_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    class Turning(HashEncoder):
        async def encode(self, request):
            answer = await super().encode(request)
            return replace(answer, spec=hash_spec("other" if request.items[0].text == "c" else "hash"))

    monkeypatch.setattr("embedstack.cli.embed.CHUNK", 2)
    chunks = _encoded(Model(Turning()), iter("abcd"), "document", None, "right")

    assert next(chunks)[0] == ["a", "b"]
    with pytest.raises(Mismatch, match="after 2 texts the vectors are of another space"):
        next(chunks)


@pytest.mark.slow
def test_a_model_here_stands_in_for_a_server_of_its_space(embedder: str, machine: Path) -> None:
    path = plan(
        machine, "[embed]", f'model = "{embedder}"', "[[embed.endpoints]]", 'provider = "embedstack"',
        f'url = "{NOWHERE}"', "retries = 0", "[[embed.endpoints]]", 'provider = "local"',
    )  # fmt: skip
    good("models", "prove", embedder)

    result = good("embed", "sun", "--via", path)

    assert np.allclose(vectors_of(result.stdout), wanted(embedder, "sun"), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("embed", "a", "--via", "tie"), ConfigError, "provider 'tie' is unknown"),
        (("embed", "a", "--via", "runpod"), ConfigError, "nothing says which endpoint of RunPod is meant"),
        (("embed", "a", "--via", "absent.toml"), ConfigError, "'absent.toml' cannot be read"),
        (("embed", "a", "--via", "env", "-m", "m"), ConfigError, "names the models itself; leave it out"),
        (
            ("embed", "a", "--via", NOWHERE, "--runtime", "onnx"),
            BadRequest,
            "--runtime would change nothing with --via",
        ),
        (("rerank", "a", "b", "--via", "jina"), ConfigError, "provider 'jina' needs a key"),
        (("serve", "m", "--upstream", "x.toml"), BadRequest, "--upstream and models exclude each other"),
        (("serve", "--upstream", "absent.toml"), ConfigError, "'absent.toml' cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: tuple[str, ...], kind: type[Exception], message: str) -> None:
    result = run(*arguments)

    assert isinstance(result.exception, kind)
    assert message in str(result.exception)


# ------------------------------------------------------------------------------------------------ serve --upstream


@contextlib.contextmanager
def in_front(folder: Path, path: str) -> Iterator[str]:
    """The URL of a server in front of a plan, in a process of its own."""
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", "--upstream", path],
        stderr=subprocess.PIPE,
        text=True,
        env=settings_only(EMBEDSTACK_CACHE_DIR=str(folder / "cache")),
        cwd=folder,
    )
    said: list[str] = []
    try:
        for line in process.stderr:
            said.append(line)
            if line.startswith("listening on "):
                break
        assert process.poll() is None, said
        yield said[-1].removeprefix("listening on ").strip()
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        process.stderr.close()


@pytest.fixture(scope="module")
def front(there: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("front")
    lines = [f'[[{task}.endpoints]]\nprovider = "embedstack"\nurl = "{there}"' for task in ("embed", "rerank")]
    with in_front(folder, plan(folder, *lines)) as url:
        yield url


BODIES = {
    "/v1/embeddings": {"input": DOCUMENTS},
    "/openai/v1/embeddings": {"input": DOCUMENTS, "encoding_format": "base64"},
    "/tei/embed": {"inputs": DOCUMENTS},
    "/tei/rerank": {"query": "a cat", "texts": DOCUMENTS},
    "/infinity/embeddings": {"input": DOCUMENTS},
    "/infinity/rerank": {"query": "a cat", "documents": DOCUMENTS},
    "/cohere/v2/embed": {"texts": DOCUMENTS, "input_type": "search_document", "embedding_types": ["float"]},
    "/cohere/v2/rerank": {"query": "a cat", "documents": DOCUMENTS, "model": "overlap"},
    "/jina/v1/embeddings": {"input": DOCUMENTS, "model": "hash"},
    "/jina/v1/rerank": {"query": "a cat", "documents": DOCUMENTS},
    "/model-worker/embed/text": {"texts": DOCUMENTS},
    "/rag-stack/embeddings": {"input": DOCUMENTS},
    "/rag-stack/rerank": {"query": "a cat", "documents": DOCUMENTS},
    "/runpod/runsync": {"input": {"texts": DOCUMENTS}},
}


@pytest.mark.slow
@pytest.mark.parametrize("path", BODIES)
def test_every_dialect_is_answered_in_front_as_it_is_behind(front: str, there: str, path: str) -> None:
    mine, theirs = (httpx.post(f"{url}{path}", json=BODIES[path], timeout=PATIENCE_S) for url in (front, there))

    assert (mine.status_code, theirs.status_code) == (200, 200), mine.text
    assert numbers(mine.json()) == pytest.approx(numbers(theirs.json()), abs=1e-5)


def numbers(value: object) -> list[float]:
    """Those of vectors and scores: everything that is no whole number, in order."""
    if isinstance(value, float):
        return [value]
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [number for one in values for number in numbers(one) if abs(number) <= 1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "body"), [("/tei/tokenize", {"inputs": "a cat"}), ("/tei/embed_sparse", {"inputs": "a cat"})]
)
def test_what_no_endpoint_can_be_asked_for_is_refused_in_words(front: str, path: str, body: dict[str, str]) -> None:
    reply = httpx.post(f"{front}{path}", json=body, timeout=PATIENCE_S)

    assert reply.status_code in (400, 422, 424)
    assert "error" in reply.json()


@pytest.mark.slow
def test_a_server_in_front_says_whether_anybody_is_behind_it(machine: Path) -> None:
    with contextlib.ExitStack() as behind:
        url = behind.enter_context(server())
        path = plan(machine, "[[embed.endpoints]]", 'provider = "embedstack"', f'url = "{url}"', "retries = 0")
        with in_front(machine, path) as front:
            before = httpx.get(f"{front}/ready"), httpx.post(f"{front}/v1/embeddings", json={"input": "a"})
            behind.close()
            after = httpx.post(f"{front}/v1/embeddings", json={"input": "a"}), httpx.get(f"{front}/ready")

    assert [reply.status_code for reply in before] == [200, 200]
    assert [reply.status_code for reply in after] == [503, 503]
    assert before[1].json()["model"] == "hash"


@pytest.mark.slow
def test_a_server_in_front_of_nobody_starts_and_says_so(machine: Path) -> None:
    path = plan(machine, *two(NOWHERE, NOWHERE))

    with in_front(machine, path) as front:
        ready, vectors = httpx.get(f"{front}/ready"), httpx.post(f"{front}/v1/embeddings", json={"input": "a"})

    assert ready.status_code == 503
    assert ready.json()["reason"].startswith("no endpoint for vectors can be had: embedstack")
    assert "(http://127.0.0.1:9/tei): no answer" in ready.json()["reason"]
    assert vectors.status_code == 503
    assert "no endpoint could give vectors" in vectors.json()["error"]["message"]
