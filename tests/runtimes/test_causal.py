"""Attention that sees only what is before: some queries at a time for long items, so that memory grows with length."""

import subprocess
import sys

import pytest

from embedstack.runtimes import onnx_ops
from embedstack.testing.check_ops import check_ops

LENGTH, HEADS = 4096, 8
PAIRS_MB = LENGTH * LENGTH / 1e6  # of a table with one byte for each pair of tokens
PROGRAM = """
import resource
import sys

import numpy as np

from embedstack.models.weights import Weights
from embedstack.runtimes import open_runtime
from embedstack.types import Batch

runtime, length, heads, causal = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "causal"
ids = np.arange(length, dtype=np.int32) % 7
batch = Batch(ids, ids, np.array([0, length], np.int32))
table = np.random.default_rng(1).normal(0, 1, (7, 8 * heads))


def expression(ops):
    x = ops.reshape(ops.rows(ops.constant(table), ops.ids()), 8 * heads)
    return ops.attention(x, x, x, heads, causal=causal)


open_runtime(runtime).evaluate(expression, Weights({}, "none"), batch)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.parametrize(("at_once", "turn"), [(1, 1), (2, 3), (5, 4), (6, 128)])
def test_queries_in_turns_give_what_they_give_at_once(at_once: int, turn: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_ops, "AT_ONCE", at_once)
    monkeypatch.setattr(onnx_ops, "TURN", turn)

    assert check_ops("onnx") == []


def peak_mb(runtime: str, how: str) -> float:
    command = [sys.executable, "-c", PROGRAM, runtime, str(LENGTH), str(HEADS), how]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout) / 1e6


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory in other units")
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_long_item_needs_little_more_memory_than_where_every_token_sees_all(runtime: str) -> None:
    """A table of float32 for each head would be 32 bytes for each pair of tokens, one for all heads 4 bytes."""
    more = peak_mb(runtime, "causal") - peak_mb(runtime, "whole")

    assert more < 3 * PAIRS_MB
