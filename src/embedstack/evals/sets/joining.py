"""Documents, queries and judgements as files have them -> a labelled set without what cannot be judged by, and notes.

Left out: judgements of what the set lacks (unless that is most of it, which is an error), queries and documents without
text, and queries without judgement.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

from embedstack.errors import ConfigError
from embedstack.evals.metrics import Qrels
from embedstack.evals.sets.digests import digest_of_labelled
from embedstack.evals.sets.judgements import Judgements
from embedstack.evals.sets.labelled import Labelled
from embedstack.evals.sets.texts import Texts


def joined(
    name: str,
    judgements: Judgements,
    documents: Texts | None = None,
    queries: Texts | None = None,
    *,
    notes: Sequence[str] = (),
) -> Labelled:
    """The set of that name; without texts only rankings can be judged by it.

    Its judgements stand in the order of the ids, so that the same ones give the same sums.

    Args:
        notes: what was left out before.
    Raises:
        ConfigError: most judged queries or documents are unknown, or no judgement is left.
    """
    _check_known(judgements, documents, queries)
    qrels = _left(judgements, documents, queries)
    if not qrels:
        raise ConfigError(f"{judgements.place!r} has no judgement of a query and a document with text; give some")
    texts = documents.kept if documents else {}
    asked = {query: text for query, text in queries.kept.items() if query in qrels} if queries else {}
    return Labelled(
        name=name,
        digest=digest_of_labelled(texts, asked, qrels),
        documents=texts,
        queries=asked,
        qrels=qrels,
        notes=(
            *notes,
            *_query_notes(judgements, queries),
            *_document_notes(judgements, documents),
            *_judgement_notes(qrels, judgements, queries),
        ),
    )


def _left(judgements: Judgements, documents: Texts | None, queries: Texts | None) -> Qrels:
    left = {
        query: {d: grades[d] for d in sorted(grades) if documents is None or d in documents.kept}
        for query, grades in sorted(judgements.grades.items())
        if queries is None or query in queries.kept
    }
    return {query: grades for query, grades in left.items() if grades}


# ------------------------------------------------------------------------------------------------ unknown ids


def _check_known(judgements: Judgements, documents: Texts | None, queries: Texts | None) -> None:
    for judged, texts, what in (
        (judgements.grades, queries, "queries"),
        (_judged_documents(judgements), documents, "documents"),
    ):
        if texts is not None and _is_mostly_unknown(judged, texts):
            unknown = _unknown(judged, texts)
            is_swapped = documents is not None and queries is not None and _would_fit(judgements, queries, documents)
            advice = "swap its query and document columns" if is_swapped else "give judgements of these texts"
            raise ConfigError(
                f"{len(unknown)} of {len(judged)} judged {what} of {judgements.place!r} are not in {texts.place!r}, "
                f"the first is {unknown[0]!r}; {advice}"
            )


def _would_fit(judgements: Judgements, documents: Texts, queries: Texts) -> bool:
    return not (
        _is_mostly_unknown(judgements.grades, queries) or _is_mostly_unknown(_judged_documents(judgements), documents)
    )


def _is_mostly_unknown(judged: Collection[str], texts: Texts) -> bool:
    return 2 * len(_unknown(judged, texts)) > len(judged)


def _unknown(judged: Collection[str], texts: Texts) -> list[str]:
    return [name for name in judged if name not in texts.kept and name not in texts.blank]


def _judged_documents(judgements: Judgements) -> Collection[str]:
    """Each once, in the order of the file."""
    return {document: None for grades in judgements.grades.values() for document in grades}


# ------------------------------------------------------------------------------------------------ notes


def _query_notes(judgements: Judgements, queries: Texts | None) -> list[str]:
    if queries is None:
        return []
    judged, there = judgements.grades, len(queries.kept) + len(queries.blank)
    unknown = _unknown(judged, queries)
    blank = [query for query in judged if query in queries.blank]
    unjudged = there - (len(judged) - len(unknown))
    return [
        *_note(unknown, f"{len(judged)} judged queries, not in {Path(queries.place).name!r}"),
        *_note(blank, f"{len(judged)} judged queries, without text"),
        *([f"left out: {unjudged} of {there} queries, not judged"] if unjudged else []),
    ]


def _document_notes(judgements: Judgements, documents: Texts | None) -> list[str]:
    if documents is None:
        return []
    judged, there = _judged_documents(judgements), len(documents.kept) + len(documents.blank)
    unknown, blank = _unknown(judged, documents), sorted(documents.blank)
    return [
        *_note(
            unknown,
            f"{len(judged)} judged documents, not in {Path(documents.place).name!r}",
            _lost(judgements, unknown),
        ),
        *_note(blank, f"{there} documents, without text", _lost(judgements, blank)),
    ]


def _lost(judgements: Judgements, documents: Collection[str]) -> str:
    gone = set(documents)
    lost = sum(grade > 0 and d in gone for grades in judgements.grades.values() for d, grade in grades.items())
    return f"; with them went {lost} judged as relevant, so recall is of fewer" if lost else ""


def _judgement_notes(qrels: Qrels, judgements: Judgements, queries: Texts | None) -> list[str]:
    known = [query for query in judgements.grades if queries is None or query in queries.kept]
    emptied = [query for query in known if query not in qrels]
    idle = [query for query, grades in qrels.items() if max(grades.values()) < 1]
    return [
        *_note(emptied, f"{len(known)} judged queries, without a judgement that is left"),
        *_note(idle, f"{len(qrels)} queries, without a relevant document", done="counted as 0"),
    ]


def _note(names: Sequence[str], of: str, rest: str = "", *, done: str = "left out") -> list[str]:
    return [f"{done}: {len(names)} of {of}, such as {names[0]!r}{rest}"] if names else []
