"""What many tests need: the real weights of the default model, and a network that ends at this machine."""

import os
import socket
from pathlib import Path

import pytest

from embedstack.catalog import find
from embedstack.settings import DEFAULT_MODEL, read_settings


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """The default model, fetched once into the user's cache."""
    return find(DEFAULT_MODEL, cache_dir=read_settings(env_file=None).cache_dir).folder
