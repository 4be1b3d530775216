"""A folder -> a small library of everything that is read, and of much that cannot be; always the same one."""

import gzip
import json
from pathlib import Path

from batch_corpus import page

PAGES, ROWS, LINES = 14, 24, 8
POISON = "hemlock"  # no word of the library: whoever writes it in, sets a trap
DOCS = PAGES + ROWS + LINES + 4
UNREADABLE = {"bad_utf8": 1, "bad_json": 1, "no_text": 1, "empty": 3}
"""Dead letters by code, of the whole library."""


def library(folder: Path, *, pages: int = PAGES) -> Path:
    """Pages, rows of JSON and of a table, packed notes; empty, blank and broken ones among them."""
    (folder / "pages").mkdir(parents=True)
    for number in range(pages):
        (folder / f"pages/page-{number:03d}.md").write_text(page(number))
    (folder / "pages/empty.md").write_bytes(b"")
    (folder / "notes").mkdir()
    (folder / "notes/blank.txt").write_text(" \n\t\n")
    (folder / "notes/latin.txt").write_bytes("le café de la gare".encode("latin-1"))
    (folder / "notes/packed.txt.gz").write_bytes(
        gzip.compress(b"The ferry leaves at nine, and again at noon.", mtime=0)
    )
    (folder / "rows.jsonl").write_bytes(b"".join(_row(number) for number in range(ROWS)))
    (folder / "table.csv").write_text("id,text,year\n" + "".join(_line(number) for number in range(LINES)))
    return folder


def _row(number: int) -> bytes:
    """Three of them are broken."""
    match number:
        case 5:
            return b'{"id": "row-5", "text": "it breaks off\n'
        case 11:
            return b'{"id": "row-11", "title": "no text"}\n'
        case 17:
            return b'{"id": "row-17", "text": null}\n'
        case _:
            words = page(1000 + number).split("---", 2)[2].split()
            text = " ".join(words[: 20 + 15 * (number % 7)]) + ("\0" if number == 3 else "")
            return json.dumps({"id": f"row-{number}", "text": text, "year": 1900 + number}).encode() + b"\n"


def _line(number: int) -> str:
    return f'line-{number},"The lamp number {number}, which is green, was lit twice.",{1900 + number}\n'


def poisoned(folder: Path) -> str:
    """The library with a page that kills whoever reads it; its document id."""
    text = page(7).replace("\n\n", f"\n\n{POISON} {POISON}.\n\n", 2)
    (folder / "pages/page-007.md").write_text(text)
    return "pages/page-007.md"
