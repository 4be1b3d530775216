"""How a server leaves: what is under way is answered, clients hear that they must close, a second signal ends it."""

import http.client
import json
import signal
import time
from urllib.parse import urlsplit

import pytest

from embedstack.server.run import LINGER_S

pytestmark = pytest.mark.slow
PATIENCE_S = 20
BODY = json.dumps({"input": "a"})


def connected(server):
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=PATIENCE_S)
    connection.connect()
    return connection


def asked(connection, method="POST", path="/v1/embeddings"):
    connection.request(method, path, BODY if method == "POST" else None)
    return heard(connection)


def heard(connection):
    reply = connection.getresponse()
    return reply.status, dict(reply.getheaders()), reply.read()


def test_a_request_on_an_idle_connection_is_still_answered_and_the_client_told_to_close(start):
    with start("--linger-s", "10") as server:
        idle = connected(server)
        assert asked(idle)[0] == 200
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_draining()

        status, headers, _ = asked(idle)
        assert server.process.wait(PATIENCE_S) == 0

    assert status == 200
    assert headers["connection"] == "close"


def test_a_new_connection_hears_from_ready_that_the_server_leaves(start):
    with start("--linger-s", "10") as server:
        held = connected(server)
        assert asked(held)[0] == 200  # only now it is sure that the server has it
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_draining()

        status, _, body = asked(connected(server), "GET", "/ready")
        held.close()

    assert (status, json.loads(body)["status"]) == (503, "draining")


def test_without_a_connection_it_leaves_at_once(start):
    with start() as server:
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0

    assert time.monotonic() - began < PATIENCE_S / 2


def test_a_second_signal_ends_what_still_runs(start):
    with start("--run-s", "60", "--drain-s", "60") as server:
        waiting = connected(server)
        waiting.request("POST", "/v1/embeddings", BODY)
        server.wait_for("embedstack_requests_in_flight", 1)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_draining()
        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(PATIENCE_S) == 0
        waiting.close()


def test_who_is_not_done_in_time_hears_so_in_the_words_of_the_dialect(start):
    with start("--run-s", "60", "--drain-s", "1") as server:
        waiting = connected(server)
        waiting.request("POST", "/v1/embeddings", BODY)
        server.wait_for("embedstack_requests_in_flight", 1)
        server.process.send_signal(signal.SIGTERM)

        status, headers, body = heard(waiting)

    assert status == 503
    assert "retry-after" in headers
    assert "no more time" in json.loads(body)["error"]["message"]


def test_the_lingering_is_short():
    assert LINGER_S <= 2
