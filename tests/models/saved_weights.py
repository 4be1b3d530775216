"""Tensors -> weights files, by the safetensors package or by hand, sound and otherwise."""

import json
import random
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from embedstack.errors import ConfigError
from embedstack.models.weights import open_weights

MATRIX = np.arange(6, dtype=np.float32).reshape(2, 3) / 4


def save(folder: Path, tensors: Mapping[str, np.ndarray], name: str = "model.safetensors") -> Path:
    safetensors.numpy.save_file(dict(tensors), folder / name)
    return folder


def save_raw(folder: Path, header: object, body: bytes = b"", *, header_bytes: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(text) if header_bytes is None else header_bytes
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", length) + text + body)
    return folder


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    return b"\x8a\x0a" + value.to_bytes(10, "little", signed=True)


def row(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def numbers(values: tuple[int, ...]) -> bytes:
    return row(*map(number, values))


def tensor(
    key: str, size: int, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], of: str = "Float"
) -> bytes:
    storage = row(text("storage"), f"ctorch\n{of}Storage\n".encode(), text(key), text("cpu"), number(size)) + b"Q"
    hooks = b"ccollections\nOrderedDict\n)R"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n"
        + row(storage, number(offset), numbers(shape), numbers(strides), b"\x89", hooks)
        + b"R"
    )


def mapping(items: Mapping[str, bytes]) -> bytes:
    return b"\x80\x02}(" + b"".join(text(name) + value for name, value in items.items()) + b"u."


def save_torch(
    path: Path,
    steps: bytes,
    storages: Mapping[str, bytes] | None = None,
    *,
    byteorder: bytes = b"little",
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """A file as torch.save writes it, around a pickle that is written by hand.

    Compared with files of torch 2.13.0, which also reads these: the same members in the same order, stored, their bytes
    aligned to 64 by an extra field of the local header alone; the same calls in the pickle, but with fewer kinds of
    steps (no memo, one form of tuple and number) and no `_metadata`; tests/golden/torch_saved.pt has those.
    """
    members = {"data.pkl": steps, ".format_version": b"1", ".storage_alignment": b"64", "byteorder": byteorder}
    members |= {f"data/{key}": content for key, content in (storages or {}).items()}
    members |= {"version": b"3\n", ".data/serialization_id": b"0" * 40}
    with path.open("wb") as file, zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(f"{path.stem}/{name}")
            info.compress_type = compression
            padding = -(file.tell() + 30 + len(info.filename) + 4) % 64
            info.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
            archive.writestr(info, content)
            info.extra = b""
    return path.parent


def save_state(folder: Path, tensors: Mapping[str, np.ndarray], name: str = "pytorch_model.bin") -> Path:
    tensors = {key: np.require(array, requirements="C") for key, array in tensors.items()}
    strides = {key: tuple(step // array.itemsize for step in array.strides) for key, array in tensors.items()}
    steps = mapping({key: tensor(key, array.size, 0, array.shape, strides[key]) for key, array in tensors.items()})
    return save_torch(folder / name, steps, {key: array.tobytes() for key, array in tensors.items()})


def refused(folder: Path, says: str) -> bool:
    with pytest.raises(ConfigError, match=says) as caught:
        open_weights(folder)
    return str(folder) in str(caught.value)


def opens_or_is_refused(folder: Path) -> bool:
    """Any other exception than ConfigError fails the test."""
    try:
        open_weights(folder)
    except ConfigError as error:
        return str(folder) in str(error)
    return True


def changed(content: bytes, draw: random.Random, within: range) -> bytes:
    """With one bit flipped."""
    at, bit = draw.choice(within), 1 << draw.randrange(8)
    return content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :]
