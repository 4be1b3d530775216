"""The page at `/` in real headless Chromium: what it shows is what the server answers."""

import base64
import hashlib
import re

import httpx
import numpy as np
import pytest
from playwright.sync_api import expect
from scipy.stats import spearmanr

from embedstack.server.playground import FOLDER, SCRIPTS, STYLES, playground
from support.browser import PATIENCE_MS, ask, matrix, opened, post, shown, texts_of, vectors

pytestmark = pytest.mark.browser

LINES = ["a small cat", "a small dog", "rain in spring"]


# ------------------------------------------------------------------------------------------------ the document


def test_the_policy_allows_the_pages_own_script_and_style_and_nothing_else():
    document = playground()
    html = document.html.decode()

    policy = dict(part.split(" ", 1) for part in document.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        assert policy[directive] == f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_page_has_no_address_of_another_server():
    addresses = re.findall(r"https?://[^\s'\"<>`]+", playground().html.decode())

    assert {address.split("/")[2] for address in addresses} == {"www.w3.org"}  # of namespaces, and of a comment


def test_the_page_makes_no_markup_from_strings_and_keeps_nothing():
    scripts = "".join((FOLDER / name).read_text() for name in SCRIPTS)

    banned = r"innerHTML|outerHTML|insertAdjacent|document\.write|localStorage|sessionStorage|cookie|\beval\("
    assert re.findall(banned, scripts) == []


def test_every_file_of_the_page_is_in_it_and_short():
    files = {path.name: path.read_text() for path in FOLDER.iterdir()}

    assert set(files) == {*STYLES, *SCRIPTS, "page.html"}
    assert [name for name, text in files.items() if len(text.splitlines()) > 400] == []


@pytest.mark.slow
def test_a_browser_gets_the_page_and_a_machine_a_line(url):
    page = httpx.get(url, headers={"accept": "text/html,*/*;q=0.8"})
    line = httpx.get(url)

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert (line.status_code, line.json()["name"], line.json()["status"]) == (200, "embedstack", "ready")


# ------------------------------------------------------------------------------------------------ what is shown


@pytest.mark.slow
def test_the_matrix_shows_the_cosines_of_the_vectors_that_the_api_gives(page, url):
    ask(page, "similarity", model="hash", texts="\n".join(LINES), role="query")

    rows = vectors(url, "hash", LINES, "query")
    assert np.allclose(matrix(page), rows @ rows.T, atol=0.00501)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (0.5, 2, "0.50"),
        (0.998, 2, "0.998"),
        (0.99996, 3, "0.99996"),
        (-0.998, 2, "\u22120.998"),
        (1, 2, "1.00"),
        (0.9999999, 2, "1.00"),
        (-0.001, 2, "0.00"),
        (-0.0001, 3, "0.000"),
        (-0.25, 2, "\u22120.25"),
    ],
)
def test_a_cosine_looks_like_one_only_if_it_is(page, value, digits, shown):
    numbers = (FOLDER / "numbers.js").read_text()

    assert page.evaluate(f"(() => {{ {numbers}\nreturn cosineText({value}, {digits}); }})()") == shown


@pytest.mark.slow
def test_the_matrix_of_two_columns_has_a_row_for_each_text_of_the_first(page, url):
    page.click("#panel-similarity summary")
    ask(page, "similarity", model="other", texts="\n".join(LINES), others="a cat\nspring", othersRole="query")

    columns = vectors(url, "other", ["a cat", "spring"], "query")
    assert np.allclose(matrix(page), vectors(url, "other", LINES) @ columns.T, atol=0.00501)


@pytest.mark.slow
def test_the_matrix_is_a_table_whose_heads_are_the_texts(page):
    ask(page, "similarity", model="hash", texts="\n".join(LINES))

    table = page.get_by_role("table", name="Cosine of each pair of texts, by hash")
    for number, line in enumerate(LINES, 1):
        expect(table.get_by_role("rowheader", name=f"{number} {line}")).to_be_attached()
        expect(table.get_by_role("columnheader", name=f"{number} {line}")).to_be_attached()


@pytest.mark.slow
def test_many_lines_get_a_picture_without_numbers_whose_cells_still_have_them(page):
    ask(page, "similarity", model="hash", texts="\n".join(f"text {number}" for number in range(30)))

    assert np.allclose(np.diag(matrix(page)), 1)
    assert page.locator("#panel-similarity .dense td[data-step] .unseen").count() == 900


@pytest.mark.slow
def test_a_search_orders_lines_by_cosine(page, url):
    ask(page, "search", model="hash", query="a cat", texts="\n".join(LINES))

    scores = (vectors(url, "hash", LINES) @ vectors(url, "hash", ["a cat"], "query").T)[:, 0]
    assert texts_of(shown(page, "search")) == [LINES[place] for place in np.argsort(-scores)]


