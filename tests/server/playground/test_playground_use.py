"""The page at `/` in real headless Chromium: keyboard, code to copy, errors, keys, whom it asks, accessibility."""

import json
import re
import shlex
import subprocess
import sys

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from support.browser import PATIENCE_MS, ask, matrix, opened

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ANSWERING = {
    "similarity": {"model": "hash"},
    "search": {"model": "hash", "reranker": "overlap"},
    "rerank": {},
    "tokens": {"model": "hash"},
    "compare": {"first": "hash", "second": "other"},
}  # panels that ask, and what is chosen there
PANELS = (*ANSWERING, "live")
TRICKY = "it's a \"cat\" \\ 'dog' $HOME `id` 猫"
WATCHED = """
window.broken = [];
addEventListener("securitypolicyviolation", (event) => broken.push(`${event.violatedDirective} ${event.blockedURI}`));
"""


def visit_all(page: Page) -> None:
    """Ask in every panel and look at all of what it shows."""
    for panel, fields in ANSWERING.items():
        ask(page, panel, **fields)
        for summary in page.locator(f"#panel-{panel} summary").all():
            summary.click()
    page.click("#tab-live")
    expect(page.locator("#live-charts svg").first).to_have_attribute("aria-label", re.compile("now"))


def code(page: Page, panel: str, language: str) -> str:
    page.click(f"#tab-{panel}")
    page.check(f"[name=language][value={language}]", force=True)
    return page.locator("#snippet code").inner_text()


# ------------------------------------------------------------------------------------------------ whom it asks


def test_all_panels_ask_this_server_alone_and_break_no_policy(browser, url):
    asked, said = [], []
    with browser.new_context() as context:
        page = context.new_page()
        page.add_init_script(WATCHED)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        visit_all(opened(page, url))

        assert page.evaluate("broken") == []
    assert said == []
    assert asked
    assert [address for address in asked if not address.startswith((f"{url}/", "data:image/svg+xml"))] == []


def test_the_page_leaves_nothing_behind(page):
    visit_all(page)

    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    assert page.context.cookies() == []


def test_a_text_never_becomes_markup(page):
    text = "<img src=x onerror=alert(1)><b>bold</b>"
    ask(page, "search", model="hash", query=text, texts=f"{text}\nanother")

    expect(page.locator("#panel-search .ranking")).to_contain_text(text)
    assert page.locator("#panel-search .ranking :is(img, b)").count() == 0


def test_the_charts_ask_only_while_they_are_seen(page):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.install()
    page.click("#tab-live")
    while len(asked) < 3:
        page.clock.run_for(1000)
    page.click("#tab-tokens")
    seen = len(asked)
    page.clock.run_for(5000)

    assert len(asked) == seen


def test_a_slow_server_is_asked_again_only_after_it_has_answered(page):
    asked = []
    page.route("**/metrics", lambda route: asked.append(route))  # never answered; no builtin will do
    page.clock.install()
    with page.expect_request("**/metrics"):
        page.click("#tab-live")
    page.clock.run_for(5000)

    assert len(asked) == 1


# ------------------------------------------------------------------------------------------------ keyboard


def selected(page: Page) -> str:
    return page.locator("[role=tab][aria-selected=true]").inner_text()


def test_arrows_home_and_end_move_through_the_tabs_and_show_their_panels(page):
    page.locator("#tab-similarity").focus()

    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "ArrowLeft", "Home"):
        page.keyboard.press(key)
        seen.append(selected(page))
        visible = page.locator("[role=tabpanel]:visible")
        assert page.locator(":focus").get_attribute("aria-controls") == visible.get_attribute("id")

    assert seen == ["Search", "Rerank", "Search", "Live", "Similarity", "Live", "Similarity"]


def test_the_tabs_are_one_stop_and_the_next_is_in_the_panel(page):
    page.locator("#tab-search").click()
    page.keyboard.press("Tab")

    assert page.locator(":focus").get_attribute("id") == "search-query"
    assert page.locator("[role=tab][tabindex='0'], [role=tab]:not([tabindex])").count() == 1


def test_a_search_needs_no_mouse(page):
    page.locator("#tab-similarity").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("rain")
    page.keyboard.press("Enter")

    expect(page.locator("#panel-search .ranking li")).to_have_count(8)
    expect(page.locator("#panel-search [role=status]")).to_contain_text("8 lines by cosine")


def test_control_and_enter_in_a_box_of_lines_asks(page):
    page.click("#tab-tokens")
    page.locator("#tokens-text").fill("one two")
    page.keyboard.press("Control+Enter")

    expect(page.locator("#panel-tokens .pieces")).to_contain_text("two")


def test_everything_that_has_the_focus_shows_it(page):
    page.locator("body").click(position={"x": 1, "y": 1})
    for _ in range(12):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        ring = focused.evaluate(
            "e => [e, e.nextElementSibling].map((one) => one && getComputedStyle(one).outlineStyle)"
        )
        assert "solid" in ring, focused.evaluate("e => e.outerHTML")


# ------------------------------------------------------------------------------------------------ code


