"""A server in a process of its own, with real sockets, signals and OpenAI's own client."""

import base64
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import openai
import pytest

from embedstack.errors import ConfigError
from embedstack.server.run import listen, url_of

pytestmark = pytest.mark.slow
IN_FLIGHT = "embedstack_requests_in_flight"
HUNG_UP = 'embedstack_requests_total{dialect="openai",route="/v1/embeddings",status="499"}'
PATIENCE_S = 20
PROGRAM = Path(__file__).parent / "serve_fake.py"


@pytest.fixture
def client(live):
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_openais_client_gets_the_same_vectors_as_base64_and_as_floats(client):
    texts = ["a cat", "a dog", "rain"]

    by_default = client.embeddings.create(model="hash", input=texts)
    floats = client.embeddings.create(model="hash", input=texts, encoding_format="float")

    assert [len(row.embedding) for row in by_default.data] == [32, 32, 32]
    assert np.array_equal(
        np.array([row.embedding for row in by_default.data], np.float32),
        np.array([row.embedding for row in floats.data], np.float32),
    )
    assert by_default.usage.total_tokens == 5


def test_openais_client_finds_the_models(client):
    assert [model.id for model in client.models.list()] == ["hash", "overlap"]
    assert client.models.retrieve("hash").owned_by == "embedstack"


def test_openais_client_works_under_the_prefix(live):
    with openai.OpenAI(base_url=f"{live.url}/openai/v1", api_key="none") as client:
        assert len(client.embeddings.create(model="hash", input="a", dimensions=8).data[0].embedding) == 8


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"model": "hash", "input": []}, openai.BadRequestError),
        ({"model": "hash", "input": ""}, openai.BadRequestError),
        ({"model": "hash", "input": [[-1, 2]]}, openai.BadRequestError),
        ({"model": "hash", "input": "a", "dimensions": 5}, openai.BadRequestError),
        ({"model": "nothing", "input": "a"}, openai.NotFoundError),
    ],
)
def test_openais_client_raises_its_own_exceptions(client, body, error):
    with pytest.raises(error) as caught:
        client.embeddings.create(**body)

    assert caught.value.body["message"]
    assert caught.value.request_id


def test_openais_client_sees_the_field_that_is_wrong(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="hash", input=[])

    assert (caught.value.type, caught.value.param) == ("invalid_request_error", "input")


def test_openais_client_sees_the_body_limit(client):
    with pytest.raises(openai.APIStatusError) as caught:
        client.embeddings.create(model="hash", input="a" * 1_500_000)

    assert caught.value.status_code == 413


def test_a_body_without_a_length_is_cut_at_the_limit(live):
    reply = httpx.post(f"{live.url}/embed", content=(b" " * 100_000 for _ in range(30)))

    assert reply.status_code == 413
    assert httpx.post(f"{live.url}/embed", json={"inputs": "a"}).status_code == 200


def test_head_asks_without_a_body(live):
    reply = httpx.head(f"{live.url}/health")

    assert (reply.status_code, reply.content) == (200, b"")


def test_a_request_that_is_no_http_is_refused_and_the_next_is_served(live):
    address = urlsplit(live.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert b"400" in connection.recv(1000)

    assert httpx.get(f"{live.url}/livez").status_code == 200


def test_a_caller_who_hangs_up_is_dropped_at_once(start):
    with start("--run-s", "60") as server:
        connection = begun(server)
        connection.close()

        server.wait_for(HUNG_UP, 1)
        server.wait_for(IN_FLIGHT, 0)


def begun(server) -> http.client.HTTPConnection:
    """A connection whose request is on the device."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=PATIENCE_S)
    connection.request("POST", "/v1/embeddings", json.dumps({"input": "a"}))
    server.wait_for(IN_FLIGHT, 1)
    return connection


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_requests_end_and_the_exit_is_clean(start, number):
    with start("--run-s", "1") as server:
        connection = begun(server)
        server.process.send_signal(number)

        reply = connection.getresponse()
        assert reply.status == 200
        assert len(json.loads(reply.read())["data"]) == 1
        assert server.process.wait(PATIENCE_S) == 0
        connection.close()


def test_requests_that_do_not_end_in_time_are_cut(start):
    with start("--run-s", "600", "--drain-s", "0") as server:
        connection = begun(server)
        server.process.terminate()

        assert server.process.wait(PATIENCE_S) == 0
        connection.close()


def test_a_server_whose_encoder_cannot_open_ends_with_the_error_and_its_exit_code():
    done = subprocess.run([sys.executable, str(PROGRAM), "--fail"], capture_output=True, text=True, timeout=PATIENCE_S)

    assert done.returncode == ConfigError.exit_code
    assert "error: the model folder is broken; pull it again" in done.stderr
    assert "listening on" not in done.stderr


def test_a_port_that_is_taken_is_refused_with_what_to_do():
    with listen("127.0.0.1", 0) as taken, pytest.raises(ConfigError, match="--port"):
        listen("127.0.0.1", taken.getsockname()[1])


def test_port_0_takes_a_free_one_and_names_it():
    with listen("127.0.0.1", 0) as listener:
        assert url_of(listener, "127.0.0.1") == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_many_callers_at_once_get_their_own_vectors(live):
    texts = [f"text {number}" for number in range(32)]
    alone = httpx.post(f"{live.url}/embed", json={"inputs": texts}).json()
    found: dict[int, object] = {}

    def ask(number: int) -> None:
        body = {"input": texts[number], "encoding_format": "base64", "input_type": "none"}
        packed = httpx.post(f"{live.url}/v1/embeddings", json=body).json()["data"][0]["embedding"]
        found[number] = np.frombuffer(base64.b64decode(packed), "<f4")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(np.array_equal(found[number], np.array(alone[number], np.float32)) for number in range(len(texts)))
