"""What a document's blocks are, and that they are all of it."""

import tracemalloc
from collections.abc import Iterator
from random import Random

import pytest
from markdown_it import MarkdownIt

from embedstack.chunks.blocks import Block, blocks, line_starts
from support.cutting import text_of
from support.work import WASTED, growth

NEWLINES = ["\n", "\r\n", "\r"]
PAGE = """\
Before all.

# One

A paragraph
of two lines.

- first
  more of it

- second
  - inner
1. third

```python
# no heading

x = 1
```

Two
---

> # quoted

| a | b |
|---|---|
| c | d |

<div>

* * *

    indented

[a]: https://example.org
"""


def shown(text: str, kind: str = "markdown") -> list[tuple[str, str]]:
    return [(block.kind, text[block.start : block.stop].strip()) for block in blocks(text, kind)]


@pytest.mark.parametrize("newline", NEWLINES)
def test_a_page_is_its_blocks(newline: str) -> None:
    found = blocks(PAGE.replace("\n", newline), "markdown")

    assert [block.kind for block in found] == [
        *("paragraph", "heading", "paragraph", "list", "list", "code", "heading", "quote", "table", "html", "rule"),
        *("code", "paragraph"),
    ]


@pytest.mark.parametrize("kind", ["markdown", "text"])
@pytest.mark.parametrize("seed", range(20))
def test_blocks_are_all_of_a_text(kind: str, seed: int) -> None:
    text = text_of(seed)

    found = blocks(text, kind)

    assert "".join(text[block.start : block.stop] for block in found) == text
    assert all(block.start < block.stop for block in found)


def test_a_block_knows_the_headings_that_it_stands_under() -> None:
    text = "# A\n\n## B ##\n\none\n\n### C\n\n## D\n\ntwo\n\n# E\n\nthree"

    paths = {text[b.start : b.stop].strip(): b.headings for b in blocks(text, "markdown")}

    assert paths["one"] == ("A", "B")
    assert paths["### C"] == ("A", "B", "C")
    assert paths["two"] == ("A", "D")
    assert paths["three"] == ("E",)


def test_a_heading_in_code_or_in_a_quote_is_none() -> None:
    assert {block.headings for block in blocks("```\n# a\n```\n\n> # b\n\n    # c\n\ntext", "markdown")} == {()}


@pytest.mark.parametrize(
    ("title", "plain"),
    [
        ("**Bold** and `code` of [a link](https://example.org)", "Bold and code of a link"),
        ("![a picture](p.png) R&amp;D \\* snake_case", "a picture R&D * snake_case"),
        ('Named {#name .wide} <a name="name"></a>', "Named"),
        ("x" * 5000, "x" * 200),
    ],
)
def test_a_title_is_plain_text(title: str, plain: str) -> None:
    assert blocks(f"# {title}\n\ntext", "markdown")[1].headings == (plain,)


@pytest.mark.parametrize("newline", NEWLINES)
def test_a_list_knows_where_its_items_begin(newline: str) -> None:
    text = "- one\n- two\n  - inner\n\n- three\n".replace("\n", newline)

    (found,) = blocks(text, "markdown")

    assert [text[start : start + 5] for start in found.items] == ["- one", "- two", "- thr"]


@pytest.mark.parametrize("newline", NEWLINES)
def test_empty_lines_part_the_paragraphs_of_plain_text(newline: str) -> None:
    text = "# one\nmore\n\ntwo\n \t\n\nthree\n".replace("\n", newline)

    found = shown(text, "text")

    assert found == [("paragraph", f"# one{newline}more"), ("paragraph", "two"), ("paragraph", "three")]


def test_a_definition_of_a_link_is_kept() -> None:
    text = "one\n\n[a]: https://example.org\n[b]: https://example.org"

    assert shown(text)[1] == ("paragraph", "[a]: https://example.org\n[b]: https://example.org")


def test_a_text_without_a_block_is_one() -> None:
    assert blocks(" \n ", "markdown") == [Block("paragraph", 0, 3)]


def test_a_deep_nest_is_read_without_end() -> None:
    text = "> " * 5000 + "deep\n\n" + "- " * 3000 + "deep"

    assert "".join(text[block.start : block.stop] for block in blocks(text, "markdown")) == text


# ------------------------------------------------------------------------------------------------ beside the library

LINES = (
    "a | b", "|-|-|", "-|-", "| x \\| y | z |", "- a", "  b", "1. c", "2) x", "> q", "# h", "    code", "***", "===",
    "--- | ---", ":-:|-", "- | -", "-", "|a", "<div>", "text", "+ z", "  - n", "|", "||", "| |", "\t- t", "", "",
)  # fmt: skip


def lines_of(seed: int, count: int) -> str:
    draw = Random(seed)
    return "\n".join(draw.choice((*LINES, "```")) for _ in range(count))


def by_the_library(text: str) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Where blocks begin and their items, of all tokens that it makes."""
    tokens = MarkdownIt("commonmark").enable("table").disable("reference").parse(text)
    lines = line_starts(text, 0, len(text))
    for number, token in enumerate(tokens):
        if token.level == 0 and token.nesting >= 0 and token.map:
            end = next((n for n in range(number + 1, len(tokens)) if tokens[n].level == 0), number)
            inside = (one for one in tokens[number:end] if one.level == 1 and one.type == "list_item_open")
            yield lines[token.map[0]], tuple(lines[one.map[0]] for one in inside if one.map)


@pytest.mark.parametrize("text", [*(lines_of(seed, 40) for seed in range(100)), *(text_of(seed) for seed in range(20))])
def test_blocks_begin_where_the_library_says(text: str) -> None:
    starts = list(by_the_library(text))

    assert [(block.start, block.items) for block in blocks(text, "markdown")][1:] == starts[1:]


@pytest.mark.parametrize("seed", range(40))
def test_a_long_text_is_read_in_pieces_and_the_same_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = Random(seed)
    text = "\n\n# h\n\n".join("\n".join(draw.choice(LINES) for _ in range(6)) for _ in range(12))
    whole = blocks(text, "markdown")

    monkeypatch.setattr("embedstack.chunks.blocks.LINES", 16)
    assert blocks(text, "markdown") == whole


def test_a_block_of_more_lines_than_are_read_at_once_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedstack.chunks.blocks.LINES", 16)
    text = "# A\n\n" + "- one\n" * 40

    assert [(block.kind, len(block.items)) for block in blocks(text, "markdown")][1:] == [
        ("list", 16), ("list", 16), ("list", 8),
    ]  # fmt: skip


WIDE = "|a" * 100 + "|\n" + "|-" * 100 + "|\n"
HOSTILE = [
    "* a\n+ b\n",
    "- a\n",
    "# a\n",
    "> a\n",
    "a\n",
    "|a|\n|-|\n",
    "<a\n",
    "1. a\n\n",
    "- a\n\n      b\n",
    "a | b\n",
]


@pytest.mark.parametrize("text", [WIDE + "|x\n" * 400, "- an item of a list\n" * 800, "a line\n" * 2000])
def test_memory_is_small_beside_the_text(text: str) -> None:
    blocks("| a |\n|---|", "markdown")
    tracemalloc.start()
    blocks(text, "markdown")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 100_000 + 30 * len(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_work_grows_as_the_text_does(text: str) -> None:
    assert growth(lambda size: blocks(text * size, "markdown"), 60) < WASTED
