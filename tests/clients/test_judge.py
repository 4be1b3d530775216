"""What the judge of foreign clients lets pass, and what it does not."""

import re

import numpy as np
import pytest
from environments import clients
from judge import Truth, fault

ROWS = np.array([[0.6, 0.8], [-0.8, 0.6], [1.0, 0.0]], np.float32)
TRUTH = Truth(
    vectors={"texts": ROWS}, tokens={"texts": 7}, scores=[0.2, 0.9, 0.5], labels=[("glad", 0.7), ("sad", 0.3)]
)


def seen(value: object) -> dict[str, object]:
    return {"value": value}


@pytest.mark.parametrize(
    ("wanted", "value"),
    [
        ("vectors of texts", ROWS.tolist()),
        ("int8 of texts", [[76, 102], [-102, 76], [127, 0]]),
        ("uint8 of texts", [[204, 230], [26, 204], [255, 127]]),
        ("ubinary of texts", [[192], [64], [128]]),
        ("binary of texts", [[64], [-64], [0]]),
        ("ranking of documents", [[1, 0.9], [2, 0.5], [0, 0.2]]),
        ("ranking of 2 documents", [[1, 0.9], [2, 0.5]]),
        ("labels of sentence", [["glad", 0.7], ["sad", 0.3]]),
        ("first label", [["glad", 0.7]]),
        ("cosines of texts", [0.0, 0.6]),
        ("tokens of texts", 7),
        ("says b", ["a", "b"]),
    ],
)
def test_what_the_library_gives_passes(wanted, value):
    assert fault(wanted, seen(value), TRUTH) == ""


@pytest.mark.parametrize(
    ("wanted", "value"),
    [
        ("vectors of texts", ROWS[::-1].tolist()),
        ("vectors of texts", ROWS[:2].tolist()),
        ("vectors of texts", (ROWS + 0.002).tolist()),
        ("vectors of texts", [[float("nan"), 0.8], *ROWS[1:].tolist()]),
        ("vectors of texts", "not vectors"),
        ("int8 of texts", ROWS.tolist()),
        ("uint8 of texts", [[76, 102], [-102, 76], [127, 0]]),
        ("ubinary of texts", [[192], [64], [129]]),
        ("binary of texts", [[192], [64], [128]]),
        ("ranking of documents", [[0, 0.2], [1, 0.9], [2, 0.5]]),
        ("ranking of documents", [[1, 0.9], [2, 0.5]]),
        ("ranking of 2 documents", [[1, 0.9], [2, 0.4]]),
        ("labels of sentence", [["sad", 0.3], ["glad", 0.7]]),
        ("cosines of texts", [0.6, 0.0]),
        ("tokens of texts", 8),
        ("says c", ["a", "b"]),
        ("raises builtins.KeyError", ROWS.tolist()),
    ],
)
def test_what_it_does_not_give_is_a_fault(wanted, value):
    assert fault(wanted, seen(value), TRUTH) != ""


RAISED = {"error": ["openai.AuthenticationError", "openai.APIStatusError"], "message": "no such key"}


@pytest.mark.parametrize(
    ("wanted", "is_right"),
    [
        ("raises openai.AuthenticationError", True),
        ("raises openai.NotFoundError or openai.APIStatusError: key", True),
        ("raises openai.NotFoundError", False),
        ("raises openai.AuthenticationError: model", False),
        ("vectors of texts", False),
    ],
)
def test_an_exception_counts_by_its_kind_and_its_words(wanted, is_right):
    assert (fault(wanted, RAISED, TRUTH) == "") is is_right


def test_a_check_that_the_program_left_out_is_a_fault():
    assert fault("vectors of texts", None, TRUTH)


@pytest.mark.parametrize("client", clients().values(), ids=lambda client: client.name)
def test_every_client_has_a_program_and_a_pinned_version(client):
    assert client.program.is_file()
    assert all(re.search("(==|.@)[0-9.]+$", one) for one in client.packages)
