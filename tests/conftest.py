"""What many tests need: the real weights of the default model, or leave to use others in their place."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedstack.catalog import find
from embedstack.catalog.catalog import Wanted
from embedstack.settings import DEFAULT_MODEL, read_settings
from support.described import VARIABLE, document_path


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """The default model, fetched once into the user's cache."""
    return find(DEFAULT_MODEL, cache_dir=read_settings(env_file=None).cache_dir).folder


@pytest.fixture
def drawn_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn weights stand in for published ones, so the catalog's digests of those are not asked for."""
    monkeypatch.setattr(Wanted, "sha256", property(lambda wanted: {}))


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Nothing ends here but what nobody holds: the collector does not see how large an array is."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="session")
def labelled_sets() -> Path:
    """The folder of labelled sets, which are not part of the project."""
    folder = os.environ.get("EMBEDSTACK_TEST_DATA")
    if not folder:
        pytest.skip("EMBEDSTACK_TEST_DATA is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def runpod_openapi() -> Path:
    """RunPod's description of its REST v2, which is not part of the project."""
    path = document_path()
    if path is None:
        pytest.skip(f"RunPod's OpenAPI document is not here: {VARIABLE} is not set")
    return path


# ------------------------------------------------------------------------------------------------ skips

LISTED = (
    "PyTorch is not installed",
    "no CUDA device is here",
    "transformers is not installed",
    "model2vec is not installed",
    "FlagEmbedding is not installed",
    "sentencepiece is not installed",
    "are not in the cache",  # the weights of a model, see tests/models/test_published_models.py
    "Chromium is not installed",
    "EMBEDSTACK_TEST_DATA is not set",
    "EMBEDSTACK_CLIENTS is not set",
    "QDRANT_URL is not set",
    "RunPod's OpenAPI document is not here",
    "no native bfloat16 on this processor",
    "needs a device that is always full",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--strict-skips",
        nargs="?",
        const="listed",
        choices=("listed", "none"),
        help="fail on a skipped test whose reason is not on the short list (or, with =none, on any)",
    )


def pytest_collection_finish() -> None:
    """Thousands of tests are objects that stay to the end: the collector need not look at them again and again."""
    gc.collect()
    gc.freeze()


SKIPPED: list[tuple[str, str]] = []  # test and reason; where several processes run tests, only the first has all


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple):
        SKIPPED.append((report.nodeid, report.longrepr[2].removeprefix("Skipped: ")))


def unlisted(config: pytest.Config) -> list[tuple[str, str]]:
    match config.getoption("--strict-skips"):
        case "none":
            return SKIPPED
        case "listed":
            return [(test, reason) for test, reason in SKIPPED if not any(listed in reason for listed in LISTED)]
        case _:
            return []


def pytest_sessionfinish(session: pytest.Session) -> None:
    if unlisted(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for test, reason in unlisted(terminalreporter.config):
        terminalreporter.write_line(f"SKIPPED WITHOUT LEAVE {test}: {reason}", red=True)
