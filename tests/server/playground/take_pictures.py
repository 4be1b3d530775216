"""The address of a server with the default model in, the pictures of docs/serving.md out.

embedstack serve all-MiniLM-L6-v2
python tests/server/playground/take_pictures.py http://127.0.0.1:8080
"""

import shutil
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))  # for `support`

from support.browser import ask, opened

FOLDER = Path(__file__).parents[3] / "docs/images"
LONG = (
    "Tokenisers split unfamiliar words, such as photosynthesis or embedstack, into pieces that they know. "
    + " ".join(["Names like Łódź, numbers like 3.14159 and dates like 2024-02-29 come apart in their own way."] * 10)
)


def taken(page: Page) -> Image.Image:
    """What is in the window, in 256 colours: a third of the bytes, and of all parts of the page."""
    page.mouse.move(0, 0)  # away from the button, which looks different under it
    page.wait_for_timeout(400)  # until it has faded back
    return (
        Image.open(BytesIO(page.screenshot()))
        .convert("RGB")
        .quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    )


def take(browser: Browser, url: str) -> None:
    """All three: a matrix in the light, a long text's tokens in the dark, a search on a phone."""
    lit, dark, phone = (ViewportSize(width=wide, height=high) for wide, high in ((1200, 820), (1200, 880), (360, 1180)))
    with browser.new_context(viewport=lit, device_scale_factor=1.4, color_scheme="light") as context:
        page = opened(context.new_page(), url)
        ask(page, "similarity")
        taken(page).save(FOLDER / "playground-light.png", optimize=True)
    with browser.new_context(viewport=dark, device_scale_factor=1.4, color_scheme="dark") as context:
        page = opened(context.new_page(), url)
        ask(page, "tokens", text=LONG)
        taken(page).save(FOLDER / "playground-dark.png", optimize=True)
    with browser.new_context(viewport=phone, device_scale_factor=2, is_mobile=True, color_scheme="light") as context:
        page = opened(context.new_page(), url)
        ask(page, "search")
        page.evaluate("scrollTo(0, 0)")
        taken(page).save(FOLDER / "playground-narrow.png", optimize=True)


if __name__ == "__main__":
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        take(browser, sys.argv[1])
        browser.close()
