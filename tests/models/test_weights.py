"""Tensors are windows into their files, each is taken in the shape that the config asks for, and none is left over."""

import json
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from saved_weights import MATRIX, entry, refused, save, save_raw, save_state

from embedstack.errors import ConfigError
from embedstack.models.weights import open_weights

# ------------------------------------------------------------------------------------------------ the tensors


def test_names_are_sorted_and_shapes_are_as_stored(tmp_path):
    weights = open_weights(save(tmp_path, {"b": MATRIX, "a": MATRIX[0]}))

    assert weights.names() == ["a", "b"]
    assert weights.shape("b") == (2, 3)
    assert weights.has("a")
    assert not weights.has("c")


@pytest.mark.parametrize("saved", [save, save_state])
def test_float32_is_a_window_into_the_file(tmp_path, saved: Callable[[Path, Mapping[str, np.ndarray]], Path]):
    weights = open_weights(saved(tmp_path, {"x": MATRIX}))

    once, again = weights.take("x", (2, 3)), weights.take("x", (2, 3))

    assert (once == MATRIX).all()
    assert np.shares_memory(once, again)
    assert not once.flags.writeable


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats_become_float32(tmp_path, dtype):
    taken = open_weights(save(tmp_path, {"x": MATRIX.astype(dtype)})).take("x", (2, 3))

    assert taken.dtype == np.float32
    assert (taken == MATRIX).all()
    assert not taken.flags.writeable


def test_bfloat16_becomes_float32_exactly(tmp_path):
    upper_halves = np.array([0x3F80, 0xC040, 0x7F7F, 0x0001, 0x7F80], np.uint16)
    save_raw(tmp_path, {"x": entry("BF16", [5], 0, 10)}, upper_halves.tobytes())

    taken = open_weights(tmp_path).take("x", (5,))

    assert taken.tolist() == [1.0, -3.0, 3.3895313892515355e38, 2.0**-133, np.inf]


def test_some_rows_are_taken_in_the_order_that_is_asked_for(tmp_path):
    weights = open_weights(save(tmp_path, {"x": MATRIX.astype(np.float16)}))

    assert weights.rows("x", (2, 3), (1, 0)).tolist() == MATRIX[::-1].tolist()
    weights.refuse_leftovers(())


def test_a_row_that_a_table_does_not_have_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="has 2 rows"):
        open_weights(save(tmp_path, {"x": MATRIX})).rows("x", (2, 3), (0, 2))


INTEGERS = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_other_numbers_are_listed_but_not_taken(tmp_path, dtype):
    weights = open_weights(save(tmp_path, {"x": np.ones(3, dtype)}))

    assert weights.shape("x") == (3,)
    with pytest.raises(
        ConfigError, match=f"'x' of .* holds {dtype}, a graph reads float64, float32, float16 or bfloat16"
    ):
        weights.take("x", (3,))


@pytest.mark.parametrize(("dtype", "width"), [("F8_E4M3", 1), ("F8_E5M2", 1), ("C64", 8)])
def test_numbers_that_numpy_cannot_save_are_listed_but_not_taken(tmp_path, dtype, width):
    weights = open_weights(save_raw(tmp_path, {"x": entry(dtype, [3], 0, 3 * width)}, bytes(3 * width)))

    assert weights.shape("x") == (3,)
    with pytest.raises(ConfigError, match="a graph reads float64"):
        weights.take("x", (3,))


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (2, 0)])
def test_scalars_and_empty_tensors_keep_their_shape(tmp_path, shape):
    weights = open_weights(save(tmp_path, {"x": np.ones(shape, np.float32), "y": MATRIX}))

    assert weights.take("x", shape).shape == shape


def test_float32_off_its_boundary_is_copied_to_one(tmp_path):
    header = json.dumps({"byte": entry("U8", [1], 0, 1), "x": entry("F32", [2, 3], 1, 25)}).encode()
    save_raw(tmp_path, header + b" " * (-len(header) % 8), b"\0" + MATRIX.tobytes())

    taken = open_weights(tmp_path).take("x", (2, 3))

    assert taken.flags.aligned
    assert (taken == MATRIX).all()


def test_opening_reads_no_numbers(tmp_path):
    save(tmp_path, {"x": np.zeros(2_000_000, np.float32)})
    tracemalloc.start()
    open_weights(tmp_path).take("x", (2_000_000,))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak_bytes < 1_000_000


def test_missing_tensor_is_refused_with_the_nearest(tmp_path):
    weights = open_weights(save(tmp_path, {"layer.weight": MATRIX}))

    with pytest.raises(ConfigError, match=r"has no tensor 'layers.weight'; the nearest is 'layer.weight'"):
        weights.take("layers.weight", (2, 3))
    with pytest.raises(ConfigError, match=r"has no tensor 'zzz'$"):
        weights.shape("zzz")


def test_another_shape_is_refused(tmp_path):
    weights = open_weights(save(tmp_path, {"x": MATRIX}))

    with pytest.raises(ConfigError, match=r"'x' of .* has the shape \(2, 3\), config.json asks for \(3, 2\)"):
        weights.take("x", (3, 2))


# ------------------------------------------------------------------------------------------------ names


def test_tensors_that_nothing_took_are_refused(tmp_path):
    weights = open_weights(save(tmp_path, dict.fromkeys("abcdefgh", MATRIX)))
    weights.take("a", (2, 3))

    with pytest.raises(ConfigError, match=r"7 tensors of .*: 'b', 'c', 'd', 'e', 'f', \.\.\.;"):
        weights.refuse_leftovers([])


