"""Pages as Markdown."""

import pytest

from embedstack.documents.document import Unfit
from embedstack.documents.html import page


def text(html):
    return page(html)[0]


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<h1>One</h1><h3> Two\n words </h3>", "# One\n\n### Two words"),
        ("<p>a <b>bold</b> and <i>more</i></p>", "a **bold** and more"),
        ("<p>a<b> x </b>b</p>", "a **x** b"),
        ("<p>run <code>ls</code></p>", "run `ls`"),
        ("<p>one<br>two</p>", "one\ntwo"),
        ("<div>loose <a href=x>link</a><p>para</p>tail</div>", "loose link\n\npara\n\ntail"),
        ("<ul><li>a<li>b</ul>", "- a\n- b"),
        ("<ol><li>a<ul><li>b</ul></li><li><p>c</p></li></ol>", "1. a\n   - b\n2. c"),
        ("<blockquote><p>a</p><p>b</p></blockquote>", "> a\n> \n> b"),
        ("<pre>  x = 1\n  y</pre>", "```\n  x = 1\n  y\n```"),
        ("<pre>```</pre>", "````\n```\n````"),
        ("<dl><dt>Term</dt><dd>What it is</dd></dl>", "**Term**\n\nWhat it is"),
        ("<a href=x><h2>Card</h2></a>", "## Card"),
        ("<h2><b>Bold</b> head</h2>", "## Bold head"),
        ("<p>a &amp; b &lt;c&gt; &nbsp;d</p>", "a & b <c> \u00a0d"),
        ("<article><section><p>deep</p></section></article>", "deep"),
        ("<my-page><p>own</p></my-page>", "own"),
        ("just text", "just text"),
        ("", ""),
    ],
)
def test_a_page_is_written_as_markdown(html, markdown):
    assert text(html) == markdown


def test_a_table_keeps_its_rows_and_columns():
    html = "<table><tr><th>a<th>b<tr><td>1<td>x|y<tr><td>2</table>"

    assert text(html) == "| a | b |\n| --- | --- |\n| 1 | x\\|y |\n| 2 |"


def test_a_table_that_places_things_on_a_page_is_what_it_holds():
    assert text("<table><tr><td><h2>Head</h2><p>a</p><p>b</p></table>") == "## Head\n\na\n\nb"


@pytest.mark.parametrize(
    "tag", ["script", "style", "nav", "noscript", "template", "svg", "select", "button", "textarea"]
)
def test_what_is_no_text_of_the_page_is_left_out(tag):
    assert text(f"<p>a</p><{tag}>x</{tag}><p>b <{tag}>y</{tag}></p>") == "a\n\nb"


def test_comments_and_hidden_parts_are_left_out():
    assert text("<p>a<!-- x --></p><div hidden>y</div>") == "a"


def test_what_the_page_says_of_itself_is_metadata():
    html = (
        '<html lang="de"><head><title> A\n title </title><meta name="Author" content="x">'
        '<meta property="og:title" content="other"><meta name="viewport" content="z">'
        '<meta property="article:published_time" content="2024-01-05"><link rel="canonical" href="https://a.test/b">'
    )

    assert page(html)[1] == {
        "title": "A title",
        "language": "de",
        "source_url": "https://a.test/b",
        "author": "x",
        "date": "2024-01-05",
    }


@pytest.mark.parametrize(
    "tag", ["div", "b", "ul><li", "blockquote", "span><div", "table><tr><td", "a", "p><b", "dl><dt", "h1", "font"]
)
def test_a_page_that_is_nested_without_end_is_read_all_the_same(tag):
    found = text(f"<{tag}>" * 900 + "end<script>no</script>")

    assert "end" in found
    assert "no" not in found


def test_lines_in_deep_quotes_do_not_grow_without_end():
    assert len(text("<blockquote>" * 90 + "a<br>" * 1000)) < 30_000


@pytest.mark.parametrize(
    ("html", "said"),
    [
        ("<br>" * 2_100_000, "2100000 tags"),
        ("<div>" * 3000, "2000 elements in each other"),
        ("".join(f"<p><font size={i}>x" for i in range(1800)), "elements, the limit"),
    ],
    ids=["many", "deep", "multiplied"],
)
def test_a_page_whose_tree_cannot_be_held_is_refused(html, said):
    with pytest.raises(Unfit, match=said):
        page(html)


def test_long_lists_without_ends_are_not_deep():
    assert text("<ul>" + "<li>a" * 3000).count("- a") == 3000
