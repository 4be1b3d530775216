"""A path -> what rankings or vectors are judged by, read as what it is found to be."""

from pathlib import Path

from embedstack.errors import ConfigError
from embedstack.evals.sets.beir import is_beir, read_beir
from embedstack.evals.sets.joining import joined
from embedstack.evals.sets.judged_csv import judged_table, read_judged
from embedstack.evals.sets.labelled import Labelled, Pairs
from embedstack.evals.sets.pairs import pairs_table, read_pairs
from embedstack.evals.sets.qrels import NotQrels, read_qrels
from embedstack.evals.sets.squad import NotSquad, read_squad
from embedstack.evals.sets.text_lines import NotText, filled
from embedstack.evals.sets.texts import read_documents, read_queries

LABELLED = (
    "a BEIR folder (corpus.jsonl, queries.jsonl, qrels/test.tsv), a SQuAD JSON, a CSV with the columns query and text, "
    "or query and document_id, or a qrels file (query, iteration, document, grade)"
)
PAIRS = "a CSV with the columns sentence1, sentence2 and score, or of rows text, text, number"


def open_labelled(
    path: Path, *, split: str = "", documents: Path | None = None, queries: Path | None = None
) -> Labelled:
    """A BEIR folder, a SQuAD JSON, a CSV of judged texts, or a qrels file.

    Args:
        split: of a BEIR folder; "" is "test", or the only one there is.
        documents: the texts of a qrels file: JSON lines as BEIR has them, or an id, a tab and a text a line.
        queries: likewise. Without both only rankings can be judged.
    Raises:
        ConfigError: it is none of these, cannot be read, or contradicts itself.
    """
    if path.is_dir():
        if not is_beir(path):
            raise _unknown(path, "it is a folder without corpus.jsonl", LABELLED)
        if documents or queries:
            raise ConfigError(f"{str(path)!r} is a folder with texts of its own; give no others, or name a qrels file")
        return read_beir(path, split)
    if split:
        raise ConfigError(f"{str(path)!r} is no folder, so it has no split {split!r}; leave the split out")
    return _qrels(path, documents, queries) if documents or queries else _file(path)


def open_pairs(path: Path) -> Pairs:
    """A CSV of pairs of texts.

    Raises:
        ConfigError: it is something else, cannot be read, or a grade is no number.
    """
    _first_line(path, PAIRS)
    table = pairs_table(path)
    if table is None:
        raise _unknown(path, "its first row has no such columns", PAIRS)
    return read_pairs(table)


def _file(path: Path) -> Labelled:
    first = _first_line(path, LABELLED)
    try:
        if first.startswith(("{", "[")):
            return read_squad(path)
        table = judged_table(path)
        return read_judged(table) if table else _qrels(path, None, None)
    except NotSquad as error:
        why = "it is a part of a BEIR folder, so name the folder" if '"_id"' in first else error.why
        raise _unknown(path, why, LABELLED) from error
    except NotQrels as error:
        raise _unknown(path, error.why, LABELLED) from error


def _first_line(path: Path, wanted: str) -> str:
    try:
        return next((line for _, line in filled(path)), "").lstrip()
    except NotText as error:
        raise _unknown(path, "it is not UTF-8", wanted) from error


def _qrels(path: Path, documents: Path | None, queries: Path | None) -> Labelled:
    return joined(
        path.name,
        read_qrels(path),
        read_documents(documents) if documents else None,
        read_queries(queries) if queries else None,
    )


def _unknown(path: Path, why: str, wanted: str) -> ConfigError:
    return ConfigError(f"{str(path)!r} is nothing to judge by: {why}; give {wanted}")
