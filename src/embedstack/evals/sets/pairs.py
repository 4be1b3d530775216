"""CSV of two texts and how alike people found them -> pairs; with a header, or without as STS-B has it."""

import math
from collections.abc import Iterator
from pathlib import Path

from embedstack.errors import ConfigError
from embedstack.evals.sets.digests import digest_of_pairs
from embedstack.evals.sets.labelled import Pairs
from embedstack.evals.sets.tables import DELIMITERS, Table, first_record, table_of

KNOWN = {
    "first": ("sentence1", "sentence_1", "text1", "text_1", "first", "premise"),
    "second": ("sentence2", "sentence_2", "text2", "text_2", "second", "hypothesis"),
    "grade": ("score", "label", "grade", "similarity", "similarity_score", "relatedness_score"),
}


def pairs_table(path: Path) -> Table | None:
    """The table, if its header names two texts and a grade, or if it has three columns and ends in a number.

    Raises:
        ConfigError: two columns hold the same.
    """
    return table_of(path, KNOWN, tuple(KNOWN)) or next(
        (
            Table(path, delimiter, len(KNOWN), dict(zip(KNOWN, range(3), strict=True)), has_header=False)
            for delimiter in DELIMITERS
            if _is_pair(first_record(path, delimiter))
        ),
        None,
    )


def read_pairs(table: Table) -> Pairs:
    """Those of which both have text.

    Raises:
        ConfigError: a grade is no number, or no pair is left.
    """
    rows = list(_rows(table))
    kept = [row for row in rows if row[0].strip() and row[1].strip()]
    if not kept:
        raise ConfigError(f"{str(table.path)!r} has no pair of texts; give rows: text, text, grade")
    blank = len(rows) - len(kept)
    return Pairs(
        name=table.path.name,
        digest=digest_of_pairs(kept),
        firsts=tuple(first for first, _, _ in kept),
        seconds=tuple(second for _, second, _ in kept),
        grades=tuple(grade for _, _, grade in kept),
        notes=(f"left out: {blank} of {len(rows)} pairs, which lack a text",) if blank else (),
    )


def _rows(table: Table) -> Iterator[tuple[str, str, float]]:
    first, second, grade = (table.columns[what] for what in KNOWN)
    for line, row in table.rows():
        number = _number(row[grade])
        if number is None:
            raise ConfigError(f"line {line} of {str(table.path)!r} has the grade {row[grade]!r}; write a number")
        yield row[first], row[second], number


def _is_pair(row: list[str]) -> bool:
    return len(row) == len(KNOWN) and _number(row[2]) is not None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
