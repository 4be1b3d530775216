"""Two models of one width with weights drawn from seeds, and texts to be embedded by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.settings import Settings, read_settings
from support.by_hand import PROMPTS, By, Hand, folder, texts

ROWS = 30


@pytest.fixture(scope="package")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="package")
def first(root: Path) -> Path:
    return folder(root)


@pytest.fixture(scope="package")
def second(root: Path) -> Path:
    return folder(root, "second", seed=9)


@pytest.fixture(scope="package")
def prompted(root: Path) -> Path:
    """The first one, with prompts in its files."""
    return folder(root, "prompted", prompts=PROMPTS)


@pytest.fixture(scope="package")
def settings(root: Path) -> Settings:
    return replace(read_settings(env_file=None), cache_dir=root / "cache", threads=1)


@pytest.fixture(scope="package")
def hand(first: Path) -> Hand:
    return Hand(first)


@pytest.fixture(scope="package")
def words() -> list[str]:
    """Of 3 to 330 words, some over 256 tokens."""
    return texts(ROWS, most=330)


@pytest.fixture(scope="package")
def vectors(hand: Hand, words: list[str]) -> np.ndarray:
    """As the first model's files say."""
    return hand.vectors(words, By())
