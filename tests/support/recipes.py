"""Ways to use the default model, what `identify` must say of each, and the table of docs/identify.md made of that.

PYTHONPATH=tests python -m support.recipes      # writes the table; a test says when it is out of date
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from embedstack.settings import DEFAULT_MODEL
from support.by_hand import By

PAGE = Path(__file__).parents[2] / "docs/identify.md"
MARKS = "<!-- recipes -->\n", "<!-- /recipes -->"
WIDTH, SENTENCES = 384, 22
OWN = By(dim=WIDTH)
NONE = f"none of these: no recipe of {DEFAULT_MODEL} made these vectors"


@dataclass(frozen=True)
class Use:
    """How vectors are made, and what is said of them; without a recipe nobody here made them."""

    name: str
    says: str
    by: By | None = None

    @property
    def verdict(self) -> str:
        return f"made by {DEFAULT_MODEL}, {self.says}" if self.by else NONE

    @property
    def lengths(self) -> str:
        return "not judged" if self.by is None else "normalised" if self.by.is_normalised else "not normalised"


USES = (
    Use("as its files say", "mean pooling, no prompt, cut at 256 tokens", OWN),
    Use("the state of the first token", "cls pooling, no prompt, cut at 256 tokens", replace(OWN, pooling="cls")),
    Use("the largest of all tokens", "max pooling, no prompt, cut at 256 tokens", replace(OWN, pooling="max")),
    Use(
        "`query: ` in front, as for E5", "mean pooling, prompt 'query: ', cut at 256 tokens",
        replace(OWN, prompt="query: "),
    ),
    Use(
        "`search_document: ` in front, as for nomic", "mean pooling, prompt 'search_document: ', cut at 256 tokens",
        replace(OWN, prompt="search_document: "),
    ),
    Use("not normalised", "mean pooling, no prompt, cut at 256 tokens", replace(OWN, is_normalised=False)),
    Use("cut at 128 tokens", "mean pooling, no prompt, cut at 128 tokens", replace(OWN, cut=128)),
    Use(
        "cut to its first 128 numbers",
        "mean pooling, no prompt, cut at 256 tokens, the first 128 of 384 numbers", replace(OWN, dim=128),
    ),
    Use(
        "capital letters kept", "mean pooling, no prompt, cut at 256 tokens, capital letters kept",
        replace(OWN, is_cased=True),
    ),
    Use(
        "no special tokens", "mean pooling, no prompt, cut at 256 tokens, no special tokens",
        replace(OWN, is_bare=True),
    ),
)  # fmt: skip
STRANGE = (Use("another model of 384 numbers, not on the machine", NONE), Use("random numbers", NONE))


def passages(labelled_sets: Path) -> list[str]:
    """English ones of XQuAD: first sentences, and a paragraph of over 128 tokens and one of over 256."""
    articles = json.loads((labelled_sets / "xquad/xquad.en.json").read_bytes())["data"]
    whole = {part["context"] for article in articles for part in article["paragraphs"]}
    sentences = sorted((f"{text.split('. ')[0]}." for text in whole), key=lambda text: (len(text), text))
    by_length = sorted(whole, key=lambda text: (len(text), text))
    return [*sentences[:SENTENCES], by_length[90], by_length[-10]]


def table(uses: Sequence[Use] = (*USES, *STRANGE)) -> str:
    lines = ["| the vectors are made with | `identify` says | lengths |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {use.name} | {use.says} | {use.lengths} |" for use in uses)]) + "\n"


def with_table(page: str) -> str:
    start, end = page.index(MARKS[0]) + len(MARKS[0]), page.index(MARKS[1])
    return page[:start] + table() + page[end:]


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
