"""What many tests need: the real weights of the default model, or leave to use others in their place."""

from pathlib import Path

import pytest

from embedstack.catalog import find
from embedstack.catalog.catalog import Wanted
from embedstack.settings import DEFAULT_MODEL, read_settings


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """The default model, fetched once into the user's cache."""
    return find(DEFAULT_MODEL, cache_dir=read_settings(env_file=None).cache_dir).folder


@pytest.fixture
def drawn_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn weights stand in for published ones, so the catalog's digests of those are not asked for."""
    monkeypatch.setattr(Wanted, "sha256", property(lambda wanted: {}))
