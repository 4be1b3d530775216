"""A safetensors file at odds with its own header is refused, and says where."""

import json
import random

import numpy as np
import pytest
from saved_weights import MATRIX, changed, entry, opens_or_is_refused, refused, save, save_raw

from embedstack.errors import ConfigError
from embedstack.models.weights import open_weights


def test_file_cut_short_is_refused_with_both_sizes(tmp_path):
    whole = save(tmp_path, {"a": MATRIX, "b": MATRIX}) / "model.safetensors"
    size_bytes = whole.stat().st_size
    whole.write_bytes(whole.read_bytes()[:-5])

    assert refused(tmp_path, f"is cut short: its header describes {size_bytes} bytes, it has {size_bytes - 5}")


def test_every_cut_is_refused(tmp_path):
    content = (save(tmp_path, {"a": MATRIX, "b": MATRIX}) / "model.safetensors").read_bytes()
    for length in range(len(content)):
        (tmp_path / "model.safetensors").write_bytes(content[:length])
        with pytest.raises(ConfigError):
            open_weights(tmp_path)


@pytest.mark.parametrize("length", [10**8 + 1, 2**63, 2**64 - 1])
def test_overlong_header_is_refused(tmp_path, length):
    assert refused(save_raw(tmp_path, {}, header_bytes=length), "does not begin as a safetensors file does")


def test_header_beyond_the_file_is_refused(tmp_path):
    assert refused(save_raw(tmp_path, {}, header_bytes=1000), "describes 1008 bytes, it has 10")


@pytest.mark.parametrize("header", [b"[]", b"\xff\xff", b""])
def test_what_is_no_header_is_refused(tmp_path, header):
    assert refused(save_raw(tmp_path, header), "does not begin as a safetensors file does")


@pytest.mark.parametrize("header", [b"{]", b'{"\xff": 1}', b'{"a":' * 100_000, b'{"a": ' + b"9" * 5000 + b"}"])
def test_damaged_header_is_refused(tmp_path, header):
    assert refused(save_raw(tmp_path, header), "has a damaged header")


def test_name_that_stands_twice_is_refused(tmp_path):
    one = json.dumps({"a": entry("F32", [1], 0, 4)}).encode()

    assert refused(save_raw(tmp_path, one[:-1] + b", " + one[1:], bytes(4)), "'a' stands twice")


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ({"a": 1}, "entry of 'a' lacks dtype, shape or data_offsets"),
        ({"a": {"dtype": "F32", "shape": [1]}}, "entry of 'a' lacks"),
        ({"a": entry("F4", [2], 0, 4)}, "'a' is stored as 'F4'; embedstack reads: F64, F32"),
        ({"a": entry("F32", [-1], 4, 0)}, "'a' has a shape or an offset that is no list of whole numbers"),
        ({"a": entry("F32", [1.0], 0, 4)}, "'a' has a shape or an offset"),
        ({"a": entry("F32", [True], 0, 4)}, "'a' has a shape or an offset"),
        ({"a": entry("F32", [1] * 33, 0, 4)}, "'a' has a shape or an offset"),
        ({"a": entry("F32", [2], 0, 4)}, r"'a' of shape \(2,\) takes 8 bytes as F32, not 4"),
        ({"a": entry("F32", [2**62, 4], 0, 4)}, "takes 73786976294838206464 bytes as F32, not 4"),
        ({"a": entry("F32", [0, 2**70], 0, 0), "b": entry("F32", [1], 0, 4)}, "'a' has the impossible shape"),
        ({"a": entry("F32", [1], 0, 4), "b": entry("F16", [1], 2, 4)}, "'b' overlaps another tensor at byte 2"),
        ({"a": entry("F16", [1], 2, 4)}, "'a' leaves a hole before it at byte 2"),
        ({"a": entry("F16", [1], 0, 2)}, "has 2 bytes that belong to no tensor"),
        ({"a": entry("F32", [2], 0, 8)}, "is cut short"),
    ],
)
def test_entry_at_odds_with_the_file_is_refused(tmp_path, header, says):
    assert refused(save_raw(tmp_path, header, bytes(4)), says)


def test_any_flipped_bit_of_a_safetensors_header_is_sound_or_refused(tmp_path):
    content = (save(tmp_path, {"a": MATRIX, "b": MATRIX.astype(np.float16)}) / "model.safetensors").read_bytes()
    header = range(8 + int.from_bytes(content[:8], "little"))
    draw = random.Random(0)
    for _ in range(400):
        (tmp_path / "model.safetensors").write_bytes(changed(content, draw, header))

        assert opens_or_is_refused(tmp_path)
