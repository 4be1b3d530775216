"""Jobs of the workers for queries and for ingest that embed, and the check of their health, become Encodes, and back.

Sources: `handler.py` of mariorinawan12/runpod-query at d8c8b7f and of mariorinawan12/runpod-ingest at c7bc047: keys
and words of errors are theirs. There no prompt goes in front, for BGE-M3 has none; here a model's own prompts do, by
what the texts are. `is_query` says what those of a batch are, which was overlooked there. A health check makes a
vector.
"""

from collections.abc import Mapping, Sequence

from embedstack.dialects.dialect import AnyRoute, Limits, Route, Wire
from embedstack.dialects.jobs import Json, completed
from embedstack.dialects.kriptikworker_text import BGE, text_model
from embedstack.dialects.runpod_identity import made
from embedstack.dialects.runpod_input import PATH, JobRefused, Kind, reader
from embedstack.dialects.runpod_outputs import HealthReply, QueryReply
from embedstack.dialects.runpod_shapes import (
    BatchInput,
    BatchJob,
    HealthInput,
    HealthJob,
    QueryInput,
    QueryJob,
    Written,
)
from embedstack.dialects.runpod_vectors import TWO, form_of, rows_as, texts_or_refusal
from embedstack.dialects.wire import check_count, encoder_of
from embedstack.modelspec import ModelSpec
from embedstack.types import Encode, Encoded, Text

PROBE = "Is anybody there?"


def query_routes() -> Mapping[Kind, AnyRoute]:
    """Jobs with a query, and the actions that make vectors of whole texts."""
    return {
        "query": Route(
            path=PATH,
            task="embed",
            summary="A job with a query or several: their vectors.",
            body=QueryJob,
            reply=QueryReply,
            example=QueryJob(QueryInput(queries=["what is a cat?", "why does rain fall?"])),
            read=reader("query", QueryJob),
            ask=ask_query,
            write=write_query,
            unsaid_role="query",
        ),
        "batch": Route(
            path=PATH,
            task="embed",
            summary="A job with the action embed_batch: the vectors of its texts.",
            body=BatchJob,
            reply=QueryReply,
            example=BatchJob(BatchInput(action="embed_batch", texts=[*TWO])),
            read=reader("batch", BatchJob),
            ask=ask_batch,
            write=write_batch,
        ),
        "health": Route(
            path=PATH,
            task="embed",
            summary="A job with the action health_check: whether the model makes vectors.",
            body=HealthJob,
            reply=HealthReply,
            example=HealthJob(HealthInput(action="health_check")),
            read=reader("health", HealthJob),
            ask=ask_health,
            write=write_health,
        ),
    }


def ask_query(body: QueryJob, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    """Of several queries, if there are some, else of one."""
    given = body.input
    texts = _queries(body) or ([given.query] if given.query else [])
    if not texts:
        raise JobRefused("No query provided", "query")
    check_count(len(texts), limits, "input.queries")
    return _encode(texts, "query", text_model(given.model, limits, models), limits)


def _queries(body: QueryJob) -> list[str]:
    queries = body.input.queries or []
    return [queries] if isinstance(queries, str) else queries


def write_query(body: QueryJob, answer: Encoded) -> Wire:
    """Under the key of one, or of several."""
    rows = rows_as(answer, body.input.encoding_format)
    vectors: Json = {"embeddings": rows} if _queries(body) else {"embedding": rows[0]}
    return completed({**vectors, **_about(answer, body.input.encoding_format)}, answer)


def ask_batch(body: BatchJob, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    """Vectors of documents, or of queries."""
    given = body.input
    texts = texts_or_refusal(given.texts)
    check_count(len(texts), limits, "input.texts")
    model = text_model(given.model, limits, models)
    if given.is_query is None:
        _check_roles_are_one(limits.spec_of(model, models))
    return _encode(texts, "query" if given.is_query else "document", model, limits)


def _check_roles_are_one(spec: ModelSpec | None) -> None:
    """Refuse to guess where the guess would change the vectors."""
    if spec is not None and spec.prompts.get("query", "") != spec.prompts.get("document", ""):
        raise JobRefused(
            f"model {spec.name!r} reads queries and documents differently, and the job does not say which its texts "
            "are; send is_query true or false",
            "is_query",
        )


def write_batch(body: BatchJob, answer: Encoded) -> Wire:
    """In the order of the texts."""
    form = body.input.encoding_format
    return completed({"embeddings": rows_as(answer, form), **_about(answer, form)}, answer)


def ask_health(body: HealthJob, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    """Of several models the one that jobs without a name get, or the first."""
    able = [spec for spec in models if spec.task == "embed" and "text" in spec.inputs]
    known = limits.spec_of(BGE, models)
    one = [spec for spec in able if known is not None and spec.name == known.name] or able[:1]
    return _encode([PROBE], "query", text_model(body.input.model, limits, one), limits)


def write_health(_: HealthJob, answer: Encoded) -> Wire:
    """Ready: a vector was just made."""
    runtime = encoder_of(answer.spec) or "embedstack"
    return completed({"status": "ok", "endpoint": "query", "runtime": runtime, **_about(answer, None)}, answer)


def _encode(texts: Sequence[str], role: str, model: str, limits: Limits) -> Encode:
    items = tuple(Text(text, role) for text in texts)
    return Encode(model=model, items=items, normalize=True, truncate=limits.truncate)


def _about(answer: Encoded, form: Written | None) -> Json:
    assert answer.dense is not None
    return {"dimensions": answer.dense.shape[1], **form_of(form), **made(answer)}
