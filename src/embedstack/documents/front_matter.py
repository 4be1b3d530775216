"""A Markdown file's text -> what its YAML front matter says, and the text behind it.

YAML is read as its version 1.2 has it, from a parser's events, so nothing is built that was not written: `no` is a
word and no falsehood, `12:30` and `0123` are no numbers, dates stay as they are written. Aliases are refused.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from embedstack.documents.document import Json, Unfit
from embedstack.documents.optional import not_installed

if TYPE_CHECKING:
    from yaml.events import Event, ScalarEvent

LARGEST = 1 << 16  # bytes; that of a page is some hundred
DEEPEST = 20
OPENING = re.compile(r"---[ \t]*\n")
FIRST = re.compile(  # behind comments a name, as in no line of a text but one like "Note: ..."
    r"""(?:[ \t]*\#.*\n)* *(?:[\w<][^\s:]*|"[^"\n]*"|'[^'\n]*') *:(?:\s|$)"""
)
CLOSING = re.compile(r"^(?:---|\.\.\.)[ \t]*$", re.MULTILINE)
ODD = r"\x00-\x1f\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff\U00010000-\U0010ffff"  # here YAML has a say in what they mean
PLAIN_LINE = re.compile(  # a name and a word, a number, or something in quotes, as nearly all front matter is written
    r"([A-Za-z_][A-Za-z0-9_-]*):"
    rf"(?: (?:([A-Za-z0-9](?:[^:#{ODD}]|:(?=[^ {ODD}])|(?<! )\#)*)(?<! )|\"([^\"\\{ODD}]*)\"|'([^'{ODD}]*)'))?"
)
WHOLE_NUMBER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
NUMBER = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,2})?")  # with a point: digests have an e too
WORDS: dict[str, Json] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def front_matter(text: str) -> tuple[dict[str, Json], str]:
    """Names and values, and the text without them; no names where the text does not begin with a block of YAML.

    A first line `---` that has no name and colon in the line behind it divides a text.

    Args:
        text: its lines end in a single newline character each.
    Raises:
        Unfit: the block is no YAML, too large, or holds aliases.
    """
    opening = OPENING.match(text)
    closing = CLOSING.search(text, opening.end()) if opening else None
    if opening is None or closing is None:
        return {}, text
    block = text[opening.end() : closing.start()]
    if block and not FIRST.match(block):
        return {}, text  # a line that divides a text
    if len(block) > LARGEST:
        raise _unfit(f"has {len(block)} characters, the limit is {LARGEST}")
    found = _plain_lines(block) or _parsed(block)
    body = text[closing.end() :].lstrip("\n")
    match found:
        case None:
            return {}, body
        case dict():
            return found, body
        case _:
            return {}, text  # what stands between two lines that divide a text


def _plain_lines(block: str) -> dict[str, Json] | None:
    """The same as `_parsed` in a twentieth of its time, or None where a line is any less plain than that."""
    found: dict[str, Json] = {}
    for line in block.removesuffix("\n").split("\n"):
        match = PLAIN_LINE.fullmatch(line)
        if match is None:
            return None
        name, word, *quoted = match.groups()
        text = next((one for one in quoted if one is not None), None)
        found[_name(_plain(name))] = _plain(word or "") if text is None else text
    return found


def _parsed(block: str) -> Json:
    try:
        import yaml
    except ImportError as error:
        raise not_installed("reading front matter", error) from error
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # some builds have no libyaml
    try:
        return _value(yaml.parse(block, Loader=loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise _unfit(f"is no YAML{f' at its line {mark.line + 1}' if mark else ''}") from error


def _value(events: "Iterator[Event]") -> Json:
    import yaml

    building = _Building()
    for event in events:
        match event:
            case yaml.ScalarEvent():
                building.add(_scalar(event))
            case yaml.MappingStartEvent():
                building.begin({})
            case yaml.SequenceStartEvent():
                building.begin([])
            case yaml.CollectionEndEvent():
                building.end()
            case yaml.AliasEvent():
                raise _unfit("holds aliases (*), which are not read; write the values out")
            case yaml.DocumentEndEvent():
                break
    return building.value


class _Building:
    """Values in the order of the text -> one that holds them all."""

    def __init__(self) -> None:
        self.value: Json = None
        self._open: list[list[Json] | dict[str, Json]] = []
        self._names: list[str | None] = []  # of the value that comes next in each open one

    def add(self, value: Json) -> None:
        if not self._open:
            self.value = value
            return
        into, name = self._open[-1], self._names[-1]
        if isinstance(into, list):
            into.append(value)
        elif name is not None:
            into[name] = value
            self._names[-1] = None
        elif isinstance(value, (list, dict)):
            raise _unfit("has a list or a mapping as a name")
        else:
            self._names[-1] = _name(value)

    def begin(self, value: list[Json] | dict[str, Json]) -> None:
        if len(self._open) == DEEPEST:
            raise _unfit(f"is nested more than {DEEPEST} deep")
        self.add(value)
        self._open.append(value)
        self._names.append(None)

    def end(self) -> None:
        self._open.pop()
        self._names.pop()


def _scalar(event: "ScalarEvent") -> Json:
    return _plain(event.value) if event.implicit[0] else event.value  # else: in quotes, or with a tag


def _plain(text: str) -> Json:
    if text in WORDS:
        return WORDS[text]
    if WHOLE_NUMBER.fullmatch(text):
        return int(text)
    return float(text) if NUMBER.fullmatch(text) else text


def _name(value: Json) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case _:
            return str(value)


def _unfit(why: str) -> Unfit:
    return Unfit("bad_front_matter", f"the front matter {why}")
