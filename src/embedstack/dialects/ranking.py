"""Relevance scores become the ranked results of Cohere's API, which Infinity and Jina took over; written and heard."""

from collections.abc import Sequence

import msgspec
import numpy as np

from embedstack.dialects.dialect import Heard, Wire
from embedstack.dialects.openai_shape import HeardUsage, tokens_of
from embedstack.dialects.reply import in_order, scores, understood
from embedstack.types import Floats, Score, Scored

SHAPE = "cohere results"  # of the replies that differ only in top-level keys


class HeardRank(msgspec.Struct):
    """What a client needs of a rank, whatever else a server sends."""

    index: int
    relevance_score: float


class HeardRanks(msgspec.Struct):
    """What a client needs of a reply."""

    results: list[HeardRank]
    usage: HeardUsage | None = None


_HEARD = msgspec.json.Decoder(HeardRanks)


def results(
    answer: Scored, top_n: int | None, *, documents: Sequence[object] | None = None, raw: bool = False
) -> list[dict[str, object]]:
    """The best first.

    Args:
        answer: logits, whatever the model's own rule: the originals give the sigmoid of them, between 0 and 1.
        documents: what stands beside each, in the order of the request; nothing if None.
        raw: give the logits.
    """
    relevance = answer.scores if raw else sigmoid(answer.scores)
    ranks: list[dict[str, object]] = [{"index": i, "relevance_score": relevance[i]} for i in answer.order[:top_n]]
    if documents is None:
        return ranks
    return [{**rank, "document": documents[i]} for rank, i in zip(ranks, answer.order, strict=False)]


def sigmoid(logits: Floats) -> Floats:
    """Between 0 and 1; never overflows."""
    return np.exp(-np.logaddexp(0.0, -logits.astype(np.float64))).astype(np.float32)


def hear_results(wire: Wire, request: Score) -> Heard:
    """The scores of a reply, in the order of the request."""
    reply = understood(_HEARD, wire)
    places = in_order([rank.index for rank in reply.results], len(request.items))
    return Heard(scores([reply.results[place].relevance_score for place in places]), tokens_of(reply.usage))
