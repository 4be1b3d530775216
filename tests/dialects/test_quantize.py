"""Rows of other types, held against sentence-transformers."""

import importlib

import numpy as np
import pytest

from embedstack.errors import Unsupported
from embedstack.quantize import quantized
from support.runtimes import needs_torch


def rows(items=5, dim=64):
    drawn = np.random.default_rng(0).standard_normal((items, dim)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_float32_is_what_was_there():
    dense = rows()

    assert quantized(dense, "float32") is dense


@pytest.mark.parametrize("kind", ["float16", "int8", "uint8"])
def test_each_type_is_its_own_numpy_type_and_as_wide(kind):
    made = quantized(rows(), kind)

    assert (made.dtype, made.shape) == (np.dtype(kind), (5, 64))


def test_int8_is_the_number_in_steps_of_a_hundred_and_twenty_seventh():
    dense = np.array([[1.0, -1.0, 0.0, 0.5, -0.004, 0.0039]], np.float32)

    assert quantized(dense, "int8").tolist() == [[127, -127, 0, 64, -1, 0]]


def test_uint8_is_int8_moved_up_by_a_hundred_and_twenty_eight():
    dense = rows()

    assert (quantized(dense, "uint8").astype(int) == quantized(dense, "int8").astype(int) + 128).all()


@pytest.mark.parametrize(("dim", "least"), [(64, 0.9995), (384, 0.9985), (1024, 0.996)])
def test_int8_points_where_the_vector_does_less_exactly_the_wider_it_is(dim, least):
    dense = rows(100, dim)
    made = quantized(dense, "int8").astype(np.float32)

    assert ((dense * made).sum(axis=1) / np.linalg.norm(made, axis=1)).min() > least


def test_a_bit_is_the_sign_and_the_first_dimension_is_the_highest():
    dense = np.array([[0.5, -0.5, 0.1, 0.0, -0.1, 0.2, -0.3, 0.4]], np.float32)

    assert quantized(dense, "ubinary").tolist() == [[0b10100101]]


def test_binary_is_ubinary_as_signed_bytes():
    dense = rows()
    signed, unsigned = quantized(dense, "binary"), quantized(dense, "ubinary")

    assert signed.dtype == np.int8
    assert (signed.astype(int) == unsigned.astype(int) - 128).all()


@pytest.mark.parametrize("kind", ["binary", "ubinary"])
def test_a_width_that_fills_no_whole_bytes_is_refused(kind):
    with pytest.raises(Unsupported, match="multiple of 8, not 6"):
        quantized(rows(dim=6), kind)


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_rows_that_are_longer_than_1_do_not_fit_8_bits(kind):
    with pytest.raises(Unsupported, match="from -1 to 1"):
        quantized(rows() * 20, kind)


@pytest.mark.parametrize("kind", ["float16", "int8", "uint8", "binary", "ubinary"])
def test_no_rows_become_no_rows(kind):
    assert len(quantized(rows(0), kind)) == 0


@needs_torch
@pytest.mark.reference
@pytest.mark.parametrize("kind", ["binary", "ubinary"])
def test_bits_are_those_of_sentence_transformers(kind):
    judge = importlib.import_module("sentence_transformers.util.quantization")
    dense = rows(50, 384)
    dense[0, :4] = (0.0, -0.0, 1e-30, -1e-30)

    said = judge.quantize_embeddings(dense, precision=kind)

    made = quantized(dense, kind)
    assert made.dtype == said.dtype
    assert np.array_equal(made, said)
