"""A number of megabytes and a seed -> a folder of Markdown pages of our own words, always the same ones.

    python bench/batch_corpus.py FOLDER --megabytes 50

Pages have front matter, headings of three depths, paragraphs, lists, tables and code, as pages of a library of texts
have; their lengths are spread as widely (half have under 6 kB, one in fifty over 30). What they say has no meaning.
"""

import argparse
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from random import Random

from embedstack.evals.sentences import DEEDS, ENDINGS, OPENINGS, SENTENCES, THINGS

MEDIAN_BYTES, SPREAD = 6000, 0.8  # of a log-normal distribution
LEAST_BYTES, MOST_BYTES = 600, 80_000
FOLDER_PAGES = 500
KINDS = "article", "chapter", "letter", "glossary", "manual"
NAMES = "A. Lind", "M. Okafor", "J. Sato", "R. Novak", "E. Castillo", "T. Berg", "N. Haddad"
TERMS = tuple(f"{deed} {thing.split(maxsplit=1)[-1]}" for deed in DEEDS for thing in THINGS)
CODE = "for number in range({count}):\n    total = total + step(number, {step})\n    print(total)\n"


@dataclass(frozen=True, slots=True)
class Corpus:
    """What was written."""

    folder: Path
    pages: int
    bytes: int


def write(folder: Path, megabytes: float, seed: int = 0) -> Corpus:
    """Pages until there are so many megabytes, 500 in each folder.

    Args:
        folder: is made; pages that are there already are written again.
    """
    size, number = 0, 0
    while size < megabytes * 1e6:
        path = folder / f"shelf-{number // FOLDER_PAGES:04d}" / f"page-{number:06d}.md"
        if number % FOLDER_PAGES == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        data = page(number, seed).encode()
        path.write_bytes(data)
        size, number = size + len(data), number + 1
    return Corpus(folder, number, size)


def page(number: int, seed: int = 0) -> str:
    """One of them; it depends on nothing but these two numbers."""
    draw = Random(f"{seed} {number}")
    wanted = min(MOST_BYTES, max(LEAST_BYTES, int(draw.lognormvariate(math.log(MEDIAN_BYTES), SPREAD))))
    kind = draw.choice(KINDS)
    body = _glossary(draw, wanted) if kind == "glossary" else _sections(draw, wanted)
    return f"{_front(draw, number, kind, body)}\n{body}"


def _front(draw: Random, number: int, kind: str, body: str) -> str:
    year, month, day = draw.randint(1850, 2024), draw.randint(1, 12), draw.randint(1, 28)
    lines = [
        f"source_url: https://library.example/{kind}/{number}.html",
        f'title: "{_title(draw)}"',
        f"author: {draw.choice(NAMES)}",
        f"date: {year}-{month:02d}-{day:02d}",
        "language: en",
        f"doc_type: {kind}",
        f"word_count: {len(body.split())}",
        f"content_hash: {hashlib.sha256(body.encode()).hexdigest()[:16]}",
    ]
    return "\n".join(["---", *lines, "---", ""])


def _sections(draw: Random, wanted: int) -> str:
    parts = [f"# {_title(draw)}", _paragraph(draw)]
    size = sum(map(len, parts))
    while size < wanted:
        block = _block(draw)
        parts.append(block)
        size += len(block)
    return "\n\n".join(parts) + "\n"


def _glossary(draw: Random, wanted: int) -> str:
    parts, size = [f"# {_title(draw)}"], 0
    while size < wanted:
        entry = f"**{draw.choice(TERMS)}**\n\n{_sentences(draw, draw.randint(1, 5))}"
        parts.append(entry)
        size += len(entry)
    return "\n\n".join(parts) + "\n"


def _block(draw: Random) -> str:
    lot = draw.random()
    if lot < 0.16:
        return f"{'#' * draw.choice((2, 2, 3, 3, 4))} {_title(draw)}\n\n{_paragraph(draw)}"
    if lot < 0.24:
        return "\n".join(f"- {_sentences(draw, 1)}" for _ in range(draw.randint(3, 9)))
    if lot < 0.28:
        return _table(draw)
    if lot < 0.31:
        return f"```python\n{CODE.format(count=draw.randint(3, 99), step=draw.randint(1, 9))}```"
    return _paragraph(draw)


def _table(draw: Random) -> str:
    rows = [f"| {draw.choice(THINGS)} | {draw.randint(1850, 2024)} | {draw.randint(1, 9999)} |" for _ in range(8)]
    return "\n".join(["| thing | year | number |", "|---|---|---|", *rows[: draw.randint(3, 8)]])


def _paragraph(draw: Random) -> str:
    return _sentences(draw, draw.randint(2, 9))


def _sentences(draw: Random, count: int) -> str:
    return " ".join(_sentence(draw) for _ in range(count))


def _sentence(draw: Random) -> str:
    if draw.random() < 0.75:
        return draw.choice(SENTENCES)
    asked = f"{draw.choice(OPENINGS)} {draw.choice(DEEDS)} {draw.choice(THINGS)} {draw.choice(ENDINGS)}".strip()
    return f"{asked[0].upper()}{asked[1:]}, asked {draw.choice(NAMES)} in {draw.randint(1850, 2024)}?"


def _title(draw: Random) -> str:
    return f"{draw.choice(DEEDS).capitalize()} {draw.choice(THINGS)}, {draw.randint(1850, 2024)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--megabytes", type=float, default=50.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    made = write(given.folder, given.megabytes, given.seed)
    print(f"{made.pages} pages, {made.bytes} bytes in {made.folder}")


if __name__ == "__main__":
    main()
