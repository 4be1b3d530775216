"""A host that does not answer is found out soon."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hub_server import HubServer

from embedstack.catalog.network import SkippedError, first_hop, require_answer


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes no more connections: its queue is full and nobody empties it."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield int(server.getsockname()[1])


def test_a_host_that_answers_passes(hub: HubServer) -> None:
    require_answer(hub.url)


def test_a_host_that_refuses_is_skipped_with_its_address(closed_port: int) -> None:
    with pytest.raises(SkippedError, match=f"127.0.0.1:{closed_port} did not connect"):
        require_answer(f"http://127.0.0.1:{closed_port}")


def test_a_host_that_is_silent_is_skipped_in_time(silent_port: int) -> None:
    start = time.monotonic()

    with pytest.raises(SkippedError, match="did not connect"):
        require_answer(f"http://127.0.0.1:{silent_port}", timeout_s=0.1)

    assert time.monotonic() - start < 1.0


def test_a_url_without_a_host_is_skipped() -> None:
    with pytest.raises(SkippedError):
        require_answer("nonsense")


@pytest.mark.parametrize(
    ("url", "hop"),
    [
        ("https://hub.example", ("hub.example", 443)),
        ("http://hub.example/path", ("hub.example", 80)),
        ("https://hub.example:8443", ("hub.example", 8443)),
    ],
)
def test_without_a_proxy_the_first_hop_is_the_host(url: str, hop: tuple[str, int]) -> None:
    assert first_hop(url) == hop


@pytest.mark.parametrize(
    ("variable", "proxy", "hop"),
    [
        ("https_proxy", "http://user:secret@proxy.example:3128", ("proxy.example", 3128)),
        ("https_proxy", "proxy.example:3128", ("proxy.example", 3128)),
        ("all_proxy", "http://proxy.example", ("proxy.example", 80)),
        ("http_proxy", "http://proxy.example:3128", ("hub.example", 443)),
    ],
)
def test_a_proxy_is_the_first_hop(
    monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str, hop: tuple[str, int]
) -> None:
    monkeypatch.setenv(variable, proxy)

    assert first_hop("https://hub.example") == hop


def test_a_host_that_the_proxy_leaves_out_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "hub.example")

    assert first_hop("https://hub.example") == ("hub.example", 443)
