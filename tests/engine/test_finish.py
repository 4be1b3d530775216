"""Rows become vectors and scores."""

import numpy as np
import pytest

from embedstack.engine import finish
from embedstack.errors import Unsupported
from embedstack.modelspec import Architecture, ModelSpec


def spec(**change: object) -> ModelSpec:
    shape = Architecture(family="bert", layers=1, hidden=8, heads=1, intermediate=8, vocab=9, positions=9)
    given = {"dim": 8, "outputs": ("dense",), **change}
    return ModelSpec(
        name="m", revision="r", task="embed", architecture=shape, max_tokens=9, weights="w", tokenizer="t", **given
    )  # type: ignore[arg-type]


def test_a_vector_is_cut_before_it_is_normalised() -> None:
    rows = np.array([[3, 4, 100, 7]], np.float32)

    assert finish.dense(rows, 2, normalize=True) == pytest.approx(np.array([[0.6, 0.8]]))
    assert finish.dense(rows, 2, normalize=False) == pytest.approx(np.array([[3, 4]]))


LEVELLED = [[-0.6173321, -0.593123], [0.4303315, 1.2909944]]
"""The first two numbers of torch.nn.functional.layer_norm(rows, (4,)), torch 2.13."""


def test_a_row_is_levelled_before_it_is_cut_where_the_model_says_so() -> None:
    rows = np.array([[3, 4, 100, 7], [0.01, 0.02, -0.01, 0]], np.float32)

    assert finish.dense(rows, 2, normalize=False, cut_norm=True) == pytest.approx(np.array(LEVELLED), rel=1e-5)
    assert finish.dense(rows, 2, normalize=True, cut_norm=True) == pytest.approx(finish.unit(np.float32(LEVELLED)))


@pytest.mark.parametrize("normalize", [True, False])
def test_a_row_of_full_width_is_not_levelled(normalize: bool) -> None:
    rows = np.array([[3, 4, 100, 7]], np.float32)

    assert np.array_equal(
        finish.dense(rows, 4, normalize=normalize, cut_norm=True), finish.dense(rows, 4, normalize=normalize)
    )


@pytest.mark.parametrize(
    ("stated", "dim", "asked", "is_unit"),
    [
        ({"cut_norm": True}, 4, None, True),
        ({"cut_norm": True}, 4, False, False),
        ({"cut_norm": True}, 8, None, False),
        ({"cut_norm": True}, None, None, False),
        ({"cut_norm": True}, 8, True, True),
        ({"cut_norm": False}, 4, None, False),
        ({"cut_norm": True, "normalize": True}, 8, None, True),
    ],
)
def test_a_row_that_is_levelled_and_cut_has_length_1_unless_that_is_not_wanted(
    stated: dict[str, bool], dim: int | None, asked: bool | None, is_unit: bool
) -> None:
    """The model card of nomic-ai/nomic-embed-text-v1.5: layer_norm, cut, normalize."""
    model = spec(**{"normalize": False, "cuts": (4,), **stated})

    assert model.is_unit(asked, dim) is is_unit
    assert model.fingerprint("float32", dim, normalize=asked) == model.fingerprint("float32", dim, normalize=is_unit)


def test_whether_a_prompt_is_needed_decides_the_space() -> None:
    """A prompt that is written already is not put there again, and cutting on the left keeps it, where it is needed."""
    prompts = {"document": "passage: "}

    assert spec(prompts=prompts, needs_prompt=True).space != spec(prompts=prompts).space


def test_a_row_of_zeros_stays_zero() -> None:
    assert not finish.dense(np.zeros((1, 3), np.float32), 2, normalize=True, cut_norm=True).any()
    assert not finish.unit(np.zeros((1, 3), np.float32)).any()


def test_a_width_that_the_model_was_not_trained_for_is_refused_with_the_allowed_ones() -> None:
    with pytest.raises(Unsupported, match="allowed: 4, 8"):
        finish.check_dim(5, spec(cuts=(4,)))


def test_allowed_widths_that_follow_each_other_are_named_by_the_first_and_the_last() -> None:
    with pytest.raises(Unsupported, match=r"allowed: 2, 4 to 6, 8$"):
        finish.check_dim(3, spec(cuts=(2, 4, 5, 6)))


@pytest.mark.parametrize("dim", [None, 8, 4])
def test_a_trained_width_is_given(dim: int | None) -> None:
    assert finish.check_dim(dim, spec(cuts=(4,))) == (dim or 8)


def test_sparse_keeps_the_largest_weight_of_each_token_and_no_special_or_zero() -> None:
    weights = np.array([[9], [0.5], [0.2], [0.7], [0], [8]], np.float32)

    made = finish.sparse(weights, np.array([0, 40, 12, 40, 13, 2], np.int32), ignore=(0, 2))

    assert made.ids.tolist() == [12, 40]
    assert made.weights == pytest.approx([0.2, 0.7])


def test_multi_drops_the_first_token_and_keeps_the_last() -> None:
    rows = np.array([[9, 9], [3, 4], [0, 2]], np.float32)

    assert finish.multi(rows, normalize=True) == pytest.approx(np.array([[0.6, 0.8], [0, 1]]))


def test_scores_follow_the_models_activation() -> None:
    logits = np.array([[0.0], [100.0], [-1000.0]], np.float32)

    assert finish.scores(logits, spec(), raw=False) == pytest.approx([0.5, 1, 0])
    assert finish.scores(logits, spec(), raw=True) == pytest.approx([0, 100, -1000])
    assert finish.scores(logits, spec(score_activation="identity"), raw=False) == pytest.approx([0, 100, -1000])


def test_softmax_is_over_the_labels_of_an_item() -> None:
    logits = np.log(np.array([[1, 3], [1, 1]], np.float32)) + np.array([[1000], [-1000]], np.float32)

    made = finish.label_scores(logits, spec(score_activation="softmax"), raw=False)

    assert made == pytest.approx(np.array([[0.25, 0.75], [0.5, 0.5]]), abs=1e-4)
    assert made.dtype == np.float32


def test_labels_that_exclude_nothing_have_a_sigmoid_each() -> None:
    logits = np.array([[0.0, 100.0], [-1000.0, 0.0]], np.float32)

    assert finish.label_scores(logits, spec(), raw=False) == pytest.approx(np.array([[0.5, 1], [0, 0.5]]))
    assert finish.label_scores(logits, spec(score_activation="softmax"), raw=True) == pytest.approx(logits)


def test_the_scores_of_an_item_do_not_depend_on_its_neighbours() -> None:
    logits = np.random.default_rng(1).normal(size=(50, 7)).astype(np.float32)
    classifier = spec(score_activation="softmax")

    together = finish.label_scores(logits, classifier, raw=False)

    alone = [finish.label_scores(row[None], classifier, raw=False)[0] for row in logits]
    assert np.array_equal(together, alone)
