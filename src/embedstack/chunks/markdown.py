"""Lines of Markdown -> the blocks that stand in no other, as markdown-it reads them; memory is small for any text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from embedstack.chunks.blocks import BlockKind
from embedstack.errors import ConfigError

try:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.token import Token
except ImportError as error:
    raise ConfigError(
        "cutting Markdown needs packages that are not installed; run: pip install 'embedstack[jobs]'"
    ) from error

TITLE_CHARS = 200  # of a heading: every chunk below it carries its title
_NEWLINES = re.compile(r"\r\n?")
_KINDS: dict[str, BlockKind] = {
    "heading_open": "heading",
    "paragraph_open": "paragraph",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "table": "table",
    "fence": "code",
    "code_block": "code",
    "blockquote_open": "quote",
    "html_block": "html",
    "hr": "rule",
}
_DELIMITER = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?")
_PIPE = re.compile(r"(?<!\\)\|")
_MARKUP = re.compile(r"[*_`\[\]<>&\\{}\n]")
_ATTRIBUTES = re.compile(r"\s*\{[#.:][^{}]*\}$")
_SHOWN = ("text", "text_special", "code_inline", "image")


@dataclass(frozen=True, slots=True)
class Top:
    """A block that stands in no other."""

    kind: BlockKind
    line: int  # that it begins in
    level: int = 0  # of a heading
    title: str = ""  # of a heading, as it is read
    items: tuple[int, ...] = ()  # lines in which those of a list begin


def parsed(text: str) -> Iterator[Top]:
    """In order. Definitions of links stay, as what they are beside their links: a paragraph."""
    state = _State(_NEWLINES.sub("\n", text), _parser(), {}, [])
    if state.lineMax:
        _parser().block.tokenize(state, 0, state.lineMax)
    for number, token in enumerate(state.tokens):
        if token.level or token.map is None:
            continue
        kind, line = _KINDS[token.type], token.map[0]
        if kind == "heading":
            yield Top(kind, line, int(token.tag[1:]), _plain(state.tokens[number + 1].content))
        else:
            yield Top(kind, line, items=tuple(state.items.get(id(token), ())))


class _State(StateBlock):
    """Keeps the tokens of blocks that stand in no other, titles of headings, and where items of lists begin.

    The library keeps all, a thousand bytes for each, and reads none of them again.
    """

    def __init__(self, src: str, md: MarkdownIt, env: dict[str, object], tokens: list[Token]) -> None:
        super().__init__(src, md, env, tokens)
        self.items: dict[int, list[int]] = {}

    def push(self, ttype: str, tag: str, nesting: Literal[-1, 0, 1]) -> Token:
        """A token, which may be kept."""
        self.level -= nesting < 0
        token = Token(ttype, tag, nesting, level=self.level, block=True)
        is_title = ttype == "inline" and self.level == 1 and self.tokens[-1].type == "heading_open"
        if is_title or (self.level == 0 and nesting >= 0):
            self.tokens.append(token)
        elif self.level == 1 and ttype == "list_item_open":
            self.items.setdefault(id(self.tokens[-1]), []).append(self.line)  # the list is kept, so its id is its own
        self.level += nesting > 0
        return token


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """The library's rule for tables, with one token for all of one: it makes three for each cell.

    Source: markdown-it-py 4.3, `rules_block/table.py`.
    """
    if start + 2 > end or state.sCount[start + 1] < state.blkIndent or state.is_code_block(start + 1):
        return False
    delimiter = _line(state, start + 1)
    if len(delimiter) < 2 or delimiter[:2] in ("- ", "-\t") or not _DELIMITER.fullmatch(delimiter):
        return False
    header = _line(state, start)
    if "|" not in header or state.is_code_block(start) or _columns(header) != _columns(delimiter):
        return False
    if not silent:
        state.push("table", "table", 0).map = [start, start]
        state.line = _table_end(state, start + 2, end)
    return True


def _table_end(state: StateBlock, line: int, end: int) -> int:
    stops = state.md.block.ruler.getRules("blockquote")  # what ends a quote ends a table
    parent, state.parentType = state.parentType, "table"
    while line < end and state.sCount[line] >= state.blkIndent:
        if state.isEmpty(line) or state.is_code_block(line) or any(rule(state, line, end, True) for rule in stops):
            break
        line += 1
    state.parentType = parent
    return line


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]].strip()


def _columns(row: str) -> int:
    pipes = [found.start() for found in _PIPE.finditer(row)]
    return len(pipes) + 1 - (0 in pipes[:1]) - (len(row) - 1 in pipes[-1:])


def _plain(title: str) -> str:
    """Without emphasis, targets of links, tags and attributes; the first characters of it."""
    title = title[: 2 * TITLE_CHARS]
    if _MARKUP.search(title):
        tokens: list[Token] = []
        _parser().inline.parse(title, _parser(), {}, tokens)
        shown = (token.content if token.type in _SHOWN else " " * (token.type == "softbreak") for token in tokens)
        title = _ATTRIBUTES.sub("", "".join(shown).strip())
    return " ".join(title.split())[:TITLE_CHARS].rstrip()


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark").enable("table").disable("reference")
    parser.block.ruler.at("table", _table, {"alt": ["paragraph"]})
    return parser
