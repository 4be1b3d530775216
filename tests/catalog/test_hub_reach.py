"""Without the Hub there is a clear word, and two processes do not disturb each other."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hub_server import HubServer
from model_folders import minilm

from embedstack.catalog.locate import Located, find
from embedstack.catalog.store import Store
from embedstack.errors import ConfigError

Find = Callable[..., Located]

# ------------------------------------------------------------------------------------------------ no network


def test_offline_says_how_to_bring_the_model(hub: HubServer, find_here: Find) -> None:
    hub.add("org/model", minilm())

    with pytest.raises(ConfigError, match=r"is not here and offline mode .*models pull org/model.*models bundle"):
        find_here(offline=True)

    assert hub.asked == []


def test_offline_serves_what_is_here(hub: HubServer, find_here: Find) -> None:
    hub.add("org/model", minilm())
    first = find_here()

    assert find_here(offline=True) == first


@pytest.mark.slow
def test_a_hub_that_cannot_be_reached_is_skipped_aloud_within_seconds(cache: Path, said: list[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
    start = time.monotonic()

    with pytest.raises(ConfigError, match="did not connect"):
        find("org/model", cache_dir=cache, hf_endpoint=endpoint, say=said.append)

    assert time.monotonic() - start < 4.0
    assert any(line.startswith(f"skipped {endpoint}") for line in said)


def test_a_hub_that_fails_is_named(cache: Path, hub: HubServer, said: list[str]) -> None:
    hub.add("org/model", {})
    hub.repos["org/model"].commit = "no commit"

    with pytest.raises(ConfigError, match="named no commit"):
        find("org/model", cache_dir=cache, hf_endpoint=hub.url, say=said.append)


# ------------------------------------------------------------------------------------------------ processes

CHILD = """
import sys
from pathlib import Path
from embedstack.catalog import find
print(find("org/model", cache_dir=Path(sys.argv[1]), hf_endpoint=sys.argv[2]).spec.space)
"""


@pytest.mark.slow
def test_two_processes_that_start_at_once_fetch_once(hub: HubServer, cache: Path) -> None:
    hub.add("org/model", {**minilm(), "model.safetensors": bytes(4_000_000)})
    command = [sys.executable, "-c", CHILD, str(cache), hub.url]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]

    spaces = {child.communicate(timeout=60)[0] for child in children}

    assert [child.returncode for child in children] == [0, 0]
    assert len(spaces) == 1
    assert hub.ranges("model.safetensors") == [""]


def test_a_process_that_waits_says_so(hub: HubServer, cache: Path, said: list[str]) -> None:
    hub.add("org/model", minilm())
    store = Store(cache)

    def say(line: str) -> None:
        said.append(line)
        first.close()

    first = store_lock(store)
    next(first)
    with store.lock("org/model", say):
        pass

    assert said == ["waiting for another process that is fetching org/model"]


def store_lock(store: Store):
    with store.lock("org/model", lambda _: None):
        yield
