"""The fake encoder answers as the engine does."""

import asyncio
from dataclasses import replace

import pytest

from embedstack.testing.fake import HashEncoder, overlap_spec
from embedstack.types import Encode, Pair, Score, Text


@pytest.mark.parametrize(("dim", "width"), [(None, 32), (8, 8)])
def test_no_items_are_no_rows_of_the_right_width(dim, width):
    answer = asyncio.run(HashEncoder().encode(Encode(model="hash", items=(), dim=dim)))

    assert (answer.dense.shape, answer.dense.dtype) == ((0, width), "float32")
    assert answer.usage.items == 0


def test_no_pairs_are_no_scores():
    answer = asyncio.run(HashEncoder().score(Score(model="overlap", items=())))

    assert answer.scores.shape == (0,)


def test_the_role_none_is_known():
    texts = tuple(Text("a", role) for role in ("none", "none", "query"))
    dense = asyncio.run(HashEncoder().encode(Encode(model="hash", items=texts))).dense

    assert (dense[0] == dense[1]).all()
    assert not (dense[0] == dense[2]).all()


def test_a_model_without_an_activation_gives_logits():
    pairs = (Pair("a cat", "a cat"),)
    plain, bare = overlap_spec(), replace(overlap_spec("bare"), score_activation="identity")
    fake = HashEncoder([plain, bare])
    asked = [Score(model="overlap", items=pairs, raw_scores=True), Score(model="bare", items=pairs)]

    raw, given = [asyncio.run(fake.score(request)).scores[0] for request in asked]
    assert raw == given > 1
