"""`/rerank` and `/predict` of Text Embeddings Inference: scores as bare arrays, best first.

Source: https://github.com/huggingface/text-embeddings-inference, router/src/http and core/src/infer.rs at 0d124dc. As
there, a score is made of the logits whatever the model's config says: the sigmoid of one, the softmax of several,
or as they are with `raw_scores`.
"""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec
import numpy as np

from embedstack.dialects.arrays import hear_ranks
from embedstack.dialects.dialect import AnyRoute, Field, Limits, Route, Wire
from embedstack.dialects.ranking import sigmoid
from embedstack.dialects.reply import must_carry, one_query
from embedstack.dialects.tei_terms import Truncated, model_of, side, spent, truncation
from embedstack.dialects.wire import EmptyList, Misfit, check_count, decode, dump
from embedstack.modelspec import ModelSpec, Task
from embedstack.types import Classified, Classify, Floats, Pair, Score, Scored, Text

CARRIES: frozenset[Field] = frozenset({"truncate", "raw_scores"})
PredictInput: TypeAlias = str | list[str | list[str]]
"""A text, a pair of texts, or a list of texts and pairs, each in a list of its own."""


class RerankBody(Truncated, kw_only=True, omit_defaults=True):
    """A query and the texts to order by it."""

    query: str
    texts: list[str]
    raw_scores: bool = False
    return_text: bool = False


class Rank(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The score of one text."""

    index: int
    score: float
    text: str | msgspec.UnsetType = msgspec.UNSET  # only if return_text


class PredictBody(Truncated, kw_only=True, omit_defaults=True):
    """Texts and pairs to give labels to."""

    inputs: PredictInput
    raw_scores: bool = False


class Prediction(msgspec.Struct, forbid_unknown_fields=True):
    """The score of one label."""

    score: float
    label: str


_RERANK = msgspec.json.Decoder(RerankBody)
_PREDICT = msgspec.json.Decoder(PredictBody)


def rerank_route(path: str = "/rerank") -> AnyRoute:
    """`/rerank`."""
    return Route(
        path=path,
        task="rerank",
        summary="Texts ordered by their relevance to a query, as Text Embeddings Inference gives them.",
        body=RerankBody,
        reply=list[Rank],
        example=RerankBody(query="what is a cat?", texts=["rain falls", "a cat is a small animal"]),
        read=lambda raw: decode(_RERANK, raw),
        ask=_ask_rerank,
        write=_write_rerank,
        carries=CARRIES,
        say=_say,
        hear=hear_ranks,
    )


def predict_route(task: Task = "classify", path: str = "/predict") -> AnyRoute:
    """`/predict`, which in the original takes rerankers too: they are classifiers with one label."""
    return Route(
        path=path,
        task=task,
        summary="Labels of texts and of pairs, as Text Embeddings Inference gives them.",
        body=PredictBody,
        reply=list[Prediction | list[Prediction]],
        example=PredictBody(inputs=[["rain falls"], ["what is a cat?", "a cat is a small animal"]]),
        read=_read_predict,
        ask=lambda body, limits, models: _ask_predict(task, body, limits, models),
        write=_write_predict,
    )


# ------------------------------------------------------------------------------------------------ rerank


def _ask_rerank(body: RerankBody, limits: Limits, models: Sequence[ModelSpec]) -> Score:
    check_count(len(body.texts), limits, "texts")
    return Score(
        model=model_of("rerank", body.model, limits, models),
        items=tuple(Pair(body.query, text) for text in body.texts),
        raw_scores=True,
        truncate=truncation(body, limits),
    )


def _write_rerank(body: RerankBody, answer: Scored) -> Wire:
    scores = answer.scores if body.raw_scores else _activated(answer.scores[:, None])[:, 0]
    ranks: list[dict[str, object]] = [{"index": i, "score": scores[i]} for i in answer.order]
    if body.return_text:
        ranks = [{**rank, "text": body.texts[index]} for rank, index in zip(ranks, answer.order, strict=True)]
    count = len(body.query) * len(body.texts) + sum(map(len, body.texts))
    return Wire(200, dump(ranks), spent(answer.usage, count))


def _say(request: Score) -> RerankBody:
    must_carry(request, CARRIES, "tei")
    return RerankBody(
        query=one_query(request),
        texts=[pair.document for pair in request.items],
        truncate=request.truncate != "refuse",
        truncation_direction=side(request.truncate),
        raw_scores=request.raw_scores,
        model=request.model or None,
    )


def _activated(logits: Floats) -> Floats:
    """(items, labels) in and out: the sigmoid of one label, the softmax of several.

    Source: https://github.com/huggingface/text-embeddings-inference/blob/0d124dc/core/src/infer.rs, `predict`.
    """
    if logits.shape[1] == 1:
        return sigmoid(logits)
    exact = logits.astype(np.float64)
    powers = np.exp(exact - exact.max(axis=1, keepdims=True))
    shares: Floats = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


# ------------------------------------------------------------------------------------------------ predict


def _read_predict(raw: bytes) -> PredictBody:
    body = decode(_PREDICT, raw)
    _items(body.inputs)
    return body


def _items(inputs: PredictInput) -> tuple[Text | Pair, ...]:
    """One for each text and each pair.

    Raises:
        Misfit: a list is neither a text, a pair nor a batch of these.
    """
    if isinstance(inputs, str):
        return (Text(inputs, "none"),)
    flat = [one for one in inputs if isinstance(one, str)]
    nested = [one for one in inputs if not isinstance(one, str)]
    if not flat and nested:
        return tuple(_item(one, f"inputs[{place}]") for place, one in enumerate(nested))
    if nested:
        raise Misfit("inputs mixes texts with lists; put each text and each pair into a list of its own", "inputs")
    return (_item(flat, "inputs"),)


def _item(texts: list[str], name: str) -> Text | Pair:
    if len(texts) == 1:
        return Text(texts[0], "none")
    if len(texts) == 2:
        return Pair(*texts)
    raise Misfit(f"{name} holds {len(texts)} texts; send one, or the two of a pair", "inputs")


def _ask_predict(task: Task, body: PredictBody, limits: Limits, models: Sequence[ModelSpec]) -> Classify:
    items = _items(body.inputs)
    check_count(len(items), limits, "inputs")
    if Text("", "none") in items:
        raise EmptyList(f"inputs[{items.index(Text('', 'none'))}] is empty; send something or leave it out", "inputs")
    return Classify(
        model=model_of(task, body.model, limits, models),
        items=items,
        raw_scores=True,
        truncate=truncation(body, limits),
    )


def _write_predict(body: PredictBody, answer: Classified) -> Wire:
    scores = answer.scores if body.raw_scores else _activated(answer.scores)
    rows = [_predictions(row, answer.spec) for row in scores]
    is_batch = isinstance(body.inputs, list) and isinstance(body.inputs[0], list)
    return Wire(200, dump(rows if is_batch else rows[0]), spent(answer.usage, _characters(body.inputs)))


def _predictions(row: Floats, spec: ModelSpec) -> list[dict[str, object]]:
    """All labels, best first."""
    return [{"score": row[i], "label": spec.label_names[i]} for i in np.argsort(-row, kind="stable")]


def _characters(inputs: PredictInput) -> int:
    if isinstance(inputs, str):
        return len(inputs)
    return sum(len(one) if isinstance(one, str) else sum(map(len, one)) for one in inputs)
