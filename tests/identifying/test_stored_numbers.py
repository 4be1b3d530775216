"""What the numbers of vectors show of how they were rounded, and how far that moved the vectors."""

import numpy as np
import pytest

from embedstack.identifying.numbers import stored_as
from embedstack.proof.fidelity import distances
from embedstack.quantize import quantized

DIM = 384


@pytest.fixture(scope="module")
def exact() -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(50, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def bfloat16(rows: np.ndarray) -> np.ndarray:
    """To the nearest, as PyTorch rounds; the last 16 bits are gone."""
    bits = rows.astype(np.float32).view(np.uint32)
    return ((bits + 0x8000) & 0xFFFF0000).astype(np.uint32).view(np.float32)


ROUNDED = {
    "float16": lambda rows: rows.astype(np.float16).astype(np.float32),
    "bfloat16": bfloat16,
    "int8": lambda rows: quantized(rows, "int8").astype(np.float32),
    "uint8": lambda rows: quantized(rows, "uint8").astype(np.float32),
    "2 decimals": lambda rows: np.round(rows, 2),
    "3 decimals": lambda rows: np.round(rows, 3),
    "4 decimals": lambda rows: np.round(rows, 4),
    "whole numbers": lambda rows: np.rint(rows * 5000),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_rounding_is_seen_and_its_noise_is_what_was_measured(name: str, exact: np.ndarray) -> None:
    stored, meant = stored_as(ROUNDED[name](exact))

    measured = distances(np.asarray(exact, np.float64), meant).mean()
    assert stored.name == name
    assert stored.noise == pytest.approx(measured, rel=0.15)


def test_numbers_that_were_not_rounded_are_float32(exact: np.ndarray) -> None:
    stored, meant = stored_as(exact)

    assert (stored.name, stored.keeps_length, np.array_equal(meant, exact)) == ("float32", True, True)
    assert stored.noise < 1e-15


def test_whole_numbers_keep_no_length(exact: np.ndarray) -> None:
    assert [stored_as(ROUNDED[name](exact))[0].keeps_length for name in ("int8", "uint8", "float16")] == [
        False, False, True,
    ]  # fmt: skip


def test_vectors_of_ones_and_zeros_are_no_whole_numbers() -> None:
    stored, _ = stored_as(np.eye(4, dtype=np.float32))

    assert stored.name == "bfloat16"
