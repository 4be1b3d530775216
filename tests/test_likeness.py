"""Vectors become probabilities by the rule that a model was trained with."""

from dataclasses import replace

import numpy as np
import pytest

from embedstack.errors import Unsupported
from embedstack.likeness import probabilities
from embedstack.testing.fake import hash_spec

SIGMOID = replace(hash_spec(inputs=("text", "image")), similarity="sigmoid", logit_scale=10.0, logit_bias=-5.0)
SOFTMAX = replace(SIGMOID, similarity="softmax", logit_bias=0.0)
IMAGE = np.array([[2.0, 0.0]])
TEXTS = np.array([[3.0, 0.0], [0.0, 1.0]])


def test_sigmoid_judges_each_text_by_itself():
    made = probabilities(SIGMOID, IMAGE, TEXTS)

    assert made[0] == pytest.approx([1 / (1 + np.exp(-5)), 1 / (1 + np.exp(5))], abs=1e-6)
    assert probabilities(SIGMOID, IMAGE, TEXTS[:1])[0, 0] == made[0, 0]


def test_softmax_shares_one_among_the_texts():
    made = probabilities(SOFTMAX, IMAGE, TEXTS)

    assert made.sum() == pytest.approx(1)
    assert made[0, 0] / made[0, 1] == pytest.approx(np.exp(10), rel=1e-4)


def test_large_logits_do_not_overflow():
    for spec in (replace(SIGMOID, logit_scale=1e6), replace(SOFTMAX, logit_scale=1e6)):
        assert np.isfinite(probabilities(spec, -IMAGE, TEXTS)).all()


def test_a_model_without_a_rule_says_so():
    with pytest.raises(Unsupported, match="does not say how likely"):
        probabilities(hash_spec(), IMAGE, TEXTS)
