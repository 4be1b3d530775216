"""A file of ids and texts, or ids and texts one by one -> which text stands for which id, and which ids have none.

JSON lines are as BEIR has them; other files have two columns with a tab between, as MS MARCO has them.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from embedstack.errors import ConfigError
from embedstack.evals.sets.text_lines import filled

HEADERS = ({"id", "_id", "docid", "doc_id", "qid", "query_id", "pid"}, {"text", "query", "passage", "document"})


class Texts:
    """Of one file.

    Args:
        place: the file, for messages.
        unit: what is counted in it, for messages.
    """

    def __init__(self, place: str, unit: str = "line") -> None:
        self.place = place
        self.kept: dict[str, str] = {}  # id -> text
        self.blank: set[str] = set()  # ids whose text is empty or white space
        self._unit = unit

    def add(self, name: str, text: str, at: int) -> None:
        """One more, without white space around it, so that a set is the same in every kind of file.

        Twice the same is once.

        Args:
            name: its id.
            at: which of the units it is.
        Raises:
            ConfigError: the id is empty, or stands for another text already.
        """
        if not name:
            raise ConfigError(f"{self._unit} {at} of {self.place!r} has an empty id; give it one")
        text = text.strip()
        if self._is_other(name, text):
            raise ConfigError(
                f"{self._unit} {at} of {self.place!r} has another text for id {name!r} than an earlier one; "
                "give each text an id of its own"
            )
        if text:
            self.kept[name] = text
        else:
            self.blank.add(name)

    def _is_other(self, name: str, text: str) -> bool:
        return (name in self.blank and text != "") or self.kept.get(name, text) != text


def read_documents(path: Path) -> Texts:
    """Of JSON lines, where a title goes before its text, or of two columns with a tab between.

    Raises:
        ConfigError: a line is neither, an id has two texts, or no line has a text.
    """
    return _read(path, _Row.whole)


def read_queries(path: Path) -> Texts:
    """Likewise, but that a title is no part of a query: `GenericDataLoader` in beir/datasets/data_loader.py.

    Raises:
        ConfigError: a line is neither, an id has two texts, or no line has a text.
    """
    return _read(path, _Row.alone)


def _read(path: Path, text_of: "Callable[[_Row], str]") -> Texts:
    first = next(filled(path), (0, ""))[1]
    texts = Texts(str(path))
    for line, name, text in _json_rows(path, text_of) if first.lstrip().startswith("{") else _tab_rows(path):
        texts.add(name, text, line)
    if not texts.kept:
        raise ConfigError(f"{str(path)!r} has no text; give JSON lines with _id and text, or lines id<TAB>text")
    return texts


class _Row(msgspec.Struct):
    name: str | int = msgspec.field(name="_id")
    text: str | None
    title: str | None = None

    def whole(self) -> str:
        """As BEIR gives it to a model, also where there is no title.

        Source:
            `extract_corpus_sentences` in beir/retrieval/models/util.py, with the `sep` of SentenceBERT,
            https://github.com/beir-cellar/beir/blob/1440b9d14c4c3149712d9c456f847df358363db8/beir/retrieval/models/util.py.
        """
        return f"{self.title or ''} {self.text or ''}"

    def alone(self) -> str:
        """Without the title."""
        return self.text or ""


def _json_rows(path: Path, text_of: Callable[[_Row], str]) -> Iterator[tuple[int, str, str]]:
    decoder = msgspec.json.Decoder(_Row)
    for number, line in filled(path):
        try:
            row = decoder.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ConfigError(
                f"line {number} of {str(path)!r} is no JSON object with _id and text: {error}; "
                'one is: {"_id": "d1", "text": "..."}'
            ) from error
        yield number, str(row.name), text_of(row)


def _tab_rows(path: Path) -> Iterator[tuple[int, str, str]]:
    for number, line in filled(path):
        cells = line.split("\t")
        if len(cells) != 2:
            raise ConfigError(
                f"line {number} of {str(path)!r} has {len(cells)} columns; an id, a tab and a text are two"
            )
        if number > 1 or any(cell.strip().lower() not in known for cell, known in zip(cells, HEADERS, strict=True)):
            yield number, cells[0].strip(), cells[1]