@pytest.mark.slow
def test_a_reranked_search_shows_the_rerankers_order_and_where_each_line_was(page):
    ask(page, "search", model="hash", reranker="overlap", query="small dog", texts="\n".join(LINES))

    assert texts_of(shown(page, "search"))[:2] == ["a small dog", "a small cat"]
    expect(page.locator("#panel-search .ranking li").first).to_contain_text(re.compile(r"cosine .*, was number \d"))


@pytest.mark.slow
def test_reranking_shows_the_scores_that_the_api_gives(page, url):
    ask(page, "rerank", model="overlap", query="small dog", texts="\n".join(LINES))

    ranks = post(url, "/tei/rerank", {"model": "overlap", "query": "small dog", "texts": LINES})
    expected = [(LINES[rank["index"]], f"score {rank['score']:.3f}") for rank in ranks]
    assert shown(page, "rerank") == expected


@pytest.mark.slow
def test_rerankers_and_embedding_models_are_offered_where_they_fit(page):
    offered = {
        name: page.locator(f"#{name} option").all_inner_texts()
        for name in ("search-model", "rerank-model", "tokens-model")
    }

    assert offered["search-model"] == ["hash", "twin", "other"]
    assert offered["rerank-model"] == ["overlap"]
    assert offered["tokens-model"] == ["hash", "twin", "other", "overlap"]


@pytest.mark.slow
def test_the_pieces_of_a_text_are_those_of_the_api(page, url):
    ask(page, "tokens", model="hash", text="a small cat")

    (pieces,) = post(url, "/tei/tokenize", {"model": "hash", "inputs": ["a small cat"]})
    rows = page.locator("#panel-tokens .plain tbody tr")
    assert [row.locator("td").all_text_contents()[1:3] for row in rows.all()] == [
        [str(piece["id"]), piece["text"]] for piece in pieces
    ]
    assert page.locator("#panel-tokens .pieces .special").count() == sum(piece["special"] for piece in pieces) > 0


@pytest.mark.slow
def test_models_of_one_space_are_compared_vector_by_vector(page):
    ask(page, "compare", first="hash", second="twin", query="a cat", texts="\n".join(LINES))

    expect(page.locator("#panel-compare [role=status]")).to_contain_text("One space and one fingerprint")
    assert page.locator("#panel-compare td.number").all_inner_texts() == ["1.00000"] * 3


@pytest.mark.slow
def test_models_of_two_spaces_are_compared_by_what_they_find_alike(page, url):
    lines = [*LINES, "snow", "a warm day"]
    ask(page, "compare", first="hash", second="other", query="a cat", texts="\n".join(lines))

    pairs = [
        (rows @ rows.T)[np.triu_indices(5, 1)] for rows in (vectors(url, name, lines) for name in ("hash", "other"))
    ]
    expect(page.locator("#panel-compare [role=status]")).to_contain_text("must never be mixed")
    text = page.locator("#panel-compare .figures dd").inner_text().replace("\u2212", "-")
    assert float(text) == pytest.approx(spearmanr(*pairs).statistic, abs=0.00051)


@pytest.mark.slow
def test_live_charts_say_so_where_there_is_nothing_and_show_what_comes(page, url):
    page.click("#tab-live")
    requests = page.locator("#live-charts figure").first
    expect(requests).to_contain_text("none came while you looked", timeout=PATIENCE_MS)

    for _ in range(5):
        post(url, "/tei/embed", {"model": "hash", "inputs": "a"})

    expect(requests.locator("svg")).to_have_attribute("aria-label", re.compile("highest [1-9]"), timeout=PATIENCE_MS)


@pytest.mark.slow
@pytest.mark.weights
def test_with_the_real_model_the_cut_is_where_the_server_cuts(browser, real):
    text = "a sentence about photosynthesis. " * 60
    with browser.new_context() as context:
        page = opened(context.new_page(), real)
        ask(page, "tokens", text=text, side="right")

        dropped = httpx.post(f"{real}/tei/embed", json={"inputs": text}).headers["x-embedstack-dropped-tokens"]
        pieces = page.locator("#panel-tokens .pieces li")
        classes = pieces.evaluate_all("items => items.map((item) => item.className)")
        assert classes == ["special", *["read"] * 254, *["cut"] * int(dropped), "special"]


@pytest.mark.slow
@pytest.mark.weights
def test_with_the_real_model_the_cat_is_nearest_to_the_kitten(browser, real):
    with browser.new_context() as context:
        page = opened(context.new_page(), real)
        ask(page, "similarity")

        assert texts_of(shown(page, "similarity"))[1].splitlines() == [
            "The cat sleeps on the warm windowsill.",
            "A kitten is napping in the sun.",
        ]
