"""The generator of the serving benchmark, and what its page says of the aims."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

import sender
from serving_report import aims, page

REPLY = b"HTTP/1.1 %d OK\r\nContent-Length: 4\r\n\r\nbody"


class Answering:
    """A server that answers each request in two pieces, the first ones with 429."""

    def __init__(self, refused: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.asked: list[bytes] = []
        self._refused = refused
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            while request := connection.recv(1000):
                self.asked.append(request)
                reply = REPLY % (429 if len(self.asked) <= self._refused else 200)
                connection.sendall(reply[:20])
                connection.sendall(reply[20:])

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Answering]]:
    started: list[Answering] = []

    def one(**options: int) -> Answering:
        started.append(Answering(**options))
        return started[-1]

    yield one
    for server in started:
        server.close()


def test_each_connection_asks_again_when_it_has_its_reply(start):
    server = start()

    made = sender.run([server.port], 3, 0.05, [b"a", b"b"])

    assert len(made["took_ms"]) == len(server.asked) > 3
    assert made["wrong"] == {}
    assert set(server.asked) == {b"a", b"b"}


def test_refusals_are_counted_and_are_no_answers(start):
    server = start(refused=2)

    made = sender.run([server.port], 1, 0.05, [b"a"])

    assert made["wrong"] == {"429": 2}
    assert len(made["took_ms"]) == len(server.asked) - 2


def test_several_servers_share_the_connections(start):
    servers = [start(), start()]

    sender.run([server.port for server in servers], 2, 0.05, [b"a"])

    assert all(server.asked for server in servers)


def result(**changed: float) -> dict:
    """Of a run in which all aims are reached, but for what is changed."""
    numbers = {"rate": 400.0, "cpu": 1.4, "p50": 2.6, **changed}

    def seen(rate: float, cpu: float, p50: float) -> dict:
        columns = {"requests_per_s": rate, "cpu_ms": cpu, "p50_ms": p50, "p99_ms": p50, "generator_share": 0.02}
        spreads = {name: {"median": value, "min": value, "max": value} for name, value in columns.items()}
        one = {**spreads, "requests": 9, "not_200": {}}
        return {"connections": {"64": one, "8": one, "1": one}, "what": "x"}

    machine = {"processor": "p", "flags": ["avx2"], "precision": "float32", "date": "d", "commit": "c"}
    queries = {"count": 5, "distinct": 5, "mean_tokens": 13, "least_tokens": 8, "most_tokens": 18}
    contenders = {
        "embedstack": seen(numbers["rate"], numbers["cpu"], numbers["p50"]),
        "engine": seen(500.0, 1.0, 2.0),
        "Infinity torch": seen(90.0, 3.0, 9.0),
        "Infinity optimum": seen(100.0, 3.0, 9.0),
    }
    about = {"model": "m", "threads": 2, "rounds": 7, "seconds": 6.0, "quick": False, "command": "x", "skipped": {}}
    return {**about, "machine": machine, "queries": queries, "contenders": contenders}


def test_aims_that_are_reached_are_said_so():
    assert [aim.reached for aim in aims(result())] == [True, True, True]


@pytest.mark.parametrize(("changed", "place"), [({"cpu": 1.41}, 0), ({"rate": 399.0}, 1), ({"p50": 2.71}, 2)])
def test_an_aim_that_is_missed_is_said_so(changed, place):
    assert list(aims(result(**changed)))[place].reached is False


def test_without_infinity_its_aim_is_not_measured():
    made = result()
    made["contenders"] = {name: one for name, one in made["contenders"].items() if "Infinity" not in name}

    assert next(aim for aim in aims(made) if "Infinity" in aim.what).verdict == "not measured"


def test_the_page_says_what_the_generator_used():
    assert "| embedstack | 400 (400–400) | 2.60 (2.60–2.60) | 2.60 (2.60–2.60) | 1.40 (1.40–1.40) | 2.0% | 0 |" in page(
        result()
    )
