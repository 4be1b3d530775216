"""What the commands' tests need: tiny models, and a machine on which nothing is set."""

import os
from pathlib import Path

import pytest

from support.commands import settings_only
from support.confusion import tiny_folder


@pytest.fixture(scope="package")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("tiny")
    return {name: str(tiny_folder(name, root)) for name in ("bert-mean", "bert-classifier", "bert-labels")}


@pytest.fixture
def embedder(folders: dict[str, str]) -> str:
    return folders["bert-mean"]


@pytest.fixture
def reranker(folders: dict[str, str]) -> str:
    return folders["bert-classifier"]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of an environment in which nothing is set but the speed."""
    settings = settings_only(EMBEDSTACK_CACHE_DIR=str(tmp_path / "cache"))
    for name in os.environ.keys() - settings.keys():
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path
