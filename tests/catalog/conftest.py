"""A stand-in Hub, and a Hugging Face cache that is not the user's own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub_server import HubServer

from embedstack.catalog.locate import Located, find


@pytest.fixture
def hub() -> Iterator[HubServer]:
    server = HubServer()
    yield server
    server.close()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def hf_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "huggingface"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    return folder


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def find_here(hub: HubServer, cache: Path, said: list[str]) -> Callable[..., Located]:
    def find_(name: str = "org/model", *, offline: bool = False, token: str = "") -> Located:
        return find(name, cache_dir=cache, offline=offline, hf_endpoint=hub.url, hf_token=token, say=said.append)

    return find_
