"""A page of the docs -> the calls of `embedstack` that it shows; and whether there are such commands and flags."""

import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import click

from embedstack.cli import cli

BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
SPAN = re.compile(r"`(embedstack\s[^`]+)`")
INNER = re.compile(r"\$\(([^()]*)\)")
ASSIGNMENT = re.compile(r"[A-Z_]+=")
SHELLS = ("", "sh", "bash", "console")
SIGNS = set("();<>|&")


def calls(page: str) -> list[list[str]]:
    """What stands behind `embedstack`, of every line of a shell and of every piece of code in a sentence."""
    blocks = [text for language, text in BLOCK.findall(page) if language in SHELLS]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if "embedstack" in line]
    spans = [" ".join(span.split()) for span in SPAN.findall(BLOCK.sub("", page))]
    return [call for line in [*lines, *spans] for call in _in_line(line)]


def _in_line(line: str) -> Iterator[list[str]]:
    for inner in INNER.findall(line):
        yield from _in_line(inner)
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    for is_sign, group in groupby(words, lambda word: bool(word) and set(word) <= SIGNS):
        called = _without_assignments(list(group))
        if not is_sign and called and Path(called[0]).name == "embedstack":
            yield called[1:]


def _without_assignments(words: list[str]) -> list[str]:
    while words and ASSIGNMENT.match(words[0]):
        words = words[1:]
    return words


def resolve(words: Sequence[str]) -> None:
    """Take the words as the commands would; what a sentence leaves out may be missing.

    Raises:
        click.UsageError: a command, a flag or a choice that there is not, or a word too many.
    """
    words, command, context = list(words), cli, click.Context(cli, info_name="embedstack", **cli.context_settings)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"no such command: {name!r}", context)
        command, context = found, click.Context(found, info_name=name, parent=context)
    given, left, _ = command.make_parser(context).parse_args(words)
    if left:
        raise click.UsageError(f"words too many: {' '.join(left)!r}", context)
    for parameter in command.params:
        if isinstance(parameter.type, click.Choice) and parameter.name in given:
            parameter.type_cast_value(context, given[parameter.name])
