"""Cells and sentences -> plain columns and lines that fit a terminal; what is too long goes on below. Pure."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from unicodedata import category, combining, east_asian_width

WIDTH = 110
FIRST = 34  # of the first column: three measures with their intervals fit beside it
BETWEEN = "  "
STEERING = ("Cc", "Cf", "Cs", "Co", "Cn")  # categories of what is no letter, sign or space


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]], width: int = WIDTH) -> str:
    """The first column is of names and stands left, the others right.

    Columns that do not fit beside each other come below, again behind the first one.
    """
    limits = [FIRST, *[width - FIRST - len(BETWEEN)] * (len(head) - 1)]
    cells = [[list(_broken(cell, limit)) for cell, limit in zip(row, limits, strict=True)] for row in (head, *rows)]
    sizes = [max(breadth(line) for lines in column for line in lines) for column in zip(*cells, strict=True)]
    blocks = ("\n".join(_lines(cells, sizes, block)) for block in _blocks(sizes, width))
    return "\n\n".join(blocks)


def filled(text: str, indent: str = "", width: int = WIDTH) -> str:
    """A sentence or a name in as many lines as it takes; those after the first stand further in."""
    first, *others = _broken(text, width - len(indent) - 2)
    return "\n".join((f"{indent}{first}", *(f"{indent}  {line}" for line in others)))


def plain(text: str) -> str:
    """One line without what would steer a terminal or a page: colours, other directions, a cursor that moves."""
    return "".join("\ufffd" if category(letter) in STEERING else letter for letter in " ".join(text.split()))


def breadth(text: str) -> int:
    """Columns of a terminal."""
    return sum(0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def _blocks(sizes: Sequence[int], width: int) -> Iterator[list[int]]:
    """The places of columns that stand beside each other, without the first one."""
    block: list[int] = []
    used = sizes[0]
    for place, size in enumerate(sizes[1:], 1):
        if block and used + len(BETWEEN) + size > width:
            yield block
            block, used = [], sizes[0]
        block.append(place)
        used += len(BETWEEN) + size
    yield block


def _lines(cells: Sequence[Sequence[list[str]]], sizes: Sequence[int], block: Sequence[int]) -> Iterator[str]:
    for row in cells:
        for name, *rest in zip_longest(row[0], *(row[place] for place in block), fillvalue=""):
            padded = (f"{' ' * (sizes[place] - breadth(cell))}{cell}" for place, cell in zip(block, rest, strict=True))
            yield BETWEEN.join((name + " " * (sizes[0] - breadth(name)), *padded)).rstrip()


def _broken(text: str, size: int) -> Iterator[str]:
    """In lines of at most `size` columns: between words, or within one that is longer than a line."""
    line = ""
    for word in plain(text).split(" "):
        if breadth(f"{line} {word}") <= size:
            line = f"{line} {word}" if line else word
            continue
        if line:
            yield line
        line = ""
        for letter in word:
            if breadth(line + letter) > size:
                yield line
                line = ""
            line += letter
    yield line
