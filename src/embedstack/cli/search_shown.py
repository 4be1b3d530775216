"""What a search found -> lines for people, as wide as their terminal, or one object for machines. Pure."""

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence

from embedstack.databases.database import Json
from embedstack.search.found import Found, FoundPoint, text_of
from embedstack.search.words import words

LINES = 2  # of a text
LEAST_WIDTH = 30  # columns; below nothing could be read
BEFORE = 24  # characters in front of the first word that was looked for
SHORTEST = 3  # characters of a word that is looked for
WHITE = re.compile(r"\s+")
WORD = re.compile(r"\w+")


def lines_of(found: Found, question: str, text_key: str, columns: int) -> Iterator[str]:
    """Rank, score, document and headings; below them the part of the text that has words of the question."""
    columns = max(columns, LEAST_WIDTH)
    digits = len(str(len(found.points)))
    wanted = {word for word in words(question) if len(word) >= SHORTEST}
    for rank, point in enumerate(found.points, 1):
        front = f"{rank:>{digits}}  {point.score:.4f}  "
        yield front + titled(title_parts(point), columns - width_of(front))
        indent = " " * (digits + 2)
        for line in wrapped(snippet(plain(text_of(point, text_key) or ""), wanted), columns - len(indent), LINES):
            yield indent + line


def as_json(found: Found, question: str, collection: str) -> dict[str, object]:
    """All that is known of it."""
    results = [
        {"rank": rank, "id": point.id, "score": point.score, "scores": dict(point.scores), "payload": point.payload}
        for rank, point in enumerate(found.points, 1)
    ]
    return {
        "query": question,
        "collection": collection,
        "fields": list(found.fields),
        "notes": list(found.notes),
        "took_s": dict(found.took_s),
        "results": results,
    }


def title_parts(point: FoundPoint) -> list[str]:
    """The document, and its headings down to the passage."""
    named = (point.payload.get(key) for key in ("doc_id", "id"))  # the second of rows that a load brought
    document = next((one for one in named if isinstance(one, str)), str(point.id))
    return [plain(part) for part in (document, *_headings(point.payload))]


def titled(parts: Sequence[str], columns: int) -> str:
    """In one line; where that is too long, the first headings are left out, as the last one says most."""
    document, *headings = parts
    for first in range(len(headings)):
        line = " › ".join([document, *(["…"] if first else []), *headings[first:]])
        if width_of(line) <= columns:
            return line
    return cut(" › ".join([document, *headings[-1:]]), columns)


def plain(text: str) -> str:
    """In one line, without what would move a cursor or change colours: a document may hold anything."""
    seen = "".join(" " if unicodedata.category(one)[0] == "Z" else one for one in WHITE.sub(" ", text))
    return "".join(one for one in seen if unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Co")).strip()


def snippet(text: str, wanted: Collection[str]) -> str:
    """From shortly before the first word of the question on, or from the beginning."""
    places = (match.start() for match in WORD.finditer(text) if match[0].casefold().replace("ё", "е") in wanted)
    start = max(0, next(places, 0) - BEFORE)
    if start == 0:
        return text
    space = text.find(" ", start)
    return f"… {text[space + 1 :]}"


def wrapped(text: str, columns: int, most: int) -> list[str]:
    """So many lines at most; the last one says whether there is more."""
    lines: list[str] = []
    rest = text
    while rest and len(lines) < most - 1:
        line, rest = _first_line(rest, columns)
        lines.append(line)
    return [*lines, cut(rest, columns)] if rest else lines


def cut(text: str, columns: int) -> str:
    """As much as fits, with a sign where something is missing."""
    fits = _fitting(text, columns)
    return text if fits == len(text) else f"{text[: _fitting(text, columns - 1)]}…"


def width_of(text: str) -> int:
    """Columns of a terminal: signs of East Asia take two, marks none."""
    return sum(map(_width, text))


def _first_line(text: str, columns: int) -> tuple[str, str]:
    """Up to a space, if there is one in the last half."""
    fits = _fitting(text, columns)
    if fits == len(text):
        return text, ""
    space = text.rfind(" ", fits // 2, fits + 1)
    end = space if space > 0 else fits
    return text[:end], text[end:].lstrip()


def _fitting(text: str, columns: int) -> int:
    """Characters."""
    used = 0
    for place, one in enumerate(text):
        used += _width(one)
        if used > columns:
            return place
    return len(text)


def _width(one: str) -> int:
    if unicodedata.combining(one):
        return 0
    return 2 if unicodedata.east_asian_width(one) in "WF" else 1


def _headings(payload: Mapping[str, Json]) -> Sequence[str]:
    metadata = payload.get("metadata")
    headings = metadata.get("headings") if isinstance(metadata, dict) else None
    return [one for one in headings if isinstance(one, str)] if isinstance(headings, list) else []
