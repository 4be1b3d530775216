"""Cosines, ties and shares as they are defined, on numbers small enough to check by hand."""

import numpy as np
import pytest

from embedstack.errors import Mismatch
from embedstack.proof.fidelity import LIMITS, TIE, distances, fidelity, precision_of
from embedstack.runtimes.int8 import METHOD
from embedstack.testing.fake import hash_spec

QUERIES, DOCUMENTS = ("q",), tuple(f"d{n:02}" for n in range(12))


def rows(*vectors: list[float]) -> dict[str, np.ndarray]:
    return {str(n): np.array(vector, np.float32) for n, vector in enumerate(vectors)}


def ranked(scores: list[float]) -> dict[str, np.ndarray]:
    """Unit vectors in a plane whose cosines to `q` are these."""
    made = {name: np.array([s, np.sqrt(1 - s * s)], np.float64) for name, s in zip(DOCUMENTS, scores, strict=True)}
    return {"q": np.array([1.0, 0.0]), **made}  # type: ignore[dict-item]


SCORES = [0.9 - 0.05 * n for n in range(12)]


def test_cosines_do_not_ask_for_length() -> None:
    found = fidelity("dense", rows([2, 0], [0, 3]), rows([1, 0], [0, 1]))

    assert (found.least, found.mean, found.largest) == (1.0, 1.0, 0.0)


def test_the_least_and_the_mean_are_of_the_rows() -> None:
    found = fidelity("dense", rows([1, 0], [1, 0]), rows([1, 0], [1, 1]))

    assert found.least == pytest.approx(np.sqrt(0.5))
    assert found.mean == pytest.approx((1 + np.sqrt(0.5)) / 2)


def test_a_tiny_distance_is_not_rounded_away() -> None:
    apart = distances(np.array([[1.0, 0.0]]), np.array([[1.0, 1e-7]]))

    assert apart[0] == pytest.approx(0.5e-14, rel=1e-3)


def test_a_row_that_is_not_a_number_fails() -> None:
    found = fidelity("dense", rows([1, 0]), rows([np.nan, 0]))

    assert found.fails("int8")


@pytest.mark.parametrize("precision", LIMITS)
@pytest.mark.parametrize("output", ["dense", "multi", "score"])
def test_not_a_number_in_the_last_row_alone_fails_everywhere(output: str, precision: str) -> None:
    truth, broken = rows([1, 0], [0, 1]), rows([1, 0], [np.nan, 1])

    made = fidelity(output, truth, broken)  # type: ignore[arg-type]
    alone = fidelity(output, truth, truth, alone=broken)  # type: ignore[arg-type]

    assert made.fails(precision)  # type: ignore[arg-type]
    assert made.worst == "1"
    assert alone.fails(precision)[0].startswith("alone against in a batch is nan")  # type: ignore[arg-type]


def test_the_worst_probe_is_named() -> None:
    found = fidelity("dense", rows([1, 0], [1, 0], [0, 1]), rows([1, 0], [0.8, 0.6], [0, 1]))

    assert found.worst == "1"
    assert found.fails("int8")[0] == "the least cosine is 0.8000000 at '1', int8 must reach 0.997"


def test_another_width_is_a_mismatch_that_names_both() -> None:
    with pytest.raises(Mismatch, match="gives dense vectors of 3 numbers, the model has 2"):
        fidelity("dense", rows([1, 0]), rows([1, 0, 0]))


def test_a_document_out_of_the_top_ten_costs_its_share() -> None:
    swapped = [*SCORES[:9], SCORES[11], SCORES[10], SCORES[9]]

    found = fidelity("dense", ranked(SCORES), ranked(swapped), queries=QUERIES, documents=DOCUMENTS)

    assert found.top == pytest.approx(0.9)


def test_a_document_out_of_the_top_ten_fails() -> None:
    swapped = [*SCORES[:9], SCORES[11], SCORES[10], SCORES[9]]

    found = fidelity("dense", ranked(SCORES), ranked(swapped), queries=QUERIES, documents=DOCUMENTS)

    assert "the share of the top 10 documents found is 0.9000000, bfloat16 must reach" in found.fails("bfloat16")[-1]


def test_documents_within_a_tie_of_the_tenth_may_change_places() -> None:
    near = [*SCORES[:10], SCORES[9] - TIE / 2, 0.1]
    swapped = [*SCORES[:9], SCORES[9] - TIE / 2, SCORES[9], 0.1]

    assert fidelity("dense", ranked(near), ranked(swapped), queries=QUERIES, documents=DOCUMENTS).top == 1.0