def test_looking_is_not_taking(tmp_path):
    weights = open_weights(save(tmp_path, {"a": MATRIX}))
    weights.has("a")
    weights.shape("a")

    with pytest.raises(ConfigError, match="1 tensors"):
        weights.refuse_leftovers([])


def test_ignored_patterns_are_no_leftovers(tmp_path):
    weights = open_weights(save(tmp_path, {"bert.pooler.dense.bias": MATRIX, "x.position_ids": MATRIX, "y": MATRIX}))
    weights.take("y", (2, 3))

    weights.refuse_leftovers(["*pooler.dense.*", "*position_ids"])

    with pytest.raises(ConfigError, match=r"'x\.position_ids'"):
        weights.refuse_leftovers(["*pooler.dense.*", "position_ids"])


@pytest.mark.parametrize("prefix", ["", "bert.", "roberta."])
def test_prefix_is_the_one_before_the_word_embeddings(tmp_path, prefix):
    weights = open_weights(save(tmp_path, {f"{prefix}embeddings.word_embeddings.weight": MATRIX}))

    assert weights.prefix(["", "bert.", "roberta."]) == prefix


def test_no_prefix_or_two_are_refused(tmp_path):
    words = "embeddings.word_embeddings.weight"
    weights = open_weights(save(tmp_path, {words: MATRIX, f"bert.{words}": MATRIX}))

    with pytest.raises(ConfigError, match="has 2 of these tensors, one is needed"):
        weights.prefix(["", "bert."])
    with pytest.raises(ConfigError, match="has 0 of these tensors, one is needed: 'roberta"):
        weights.prefix(["roberta."])


def test_gamma_and_beta_are_seen_under_todays_names(tmp_path):
    weights = open_weights(save(tmp_path, {"a.LayerNorm.gamma": MATRIX, "a.LayerNorm.beta": MATRIX, "gamma": MATRIX}))

    assert weights.names() == ["a.LayerNorm.bias", "a.LayerNorm.weight", "gamma"]


def test_both_the_old_and_the_new_name_are_refused(tmp_path):
    save(tmp_path, {"LayerNorm.gamma": MATRIX, "LayerNorm.weight": MATRIX})

    assert refused(tmp_path, "second tensor named 'LayerNorm.weight'")


# ------------------------------------------------------------------------------------------------ folders


def test_safetensors_come_before_torch_files(tmp_path):
    save_state(save(tmp_path, {"new": MATRIX}), {"old": MATRIX})

    assert open_weights(tmp_path).names() == ["new"]


def test_heads_beside_the_encoder_carry_their_files_name(tmp_path):
    save_state(tmp_path, {"x": MATRIX})
    save_state(tmp_path, {"weight": MATRIX[:1], "bias": MATRIX[0, :1]}, "sparse_linear.pt")
    save_state(tmp_path, {"weight": MATRIX}, "colbert_linear.pt")

    assert open_weights(tmp_path).names() == [
        "colbert_linear.weight",
        "sparse_linear.bias",
        "sparse_linear.weight",
        "x",
    ]


def sharded(folder: Path, places: Mapping[str, str], index: str = "model.safetensors.index.json") -> Path:
    (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


def test_shards_are_one_model(tmp_path):
    save(tmp_path, {"a": MATRIX}, "one.safetensors")
    save(tmp_path, {"b": MATRIX}, "two.safetensors")
    sharded(tmp_path, {"a": "one.safetensors", "b": "two.safetensors"})

    assert open_weights(tmp_path).names() == ["a", "b"]


def test_torch_shards_are_one_model(tmp_path):
    save_state(tmp_path, {"a": MATRIX}, "one.bin")
    save_state(tmp_path, {"b": MATRIX}, "two.bin")
    sharded(tmp_path, {"a": "one.bin", "b": "two.bin"}, "pytorch_model.bin.index.json")

    assert open_weights(tmp_path).names() == ["a", "b"]


def test_shard_without_a_promised_tensor_is_refused(tmp_path):
    save(tmp_path, {"a": MATRIX}, "one.safetensors")
    sharded(tmp_path, {"a": "one.safetensors", "b": "one.safetensors"})

    assert refused(tmp_path, "promises 'b', which no shard has")


def test_one_name_in_two_shards_is_refused(tmp_path):
    save(tmp_path, {"a": MATRIX}, "one.safetensors")
    save(tmp_path, {"a": MATRIX, "b": MATRIX}, "two.safetensors")
    sharded(tmp_path, {"a": "one.safetensors", "b": "two.safetensors"})

    assert refused(tmp_path, "second tensor named 'a'")


def test_absent_shard_is_refused(tmp_path):
    assert refused(
        sharded(tmp_path, {"a": "one.safetensors"}), "one.safetensors' is not there, though the index names it"
    )


@pytest.mark.parametrize(
    "place", ["../x.safetensors", "/etc/passwd", "..", "", "a\\b.bin", "a\0.bin", "C:a.bin", "config.json", 7, None]
)
def test_shard_outside_the_folder_is_refused(tmp_path, place):
    with pytest.raises(ConfigError, match=r"is no file of the folder|is not there, though the index names it"):
        open_weights(sharded(tmp_path, {"a": place}))


@pytest.mark.parametrize("index", ["", "[]", "{}", '{"weight_map": []}', "{" * 100_000])
def test_damaged_index_is_refused(tmp_path, index):
    (tmp_path / "model.safetensors.index.json").write_text(index)

    assert refused(tmp_path, "model.safetensors.index.json'")


def test_folder_without_weights_is_refused_with_what_is_looked_for(tmp_path):
    assert refused(tmp_path, "holds no weights; it needs model.safetensors or pytorch_model.bin")


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "is empty"), (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer")],
)
def test_file_that_is_no_weights_is_refused(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)

    assert refused(tmp_path, says)