@pytest.mark.parametrize("panel", ANSWERING)
def test_the_python_code_of_a_panel_runs(page, panel):
    ask(page, panel, **ANSWERING[panel])

    done = subprocess.run([sys.executable, "-c", code(page, panel, "python")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_python_code_prints_the_matrix_that_is_shown(page):
    ask(page, "similarity", model="hash", role="query", texts=f"a cat\n{TRICKY}\nrain")

    done = subprocess.run([sys.executable, "-c", code(page, "similarity", "python")], capture_output=True, text=True)
    assert [[float(cell) for cell in line.split()] for line in done.stdout.splitlines()] == matrix(page)


def test_the_curl_code_sends_what_the_form_holds(page, url):
    page.fill("#similarity-texts", f"a cat\n{TRICKY}")
    page.select_option("#similarity-role", "query")
    page.select_option("#similarity-model", "other")

    program, address, *_, body = shlex.split(code(page, "similarity", "curl").replace("\\\n", ""))
    assert (program, address) == ("curl", f"{url}/openai/v1/embeddings")
    assert json.loads(body) == {"model": "other", "input": ["a cat", TRICKY], "input_type": "query"}


def test_the_typescript_code_names_this_server_and_the_model(page, url):
    page.select_option("#similarity-model", "twin")

    text = code(page, "similarity", "typescript")
    assert f'baseURL: "{url}/openai/v1"' in text
    assert 'model: "twin"' in text


def test_copying_gives_the_code_that_is_shown(browser, url):
    with browser.new_context(permissions=["clipboard-read", "clipboard-write"]) as context:
        page = opened(context.new_page(), url)
        page.click("#copy")

        expect(page.locator("#copied")).to_have_text("Copied.")
        assert page.evaluate("navigator.clipboard.readText()") == page.locator("#snippet code").text_content()


# ------------------------------------------------------------------------------------------------ errors and keys


def test_an_error_is_told_in_the_servers_words_with_the_requests_id(page):
    ask(page, "tokens", model="hash", text="a" * 1_200_000)

    alert = page.locator("#panel-tokens [role=alert]")
    expect(alert).to_contain_text(re.compile("limit"))
    expect(alert).to_contain_text(re.compile(r"status 413, request [0-9a-f]{32}"))


def test_too_few_lines_are_refused_before_anything_is_asked(page):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    ask(page, "similarity", model="hash", texts="only one")

    expect(page.locator("#panel-similarity [role=alert]")).to_contain_text("write at least 2 lines")
    assert asked == []


def test_a_server_that_is_gone_is_told(browser, start):
    with browser.new_context() as context:
        with start("--several") as server:
            page = opened(context.new_page(), server.url)
        ask(page, "search")

        expect(page.locator("#panel-search [role=alert]")).to_contain_text("cannot be reached")


def test_a_list_that_lacks_a_model_tells_how_to_serve_one(browser, start):
    with browser.new_context() as context, start() as server:
        page = opened(context.new_page(), server.url, "compare")

        expect(page.locator("#panel-compare")).to_contain_text("Only one model of this kind is served.")


@pytest.mark.weights
def test_without_a_reranker_the_page_and_the_code_say_so(browser, real):
    with browser.new_context() as context:
        page = opened(context.new_page(), real)
        ask(page, "rerank")

        expect(page.locator("#panel-rerank [role=alert]")).to_contain_text("has no reranker")
        assert '"model": "YOUR_MODEL"' in code(page, "rerank", "curl")


@pytest.fixture
def locked(start, monkeypatch):
    """A server that wants a key."""
    monkeypatch.setenv("EMBEDSTACK_API_KEYS", "page:s3cret-of-the-page")
    with start("--several") as server:
        yield server.url


def test_a_key_is_asked_for_sent_and_shown_nowhere(browser, locked):
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(locked)
        expect(page.locator("#state")).to_contain_text("A key is needed", timeout=PATIENCE_MS)
        page.fill("#key-text", "s3cret-of-the-page")
        page.keyboard.press("Enter")
        expect(page.locator("#state")).to_contain_text("Ready", timeout=PATIENCE_MS)
        ask(page, "similarity", model="hash")

        assert len(matrix(page)) == 6
        for language in ("curl", "python", "typescript"):
            assert "YOUR_KEY" in code(page, "similarity", language)
        assert "s3cret" not in page.content()


def test_a_wrong_key_is_told_and_another_can_be_tried(browser, locked):
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(locked)
        for key, state in (("wrong", re.compile("key")), ("s3cret-of-the-page", "Ready")):
            page.fill("#key-text", key)
            page.keyboard.press("Enter")
            expect(page.locator("#state")).to_contain_text(state, timeout=PATIENCE_MS)


# ------------------------------------------------------------------------------------------------ for everybody


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong_in_any_panel(browser, url, scheme):
    found = []
    with browser.new_context(color_scheme=scheme, bypass_csp=True) as context:  # so that axe's own script may run
        page = opened(context.new_page(), url)
        visit_all(page)
        for panel in PANELS:
            page.click(f"#tab-{panel}")
            result = Axe().run(page, options={"resultTypes": ["violations"]})
            found += [
                (panel, one["id"], [node["html"] for node in one["nodes"]]) for one in result.response["violations"]
            ]

    assert found == []


def test_at_360_pixels_nothing_is_cut_off_and_only_tables_and_code_scroll(browser, url):
    with browser.new_context(viewport={"width": 360, "height": 740}) as context:
        page = opened(context.new_page(), url)
        visit_all(page)

        for panel in PANELS:
            page.click(f"#tab-{panel}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_answers_are_told_to_those_who_hear_the_page(page):
    for panel, fields in ANSWERING.items():
        ask(page, panel, **fields)
        said = page.locator(f"#panel-{panel} .answer > [role=status]")

        assert len(said.inner_text()) > 10
        assert "Asking" not in said.inner_text()
