"""The files of a folder: which of them hold weights, and what is said of one that is broken."""

from pathlib import Path

import pytest
from model_folders import as_json, write

from embedstack.errors import ConfigError
from embedstack.models.folder import read_json, weight_files


def names(folder: Path) -> list[str]:
    return [path.name for path in weight_files(folder)]


def index(*shards: str) -> bytes:
    return as_json({"weight_map": {f"tensor{n}": shard for n, shard in enumerate(shards)}})


def test_safetensors_are_taken_before_torchs_format(tmp_path: Path) -> None:
    write(tmp_path, {"pytorch_model.bin": b"", "model.safetensors": b""})

    assert names(tmp_path) == ["model.safetensors"]


@pytest.mark.parametrize("container", ["model.safetensors", "pytorch_model.bin"])
def test_shards_are_found_through_their_index(tmp_path: Path, container: str) -> None:
    write(tmp_path, {f"{container}.index.json": index("b", "a", "b"), "a": b"", "b": b""})

    assert names(tmp_path) == ["a", "b"]


def test_the_heads_beside_the_weights_count(tmp_path: Path) -> None:
    write(tmp_path, {"pytorch_model.bin": b"", "sparse_linear.pt": b"", "colbert_linear.pt": b""})

    assert names(tmp_path) == ["pytorch_model.bin", "sparse_linear.pt", "colbert_linear.pt"]


def test_a_shard_that_is_missing_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"model.safetensors.index.json": index("a", "b"), "a": b""})

    with pytest.raises(ConfigError, match="b' is not there"):
        weight_files(tmp_path)


@pytest.mark.parametrize("shard", ["../secret", "/etc/passwd", "", ".."])
def test_a_shard_outside_the_folder_is_refused(tmp_path: Path, shard: str) -> None:
    write(tmp_path, {"model.safetensors.index.json": index(shard)})

    with pytest.raises(ConfigError, match="no file of the folder"):
        weight_files(tmp_path)


def test_an_index_of_nothing_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, {"model.safetensors.index.json": index()})

    with pytest.raises(ConfigError, match="names no shards"):
        weight_files(tmp_path)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config.json' is not there"):
        read_json(tmp_path / "config.json")
