"""Jobs for vectors of sentences that were read within their text become late chunking, and its vectors outputs.

Source: `handler.py` of mariorinawan12/runpod-ingest at c7bc047; the keys are its own. Not as there, the vectors stand
in the order of the sentences and not of their places, and a sentence that is not in the text is an error: there it got
the vector of a neighbour, or of the beginning. Its states came from the whole text, cut at the limit of the model; ours
come from windows that overlap.
"""

from collections.abc import Iterator, Mapping, Sequence

from embedstack.dialects.dialect import AnyRoute, Limits, Route, Wire
from embedstack.dialects.jobs import Json, completed
from embedstack.dialects.kriptikworker_text import text_model
from embedstack.dialects.runpod_identity import made
from embedstack.dialects.runpod_input import PATH, Kind, reader
from embedstack.dialects.runpod_outputs import LateBatchReply, LateReply
from embedstack.dialects.runpod_shapes import LateBatchInput, LateBatchJob, LateInput, LateJob, Paragraph, Written
from embedstack.dialects.runpod_vectors import form_of, rows_as
from embedstack.dialects.sentences import parts_of
from embedstack.dialects.wire import check_count
from embedstack.modelspec import ModelSpec
from embedstack.types import Encode, Encoded, Text


def late_routes() -> Mapping[Kind, AnyRoute]:
    """The actions that read sentences within their text."""
    sentences = ["A cat is a small animal.", "It sees well at night."]
    paragraph = " ".join(sentences)
    told = Paragraph(paragraph_text=paragraph, sentence_texts=sentences)
    return {
        "late": Route(
            path=PATH,
            task="embed",
            summary="A job with the action late_chunk: vectors of sentences, read within their text.",
            body=LateJob,
            reply=LateReply,
            example=LateJob(LateInput(action="late_chunk", paragraph_text=paragraph, sentence_texts=sentences)),
            read=reader("late", LateJob),
            ask=ask_late,
            write=write_late,
            takes_none=True,
        ),
        "lates": Route(
            path=PATH,
            task="embed",
            summary="A job with the action late_chunk_batch: the same of several texts.",
            body=LateBatchJob,
            reply=LateBatchReply,
            example=LateBatchJob(LateBatchInput(action="late_chunk_batch", paragraphs=[told])),
            read=reader("lates", LateBatchJob),
            ask=ask_lates,
            write=write_lates,
            takes_none=True,
        ),
    }


def ask_late(body: LateJob, limits: Limits, models: Sequence[ModelSpec]) -> Encode | None:
    """None of no sentences, for which the original has an answer, too."""
    paragraph = _paragraph(body)
    if not _has_sentences(paragraph):
        return None
    check_count(len(paragraph.sentence_texts), limits, "input.sentence_texts")
    model = text_model(body.input.model, limits, models)
    return _encode(paragraph, body.input.prefix_len, model, limits)


def write_late(body: LateJob, answer: Encoded | None) -> Wire:
    """The vectors of the sentences, in their order."""
    if answer is None:
        return completed({"vectors": []})
    form = body.input.encoding_format
    vectors = _vectors(_paragraph(body), body.input.prefix_len, answer, form)
    return completed({"vectors": vectors, **form_of(form), **made(answer)}, answer)


def _paragraph(body: LateJob) -> Paragraph:
    return Paragraph(paragraph_text=body.input.paragraph_text, sentence_texts=body.input.sentence_texts)


def ask_lates(body: LateBatchJob, limits: Limits, models: Sequence[ModelSpec]) -> Encode | tuple[Encode, ...] | None:
    """A request for each text that has sentences."""
    given = [one for one in body.input.paragraphs if _has_sentences(one)]
    if not given:
        return None
    check_count(sum(len(one.sentence_texts) for one in given), limits, "input.paragraphs")
    model = text_model(body.input.model, limits, models)
    requests = tuple(_encode(one, 0, model, limits) for one in given)
    return requests if len(requests) > 1 else requests[0]


def write_lates(body: LateBatchJob, answer: Encoded | tuple[Encoded, ...] | None) -> Wire:
    """The same of each text."""
    answers = answer if isinstance(answer, tuple) else () if answer is None else (answer,)
    left, form = iter(answers), body.input.encoding_format
    rows: list[Json] = [
        {"vectors": _vectors(one, 0, next(left), form) if _has_sentences(one) else []} for one in body.input.paragraphs
    ]
    return completed({"results": rows, **form_of(form), **(_together(answers) if answers else {})}, answer)


def _together(answers: Sequence[Encoded]) -> Json:
    """Who made them, with the counts of all."""
    counts = ("tokens_used", "truncated", "dropped_tokens")
    said = [made(one) for one in answers]
    return {**said[0], **{name: sum(int(str(one[name])) for one in said) for name in counts}}


def _has_sentences(paragraph: Paragraph) -> bool:
    return bool(paragraph.paragraph_text and paragraph.sentence_texts)


def _encode(paragraph: Paragraph, prefix: int, model: str, limits: Limits) -> Encode:
    items = tuple(Text(text) for text, _ in _parts(paragraph, prefix))
    return Encode(model=model, items=items, normalize=True, truncate=limits.truncate, late_chunking=True)


def _parts(paragraph: Paragraph, prefix: int) -> Iterator[tuple[str, int | None]]:
    """All of the text with its context before it, in parts, and which sentence each of them is."""
    context = paragraph.section_context or ""
    before = f"{context}: " if context.strip() else ""
    text = before + paragraph.paragraph_text
    parts = parts_of(text, paragraph.sentence_texts, "sentence_texts", before=len(before) + prefix)
    return ((part.text, part.sentence) for part in parts)


def _vectors(paragraph: Paragraph, prefix: int, answer: Encoded, form: Written | None) -> list[object]:
    """Those of the sentences, in their order; what stands between them has some too, which nobody asked for."""
    numbers = [sentence for _, sentence in _parts(paragraph, prefix)]
    rows = {number: row for number, row in zip(numbers, rows_as(answer, form), strict=True) if number is not None}
    return [rows[number] for number in range(len(rows))]
