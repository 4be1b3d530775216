"""Bare arrays of Text Embeddings Inference that others took over: lexical weights written, and ranks heard."""

from collections.abc import Iterable

import msgspec

from embedstack.dialects.dialect import Heard, Wire
from embedstack.dialects.reply import in_order, scores, understood, whole_number
from embedstack.types import Encoded, Score, Sparse


class SparseValue(msgspec.Struct, forbid_unknown_fields=True):
    """One token id and its weight."""

    index: int
    value: float


class HeardRank(msgspec.Struct):
    """What a client needs of a rank, whatever else a server sends."""

    index: int
    score: float


_RANKS = msgspec.json.Decoder(list[HeardRank])


def sparse_rows(answer: Encoded) -> list[list[dict[str, object]]]:
    """The weights of each text, in the order of the vocabulary."""
    return [list(_values(one)) for one in answer.sparse or ()]


def _values(one: Sparse) -> Iterable[dict[str, object]]:
    pairs = zip(one.ids, one.weights, strict=True)
    return ({"index": index, "value": value} for index, value in pairs)


def hear_ranks(wire: Wire, request: Score) -> Heard:
    """The scores of a reply, in the order of the request; tokens where its headers tell them."""
    ranks = understood(_RANKS, wire)
    places = in_order([rank.index for rank in ranks], len(request.items))
    tokens = whole_number(wire.headers.get("x-compute-tokens"))
    return Heard(scores([ranks[place].score for place in places]), tokens)
