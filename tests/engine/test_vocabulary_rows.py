"""Rows over a vocabulary become the terms of each item; special tokens and whatever else weighs something are kept."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

import embedstack
from embedstack.engine import finish
from embedstack.engine.lane import split
from embedstack.errors import Unsupported
from embedstack.model import Model
from embedstack.modelspec import ModelSpec
from embedstack.testing.fake import hash_spec
from embedstack.types import Batch, Encode, Encoded, Text
from support.families import write
from support.lexical import TIED

TEXTS = ("the panda", "a river of the city", "sun")
CLS, SEP = 2, 3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    with embedstack.load(str(write(TIED, tmp_path_factory.mktemp("splade"))), precision="float32") as loaded:
        yield loaded


def encoded(model: Model, *texts: str, **how: object) -> Encoded:
    request = Encode(model="", items=tuple(map(Text, texts)), outputs=frozenset({"sparse"}), **how)  # type: ignore[arg-type]
    return asyncio.run(model._engine.encode(request))


def lexical_spec() -> ModelSpec:
    return replace(hash_spec(), outputs=("sparse",), dim=0, head="bert_mlm")


# ------------------------------------------------------------------------------------------------ rows


def test_only_ids_that_weigh_something_are_terms() -> None:
    row = np.array([[0, 0.5, 0, -0.0, 2]], np.float32)

    assert finish.terms(row).tolist() == [[1, 0.5], [4, 2]]


def test_a_row_of_zeros_has_no_terms() -> None:
    made = finish.lexical(finish.terms(np.zeros((1, 5), np.float32)))

    assert (made.ids.tolist(), made.weights.tolist()) == ([], [])
    assert (made.ids.dtype, made.weights.dtype) == (np.int32, np.float32)


def test_the_ids_of_the_largest_vocabulary_survive() -> None:
    row = np.zeros((1, 250_002), np.float32)
    row[0, [0, 249_999, 250_001]] = 1

    assert finish.lexical(finish.terms(row)).ids.tolist() == [0, 249_999, 250_001]


@pytest.mark.parametrize("lengths", [(1, 1), (3, 1)])
def test_each_item_has_its_own_terms(lengths: tuple[int, ...]) -> None:
    ids = np.zeros(sum(lengths), np.int32)
    batch = Batch(ids, ids, np.cumsum([0, *lengths]).astype(np.int32))

    rows = split({"sparse": np.float32([[1, 0, 0], [0, 0, 2]])}, batch, lexical_spec())

    assert [row["sparse"].tolist() for row in rows] == [[[0, 1]], [[2, 2]]]


def test_weights_of_tokens_stay_rows_of_tokens() -> None:
    batch = Batch(np.zeros(3, np.int32), np.zeros(3, np.int32), np.array([0, 2, 3], np.int32))

    rows = split({"sparse": np.float32([[1], [2], [3]])}, batch, replace(lexical_spec(), head="none"))

    assert [row["sparse"].tolist() for row in rows] == [[[1], [2]], [[3]]]


# ------------------------------------------------------------------------------------------------ an engine


def test_texts_become_rising_ids_with_weights_above_zero(model: Model) -> None:
    for sparse in encoded(model, *TEXTS).sparse:
        assert len(sparse.ids)
        assert (np.diff(sparse.ids) > 0).all()
        assert (sparse.weights > 0).all()


def test_a_text_together_with_others_has_the_terms_that_it_has_alone(model: Model) -> None:
    together = encoded(model, *TEXTS).sparse

    for text, made in zip(TEXTS, together, strict=True):
        (alone,) = encoded(model, text).sparse
        assert made.ids.tolist() == alone.ids.tolist()
        assert made.weights == pytest.approx(alone.weights, abs=1e-6)


def test_a_length_that_is_asked_of_terms_alone_changes_no_fingerprint(model: Model) -> None:
    made = {encoded(model, "sun", normalize=asked).fingerprint for asked in (None, False, True)}

    assert len(made) == 1


def test_special_tokens_may_have_weights(model: Model) -> None:
    """As they do in sentence-transformers; which of them do, the weights decide."""
    seen = {number for sparse in encoded(model, *TEXTS).sparse for number in sparse.ids.tolist()}

    assert seen & {CLS, SEP}


def test_there_are_no_dense_vectors(model: Model) -> None:
    with pytest.raises(Unsupported, match="no dense output; it gives: sparse"):
        model.encode("the panda")


def test_a_width_is_refused(model: Model) -> None:
    with pytest.raises(Unsupported, match="gives no dense vectors"):
        encoded(model, "the panda", dim=64)
