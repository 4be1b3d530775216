"""What stands in a line of a page -> its text, with bold and code marked as Markdown does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selectolax.lexbor import LexborNode

TEXT = "-text"  # selectolax's name for what is no element
SCRIPTS = {"script", "style", "noscript", "template", "head", "title", "meta", "link"}
SHOWN_OTHERWISE = {"svg", "canvas", "iframe", "object", "embed", "audio", "video", "map"}
CONTROLS = {"nav", "button", "select", "textarea", "datalist"}
LEFT_OUT = frozenset(SCRIPTS | SHOWN_OTHERWISE | CONTROLS | {"-comment", "-doctype", "-cdata"})
STYLED = {"b", "big", "code", "del", "em", "font", "i", "ins", "kbd", "mark", "s", "samp", "small", "strike", "strong"}
WORDS = {
    "a",
    "abbr",
    "acronym",
    "bdi",
    "bdo",
    "cite",
    "data",
    "dfn",
    "label",
    "math",
    "nobr",
    "q",
    "span",
    "time",
    "var",
}
RAISED = {"rb", "rp", "rt", "rtc", "ruby", "sub", "sup", "tt", "u"}
EMPTY = {"br", "img", "input", "meter", "output", "progress", "wbr"}
INLINE = frozenset(STYLED | WORDS | RAISED | EMPTY | {TEXT})
MARKS = {"b": "**", "strong": "**", "code": "`", "kbd": "`", "samp": "`", "tt": "`"}
SPACE = re.compile(r"[ \t\n\r\f]+")
DEEPEST = 100  # elements in each other; what is deeper gives its bare text
STRIPPED = [tag for tag in sorted(LEFT_OUT) if not tag.startswith("-")]
BREAK = "\0"  # a line break while spaces are brought together; HTML's parser lets no NUL through


def one_line(text: str) -> str:
    """Without line breaks and doubled spaces, as a browser shows it."""
    return SPACE.sub(" ", text).strip(" ")


def bare_text(node: LexborNode) -> str:
    """Everything in it, in one line."""
    node.strip_tags(STRIPPED)
    return one_line(node.text(separator=" "))


def line_of(nodes: list[LexborNode]) -> str:
    """The text of neighbours, breaks (`<br>`) as newlines."""
    text = SPACE.sub(" ", "".join(_pieces(nodes, 0)))
    if BREAK not in text:
        return text.strip(" ")
    return "\n".join(filter(None, (part.strip(" ") for part in text.split(BREAK))))


def children(node: LexborNode) -> list[LexborNode]:
    """Those that say something, in order."""
    return [child for child in node.iter(include_text=True) if child.tag not in LEFT_OUT and not _is_hidden(child)]


def is_inline(node: LexborNode) -> bool:
    """Whether it stands in a line, and so does all that is directly in it."""
    if node.tag == TEXT:
        return True
    return node.tag in INLINE and all(child.tag in INLINE or child.tag in LEFT_OUT for child in node.iter())


def _pieces(nodes: list[LexborNode], depth: int) -> Iterator[str]:
    for node in nodes:
        tag = node.tag or ""
        if tag == TEXT:
            yield node.text_content or ""
        elif tag == "br":
            yield BREAK
        elif depth == DEEPEST:
            yield bare_text(node)
        else:
            yield from _marked("".join(_pieces(children(node), depth + 1)), tag)


def _marked(text: str, tag: str) -> Iterator[str]:
    """Marks stand close to the words, spaces outside of them."""
    mark = MARKS.get(tag, "")
    inner = text.strip(" \t\n\r\f")
    if not mark or not inner or mark in inner or BREAK in inner:
        yield text if tag in INLINE else f" {text} "
        return
    before, _, after = text.partition(inner)
    yield f"{before}{mark}{inner}{mark}{after}"


def _is_hidden(node: LexborNode) -> bool:
    return node.tag != TEXT and "hidden" in node.attrs
