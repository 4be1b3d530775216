"""The text of a GraphQL request -> its fields with their arguments: as much of the language as RunPod's SDKs write."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = "str | int | float | bool | list[Value] | dict[str, Value] | None"

MOST_DEPTH = 40  # of objects in objects; the SDK's deepest has five

TOKEN = re.compile(
    r"""
    (?P<skip> [\s,\ufeff]+ | \#[^\n\r]* )
  | (?P<string> "(?: [^"\\\n\r] | \\. )*" )
  | (?P<number> -? (?:0|[1-9]\d*) (?:\.\d+)? (?:[eE][+-]?\d+)? (?![\w.]) )
  | (?P<name> [A-Za-z_]\w* )
  | (?P<mark> \.\.\. | [{}()\[\]:=!$@|&] )
    """,
    re.VERBOSE | re.ASCII,
)
ESCAPE = re.compile(r'\\(?:u([0-9A-Fa-f]{4})|(["\\/bfnrt]))|\\')
ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
WORDS: Mapping[str, Value] = {"true": True, "false": False, "null": None}


class SyntaxFault(Exception):
    """What stands there is no GraphQL, or more of it than is known here; the message says where."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field that is asked for.

    Args:
        key: what the reply calls it.
        fields: what is asked for of it; empty for a plain value.
    """

    name: str
    key: str
    arguments: Mapping[str, Value]
    fields: "tuple[Field, ...]"


@dataclass(frozen=True, slots=True)
class Document:
    """One operation."""

    kind: str  # query or mutation
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    place: int


def parsed(text: str, variables: Mapping[str, Value] | None = None) -> Document:
    """The operation of a request; an enum's value becomes its name.

    Raises:
        SyntaxFault: it cannot be read.
    """
    return _Parser(_tokens(text), variables or {}).document()


def _tokens(text: str) -> list[_Token]:
    found, place = [], 0
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None:
            raise SyntaxFault(f"Syntax Error: Unexpected character at {place}: {text[place]!r}.")
        if match.lastgroup != "skip":
            found.append(_Token(str(match.lastgroup), match.group(), place))
        place = match.end()
    return [*found, _Token("end", "<EOF>", place)]


class _Parser:
    def __init__(self, tokens: list[_Token], variables: Mapping[str, Value]) -> None:
        self._tokens, self._next, self._depth = tokens, 0, 0
        self._variables = dict(variables)

    # -------------------------------------------------------------------------------------------- steps

    def document(self) -> Document:
        kind = "query"
        if self._peek().kind == "name":
            kind = self._take("name").text
            if kind not in ("query", "mutation"):
                raise self._fault(self._tokens[self._next - 1])
            if self._peek().kind == "name":
                self._take("name")
            if self._peek().text == "(":
                self._declarations()
        fields = self._fields()
        self._take("end")
        return Document(kind, fields)

    def _declarations(self) -> None:
        """`($name: [Type!] = default)`: types are not looked at."""
        self._mark("(")
        while self._peek().text != ")":
            self._mark("$")
            name = self._take("name").text
            self._mark(":")
            while self._peek().text in ("[", "]", "!") or self._peek().kind == "name":
                self._next += 1
            if self._peek().text == "=":
                self._mark("=")
                self._variables.setdefault(name, self._value())
        self._mark(")")

    def _fields(self) -> tuple[Field, ...]:
        self._mark("{")
        self._deeper()
        fields = []
        while self._peek().text != "}":
            fields.append(self._field())
        self._mark("}")
        self._depth -= 1
        if not fields:
            raise self._fault(self._tokens[self._next - 1])
        return tuple(fields)

    def _field(self) -> Field:
        key = name = self._take("name").text
        if self._peek().text == ":":
            self._mark(":")
            name = self._take("name").text
        arguments = self._pairs("(", ")") if self._peek().text == "(" else {}
        return Field(name, key, arguments, self._fields() if self._peek().text == "{" else ())

    def _pairs(self, opening: str, closing: str) -> dict[str, Value]:
        self._mark(opening)
        pairs: dict[str, Value] = {}
        while self._peek().text != closing or self._peek().kind == "string":
            name = self._take("name")
            self._mark(":")
            if name.text in pairs:
                raise SyntaxFault(f'There can be only one argument named "{name.text}".')
            pairs[name.text] = self._value()
        self._mark(closing)
        return pairs

    def _value(self) -> Value:
        token = self._peek()
        if token.text == "{" and token.kind == "mark":
            self._deeper()
            pairs = self._pairs("{", "}")
            self._depth -= 1
            return pairs
        if token.text == "[" and token.kind == "mark":
            return self._list()
        self._next += 1
        match token.kind:
            case "string":
                return _string(token.text[1:-1])
            case "number":
                return float(token.text) if set(token.text) & set(".eE") else int(token.text)
            case "name":
                return WORDS.get(token.text, token.text)
            case "mark" if token.text == "$":
                return self._variable(self._take("name").text)
        raise self._fault(token)

    def _list(self) -> list[Value]:
        self._mark("[")
        self._deeper()
        values: list[Value] = []
        while self._peek().text != "]" or self._peek().kind == "string":
            values.append(self._value())
        self._mark("]")
        self._depth -= 1
        return values

    def _variable(self, name: str) -> Value:
        if name not in self._variables:
            raise SyntaxFault(f'Variable "${name}" is not defined.')
        return self._variables[name]

    # -------------------------------------------------------------------------------------------- tokens

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, kind: str) -> _Token:
        token = self._peek()
        if token.kind != kind:
            raise self._fault(token)
        self._next += 1
        return token

    def _mark(self, text: str) -> None:
        token = self._take("mark")
        if token.text != text:
            raise self._fault(token)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise SyntaxFault(f"Syntax Error: more than {MOST_DEPTH} levels.")

    def _fault(self, token: _Token) -> SyntaxFault:
        return SyntaxFault(f"Syntax Error: Unexpected {token.text!r} at {token.place}.")


def _string(text: str) -> str:
    try:
        return ESCAPE.sub(_unescaped, text).encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise SyntaxFault("Syntax Error: Invalid Unicode escape sequence.") from error


def _unescaped(match: "re.Match[str]") -> str:
    code, letter = match.groups()
    if code is None and letter is None:
        raise SyntaxFault("Syntax Error: Invalid character escape sequence.")
    return chr(int(code, 16)) if code else ESCAPES.get(letter, letter)
