"""The playground in a browser: its forms are filled, and what it shows is read."""

import httpx
import numpy as np
from playwright.sync_api import Page, expect

PATIENCE_MS = 20_000


def opened(page: Page, url: str, panel: str = "similarity") -> Page:
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{url}/#{panel}")
    expect(page.locator("#state")).to_contain_text("Ready", timeout=PATIENCE_MS)
    return page


def ask(page: Page, panel: str, **fields: str) -> None:
    """Fill a panel's form, send it, and wait for the answer. Lists are chosen from, other fields are written in."""
    page.click(f"#tab-{panel}")
    form = page.locator(f"#panel-{panel}")
    for name, value in fields.items():
        field = form.locator(f"[name={name}]")
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    form.locator("[type=submit]").click()
    form.locator("[aria-busy]").wait_for(state="detached")


def post(url: str, path: str, body: object) -> object:
    return httpx.post(url + path, json=body).raise_for_status().json()


def vectors(url: str, model: str, texts: list[str], role: str = "document") -> np.ndarray:
    rows = post(url, "/openai/v1/embeddings", {"model": model, "input": texts, "input_type": role})["data"]
    found = np.array([row["embedding"] for row in rows])
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def shown(page: Page, panel: str) -> list[tuple[str, str]]:
    """Texts and scores of the first ranking, in the order in which they stand."""
    rows = page.locator(f"#panel-{panel} .ranking").first.locator("li")
    return [(row.locator(".text").inner_text(), row.locator(".score").text_content()) for row in rows.all()]


def texts_of(rows: list[tuple[str, str]]) -> list[str]:
    return [text for text, _ in rows]


def matrix(page: Page) -> list[list[float]]:
    rows = page.locator("#panel-similarity .heat tbody tr").all()
    return [[float(cell.replace("\u2212", "-")) for cell in row.locator("td").all_text_contents()] for row in rows]
