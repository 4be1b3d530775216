"""The TypeScript of the playground, run by the Node that Playwright brings: it says what the Python beside it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import playwright
import pytest
from playwright.sync_api import Page

from support.browser import ask

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NODE = Path(playwright.__file__).parent / "driver/node"  # takes the types out by itself, since 22.18
PANELS = {
    "similarity": {"model": "hash", "role": "query"},
    "search": {"model": "hash", "reranker": "overlap"},
    "rerank": {},
    "tokens": {"model": "hash"},
    "compare": {"first": "hash", "second": "other"},
}  # and what is chosen there
OPENAI = """
export default class OpenAI {
  constructor({ baseURL, apiKey }) {
    this.embeddings = { create: (body) => post(`${baseURL}/embeddings`, apiKey, body) };
  }
}

async function post(url, apiKey, body) {
  const headers = { "content-type": "application/json", authorization: `Bearer ${apiKey}` };
  const reply = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  if (!reply.ok) throw new Error(await reply.text());
  return reply.json();
}
"""  # as much of the package `openai` as the code asks for; tests/clients run the package itself


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a program finds `openai`."""
    made = tmp_path_factory.mktemp("typescript")
    package = made / "node_modules/openai"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name": "openai", "type": "module", "exports": "./index.js"}')
    (package / "index.js").write_text(OPENAI)
    return made


def printed(*command: str | os.PathLike[str]) -> list[str]:
    """The words, without the signs of a list, which the two languages write and break differently."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return re.sub(r"[\[\],']", " ", done.stdout).split()


def code(page: Page, language: str) -> str:
    page.check(f"[name=language][value={language}]", force=True)
    return page.locator("#snippet code").inner_text()


@pytest.mark.parametrize("panel", PANELS)
def test_the_typescript_code_of_a_panel_says_what_its_python_code_says(page, folder, panel):
    ask(page, panel, **PANELS[panel])
    (folder / "asked.mts").write_text(code(page, "typescript"))

    by_typescript = printed(NODE, folder / "asked.mts")
    assert by_typescript
    assert by_typescript == printed(sys.executable, "-c", code(page, "python"))
