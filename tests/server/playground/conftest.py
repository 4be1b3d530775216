"""A headless Chromium, a server for it to look at, and the page with its models listed."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from support.browser import opened

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for the session: while it lives, its event loop runs, and no other can in this thread."""
    program = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if program is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def url(start) -> Iterator[str]:
    """A server with two models of one space, one of another, and a reranker; its bodies are limited to 1 MB."""
    with start("--several", "--max-body-mb", "1") as server:
        yield server.url


@pytest.fixture(scope="module")
def real(start, minilm_folder) -> Iterator[str]:
    """A server with the default model."""
    with start(program=("-m", "embedstack", "serve")) as server:
        yield server.url


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """The page with its models listed."""
    with browser.new_context() as context:
        yield opened(context.new_page(), url)
