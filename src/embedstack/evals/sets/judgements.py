"""Judgements one by one -> which documents are relevant to which query, each pair with one grade."""

import re

from embedstack.errors import ConfigError

WHOLE = re.compile(r"[+-]?[0-9]{1,9}(\.0*)?")


def grade_of(text: str) -> int | None:
    """The grade that is written so, or None where it is no whole number.

    "1.0" is 1, as trec_eval takes it. "0.5" is refused: trec_eval makes 0 of it without a word.

    Source:
        `te_get_qrels` in trec_eval's get_qrels.c; https://github.com/usnistgov/trec_eval/issues/49.
    """
    return int(text.partition(".")[0]) if WHOLE.fullmatch(text) else None


class Judgements:
    """Of one file.

    Args:
        place: the file, for messages.
        unit: what is counted in it, for messages.
    """

    def __init__(self, place: str, unit: str = "line") -> None:
        self.place = place
        self.grades: dict[str, dict[str, int]] = {}  # query -> document -> grade
        self._unit = unit

    def add(self, query: str, document: str, grade: int, at: int) -> None:
        """One more; twice the same is once.

        Args:
            at: which of the units it is.
        Raises:
            ConfigError: the pair has another grade already.
        """
        before = self.grades.setdefault(query, {}).setdefault(document, grade)
        if before != grade:
            raise ConfigError(
                f"{self._unit} {at} of {self.place!r} gives document {document!r} the grade {grade} for query "
                f"{query!r}, which an earlier one gave {before}; keep one of them"
            )