def test_alone_is_beside_the_same_text_in_a_batch() -> None:
    truth, made = rows([1, 0]), rows([1, 1])

    found = fidelity("dense", truth, made, alone=rows([1, 1]))

    assert found.alone == pytest.approx(1.0)


def test_a_lexical_weight_that_is_missing_counts_as_nothing() -> None:
    truth = {"t": np.array([[5, 1.0], [9, 1.0]], np.float32)}
    made = {"t": np.array([[5, 1.0]], np.float32)}

    found = fidelity("sparse", truth, made)

    assert (found.least, found.largest) == (pytest.approx(np.sqrt(0.5)), 1.0)


def test_lexical_weights_of_half_the_size_fail_though_their_direction_is_right() -> None:
    truth = {"t": np.array([[5, 4.0], [9, 2.0]], np.float32), "u": np.array([[5, 1.0]], np.float32)}
    made = {name: bag * np.array([1, 0.5], np.float32) for name, bag in truth.items()}

    found = fidelity("sparse", truth, made)

    assert (found.least, found.largest, found.worst) == (pytest.approx(1.0), 0.5, "t")
    assert "a lexical weight is off by 5.00e-01 of the largest at 't'" in found.fails("int8")[0]


@pytest.mark.parametrize(("is_unit", "made", "is_kept"), [(True, 1, True), (True, 2, False), (False, 1, False)])
def test_token_vectors_must_have_the_length_that_the_model_gives_them(
    is_unit: bool, made: float, is_kept: bool
) -> None:
    true = {"t": np.array([[2, 0], [0, 2]], np.float32)}  # before it is brought to length 1

    found = fidelity("multi", true, {"t": true["t"] / 2 * np.float32(made)}, is_unit=is_unit)

    assert (found.fails("int8") == []) is is_kept


def test_texts_without_any_lexical_weight_agree() -> None:
    empty = {"t": np.empty((0, 2), np.float32)}

    assert fidelity("sparse", empty, empty).least == 1.0


def test_another_number_of_token_vectors_is_a_mismatch() -> None:
    with pytest.raises(Mismatch, match="got 1 multi vectors, the model gives 2"):
        fidelity("multi", {"t": np.eye(2, dtype=np.float32)}, {"t": np.eye(2, dtype=np.float32)[:1]})


def test_logits_are_judged_by_their_spread_and_their_order() -> None:
    found = fidelity("score", rows([0.0], [10.0], [5.0]), rows([0.0], [4.0], [5.0]))

    assert found.largest == pytest.approx(0.6)
    assert found.order == pytest.approx(2 / 3)
    assert found.least is None


@pytest.mark.parametrize("precision", LIMITS)
def test_a_fingerprint_tells_its_precision(precision: str) -> None:
    spec = hash_spec("m")

    assert precision_of(spec, spec.fingerprint(precision))[0] == precision  # type: ignore[arg-type]


def test_our_own_int8_is_known_by_its_calibration() -> None:
    spec = hash_spec("m")

    assert precision_of(spec, spec.fingerprint("int8", calibration=METHOD))[0] == "int8"
    assert precision_of(spec, spec.fingerprint("int8", calibration="another"))[0] == "bfloat16"


@pytest.mark.parametrize("precision", LIMITS)
def test_equal_vectors_are_within_every_limit(precision: str) -> None:
    vectors = rows([1, 0], [0, 1])

    assert fidelity("dense", vectors, vectors, alone=vectors).fails(precision) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", LIMITS)
def test_a_vector_below_the_limit_fails_in_words(precision: str) -> None:
    off = float(np.sqrt(2 * (1 - LIMITS[precision].least)) * 1.5)  # type: ignore[index]

    (said,) = fidelity("dense", rows([1, 0], *[[1, 0]] * 99), rows([1, off], *[[1, 0]] * 99)).fails(precision)[:1]  # type: ignore[arg-type]

    assert "the least cosine is 0.9" in said


def test_every_label_is_compared() -> None:
    truth = rows([0.0, 1.0], [4.0, 2.0], [8.0, 3.0])
    wrong = rows([0.0, 1.0], [4.0, 2.0], [8.0, 1.5])

    found = fidelity("score", truth, wrong)

    assert (found.worst, found.largest) == ("2", pytest.approx(1.5 / 8))
    assert found.order == pytest.approx(5 / 6)  # of three pairs of each label, one of the second is turned round
