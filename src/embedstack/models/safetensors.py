"""A .safetensors file -> its tensors by name, each a window into the memory map; every offset is checked first.

Source: https://github.com/huggingface/safetensors/blob/v0.5.3/README.md#format
"""

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path

from embedstack.errors import ConfigError
from embedstack.models.stored import LAYOUTS, Stored, open_map, window

MAX_HEADER_BYTES = 100_000_000  # the format's own limit
MAX_AXES = 32  # numpy's limit before 2.0
KINDS = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
    "F8_E4M3": "float8",
    "F8_E5M2": "float8",
    "F8_E8M0": "float8",
    "F8_E4M3FNUZ": "float8",
    "F8_E5M2FNUZ": "float8",
}


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read(path: Path) -> dict[str, Stored]:
    """The tensors of one file.

    Raises:
        ConfigError: the file is cut short, or its header is not what the format allows.
    """
    data = open_map(path)
    header, body = _split(path, data)
    entries = [_entry(path, name, value) for name, value in header.items() if name != "__metadata__"]
    _check_cover(path, entries, body_bytes=len(body), header_bytes=len(data) - len(body))
    return {entry.name: _stored(path, entry, body) for entry in entries}


def _split(path: Path, data: memoryview) -> tuple[dict[str, object], memoryview]:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > MAX_HEADER_BYTES or bytes(data[8:9]) != b"{":
        raise ConfigError(f"{str(path)!r} does not begin as a safetensors file does; download it again")
    if 8 + length > len(data):
        raise _cut_short(path, 8 + length, len(data))
    try:
        header = json.loads(bytes(data[8 : 8 + length]), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{str(path)!r} has a damaged header ({error}); download it again") from error
    return header, data[8 + length :]


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    once: dict[str, object] = {}
    for name, value in pairs:
        if name in once:
            raise ValueError(f"{name!r} stands twice")
        once[name] = value
    return once


def _entry(path: Path, name: str, value: object) -> _Entry:
    match value:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [begin, end]}:
            numbers = [begin, end, *shape]
        case _:
            raise ConfigError(f"{str(path)!r}: the header's entry of {name!r} lacks dtype, shape or data_offsets")
    if dtype not in KINDS:
        raise ConfigError(f"{str(path)!r}: {name!r} is stored as {dtype!r}; embedstack reads: {', '.join(KINDS)}")
    if any(type(number) is not int or number < 0 for number in numbers) or len(shape) > MAX_AXES:
        raise ConfigError(f"{str(path)!r}: {name!r} has a shape or an offset that is no list of whole numbers from 0")
    wanted = prod(shape) * LAYOUTS[KINDS[dtype]].itemsize
    if end - begin != wanted:
        raise ConfigError(
            f"{str(path)!r}: {name!r} of shape {tuple(shape)} takes {wanted} bytes as {dtype}, not {end - begin}"
        )
    return _Entry(name, KINDS[dtype], tuple(shape), begin, end)


def _check_cover(path: Path, entries: list[_Entry], *, body_bytes: int, header_bytes: int) -> None:
    """The format wants each byte to belong to exactly one tensor."""
    end = max((entry.end for entry in entries), default=0)
    if end > body_bytes:
        raise _cut_short(path, header_bytes + end, header_bytes + body_bytes)
    if end < body_bytes:
        raise ConfigError(f"{str(path)!r} has {body_bytes - end} bytes that belong to no tensor; download it again")
    at = 0
    for entry in sorted(entries, key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != at:
            wrong = "overlaps another tensor" if entry.begin < at else "leaves a hole before it"
            raise ConfigError(f"{str(path)!r}: {entry.name!r} {wrong} at byte {entry.begin}; download it again")
        at = entry.end


def _stored(path: Path, entry: _Entry, body: memoryview) -> Stored:
    strides = [prod(entry.shape[axis + 1 :]) for axis in range(len(entry.shape))]
    try:
        return Stored(entry.kind, window(body[entry.begin : entry.end], entry.kind, entry.shape, 0, strides))
    except ValueError as error:
        raise ConfigError(f"{str(path)!r}: {entry.name!r} has the impossible shape {entry.shape} ({error})") from error


def _cut_short(path: Path, wanted: int, found: int) -> ConfigError:
    return ConfigError(
        f"{str(path)!r} is cut short: its header describes {wanted} bytes, it has {found}; download it again"
    )
