"""The body of a page -> Markdown: headings, paragraphs, lists, quotes, code and tables, an empty line between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedstack.documents.html_inline import DEEPEST, bare_text, children, is_inline, line_of, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selectolax.lexbor import LexborNode

HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
LISTS = frozenset({"ul", "ol", "menu", "dir"})
DEEPEST_INDENT = 8  # lists and quotes in each other; each level writes into every line of those below


class Blocks:
    """Goes down the tree; knows how deep it is, so that no page can take all of the stack or the memory."""

    def __init__(self) -> None:
        self._depth = 0
        self._indents = 0

    def text_of(self, node: LexborNode) -> str:
        """All of it."""
        return "\n\n".join(self._blocks(node))

    def _blocks(self, node: LexborNode) -> Iterator[str]:
        if self._depth == DEEPEST:
            yield from filter(None, [bare_text(node)])
            return
        self._depth += 1
        line: list[LexborNode] = []
        for child in children(node):
            if is_inline(child):
                line.append(child)
                continue
            yield from _line(line)
            line = []
            yield from filter(None, self._block(child))
        yield from _line(line)
        self._depth -= 1

    def _block(self, node: LexborNode) -> Iterator[str]:
        tag = node.tag or ""
        if tag in HEADINGS:
            yield _heading(HEADINGS[tag], " ".join(self._blocks(node)))
        elif tag in LISTS:
            yield self._indented(node, "\n", self._list)
        elif tag == "blockquote":
            yield self._indented(node, "\n\n", self._quote)
        elif tag == "dt":
            yield _term(" ".join(self._blocks(node)))
        elif tag == "pre":
            yield _code(node.text())
        elif tag == "table" and _is_data(node):
            yield _table(node)
        elif tag != "hr":
            yield from self._blocks(node)

    def _indented(self, node: LexborNode, between: str, write: Callable[[LexborNode], str]) -> str:
        if self._indents == DEEPEST_INDENT:
            return between.join(self._blocks(node))
        self._indents += 1
        text = write(node)
        self._indents -= 1
        return text

    def _quote(self, node: LexborNode) -> str:
        return _prefixed("\n\n".join(self._blocks(node)), "> ", "> ")

    def _list(self, node: LexborNode) -> str:
        items = [text for child in children(node) if (text := "\n".join(self._item(child)))]
        is_ordered = node.tag == "ol"
        return "\n".join(_item(text, f"{number}. " if is_ordered else "- ") for number, text in enumerate(items, 1))

    def _item(self, node: LexborNode) -> Iterator[str]:
        return _line([node]) if is_inline(node) else self._blocks(node)


def _line(nodes: list[LexborNode]) -> Iterator[str]:
    text = line_of(nodes) if nodes else ""
    if text:
        yield text


def _heading(marks: str, text: str) -> str:
    text = one_line(text.replace("**", ""))
    return f"{marks} {text}" if text else ""


def _term(text: str) -> str:
    text = one_line(text.replace("**", ""))
    return f"**{text}**" if text else ""


def _code(text: str) -> str:
    text = text.strip("\n").replace("\r\n", "\n")
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}" if text.strip() else ""


def _item(text: str, mark: str) -> str:
    return _prefixed(text, mark, " " * len(mark))


def _prefixed(text: str, first: str, others: str) -> str:
    return first + text.replace("\n", f"\n{others}")


def _is_data(table: LexborNode) -> bool:
    """Whether it holds rows of short texts; others are there to place things on a page."""
    return (
        table.css_first("table table, table p + p, table ul, table h1, table h2, table h3, table pre, table form")
        is None
    )


def _table(table: LexborNode) -> str:
    rows = [_cells(row) for row in table.css("tr")]
    rows = [row for row in rows if any(row)]
    caption = table.css_first("caption")
    blocks = [one_line(caption.text())] if caption is not None else []
    if rows and max(map(len, rows)) == 1:
        blocks += [row[0] for row in rows]
    elif rows:
        blocks.append(_grid(rows))
    return "\n\n".join(filter(None, blocks))


def _cells(row: LexborNode) -> list[str]:
    return [_cell(child) for child in children(row) if child.tag in ("td", "th")]


def _cell(node: LexborNode) -> str:
    return one_line(line_of(children(node)).replace("\n", " ")).replace("|", "\\|")


def _grid(rows: list[list[str]]) -> str:
    """The first row is the head, as wide as the widest; rows may be shorter."""
    width = max(map(len, rows))
    head = rows[0] + [""] * (width - len(rows[0]))
    lines = [head, ["---"] * width, *rows[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
