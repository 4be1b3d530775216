"""A model becomes an ONNX file for other programs, with its identity inside, which is read and checked again here."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from embedstack.errors import ConfigError, Mismatch, Unsupported
from embedstack.models import family
from embedstack.models.weights import Weights
from embedstack.modelspec import ModelSpec
from embedstack.runtimes.onnx_graph import external
from embedstack.runtimes.padded import PaddedOps, heads, shapes

INLINE_BYTES = 1_500_000_000  # weights above this lie in a file of their own: a protobuf ends at 2 GiB
PAGE_BYTES = 4096  # each tensor of that file begins on a page, so that a reader can map it
PREFIX = "embedstack."
METADATA = 14  # the field `metadata_props` of ModelProto, onnx.proto of ONNX 1.13


def export(spec: ModelSpec, weights: Weights, out: Path, *, plain: bool = False, force: bool = False) -> list[Path]:
    """Write the file, and a second one beside it if the weights are large.

    The file is there whole, with its own weights, or not at all; the weights may be there alone after a crash.

    Args:
        plain: use the operators of the ONNX standard alone; else ONNX Runtime's own where they are faster.
        force: replace what is there.
    Returns:
        The files written.
    Raises:
        ConfigError: the place is taken or cannot be written; the weights are not as the spec says.
        Unsupported: it is a model of texts and images.
    """
    if "image" in spec.inputs:
        raise Unsupported(f"{spec.name!r} reads images, too, and its towers cannot be exported yet; serve it instead")
    require_place(out, force=force)
    ops = PaddedOps(weights, spec, fused=not plain)
    made = heads(ops, spec)
    weights.refuse_leftovers(family(spec).unread)
    tensors = ops.graph.weights
    is_large = sum(values.nbytes for values in tensors.values()) > INLINE_BYTES
    data = _data(out)
    with _written(data, out) as (data_part, model_part):
        stored = _apart(tensors, data_part, data.name) if is_large else _inline(tensors)
        model = ops.graph.model(made, list(stored), shapes(spec))
        helper.set_model_props(model, identity(spec))
        model_part.write_bytes(model.SerializeToString())
    if not is_large:
        data.unlink(missing_ok=True)  # of a file that was replaced
    return [out, data] if is_large else [out]


def require_place(out: Path, *, force: bool = False) -> None:
    """Refuse a place before work is done for it.

    Raises:
        ConfigError: there is something already, or no folder.
    """
    if out.is_dir() or not out.parent.is_dir():
        raise ConfigError(f"{str(out)!r} is no place for a file; give a name in a folder that is there")
    taken = [path for path in (out, _data(out)) if path.exists()]
    if taken and not force:
        raise ConfigError(f"{str(taken[0])!r} is there already; give --force to replace it, or another name")


# ------------------------------------------------------------------------------------------------ identity


def identity(spec: ModelSpec) -> dict[str, str]:
    """What the file says of itself; the fingerprint is that of its unit rows in float32."""
    says = {
        "model": spec.name,
        "revision": spec.revision,
        "space": spec.space,
        "fingerprint": spec.fingerprint("float32"),
        "pooling": spec.pooling,
        "normalize": str(spec.normalize).lower(),
        "max_tokens": str(spec.max_tokens),
        "prompts": json.dumps(dict(spec.prompts), ensure_ascii=False, sort_keys=True),
        "licence": spec.licence,
        "version": version("embedstack"),
    }
    return {PREFIX + name: value for name, value in says.items()}


def read_identity(path: Path) -> dict[str, str]:
    """What `identity` wrote, without its prefix; the graph and the weights are passed over.

    Raises:
        ConfigError: not an ONNX file, or one that embedstack did not write.
    """
    try:
        found = dict(_metadata(path))
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(
            f"{str(path)!r} is no ONNX file ({error}); export it with: embedstack models export"
        ) from error
    says = {name.removeprefix(PREFIX): value for name, value in found.items() if name.startswith(PREFIX)}
    if "space" not in says:
        raise ConfigError(f"{str(path)!r} does not say whose vectors it gives; write it with: embedstack models export")
    return says


def check_identity(path: Path, spec: ModelSpec) -> dict[str, str]:
    """`read_identity` of a file that must be of this model.

    Raises:
        Mismatch: it is of another; the message names both spaces.
        ConfigError: as `read_identity`.
    """
    says = read_identity(path)
    if says["space"] != spec.space:
        raise Mismatch(
            f"{str(path)!r} is {says.get('model')!r} of the space {says['space']}, but {spec.name!r} is of the space "
            f"{spec.space}; export it again with: embedstack models export {spec.name} {path.name}"
        )
    return says


def _metadata(path: Path) -> Iterator[tuple[str, str]]:
    with path.open("rb") as file:
        for entry in _fields(file, METADATA, path.stat().st_size):
            key, value = (next(_fields(BytesIO(entry), number, len(entry)), b"").decode() for number in (1, 2))
            yield key, value


def _fields(file: BinaryIO, wanted: int, size_bytes: int) -> Iterator[bytes]:
    """The texts and messages of one number in a protobuf message; the others are passed over.

    Raises:
        ValueError: it is not built like one.
    Source:
        https://protobuf.dev/programming-guides/encoding/
    """
    while file.tell() < size_bytes:
        tag = _number(file)
        length = _number(file)  # or the value itself
        if tag & 7 not in (0, 2) or (tag & 7 == 2 and file.tell() + length > size_bytes):
            raise ValueError("it is not built like one")
        if tag == wanted << 3 | 2:
            yield file.read(length)
        elif tag & 7 == 2:
            file.seek(length, 1)


def _number(file: BinaryIO) -> int:
    """Seven bits in each byte, the least first; the last byte is below 128."""
    value = 0
    for shift in range(0, 64, 7):
        byte = file.read(1)
        if not byte:
            break
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("it ends within a number")


# ------------------------------------------------------------------------------------------------ files


def _data(out: Path) -> Path:
    return out.with_name(f"{out.name}.data")


def _inline(weights: Mapping[str, NDArray[np.generic]]) -> Iterator[onnx.TensorProto]:
    return (numpy_helper.from_array(values, name) for name, values in weights.items())


def _apart(weights: Mapping[str, NDArray[np.generic]], part: Path, name: str) -> Iterator[onnx.TensorProto]:
    """Write the tensors one by one, and give what refers to them in the file that will be called `name`."""
    with part.open("wb") as file:
        for tensor, values in weights.items():
            file.seek(-(-file.tell() // PAGE_BYTES) * PAGE_BYTES)
            yield external(tensor, values, name, file.tell())
            file.write(np.ascontiguousarray(values).data)


@contextmanager
def _written(*paths: Path) -> Iterator[list[Path]]:
    """Files to write, each put in its place when all are written; one that nobody wrote is left out.

    Args:
        paths: the last refers to those before it, so it goes first where it is old and comes last where it is new.
    """
    parts = [path.with_name(f".{path.name}.part") for path in paths]
    try:
        yield parts
        written = [(part, path) for part, path in zip(parts, paths, strict=True) if part.exists()]
        if len(written) > 1:
            paths[-1].unlink(missing_ok=True)
        for part, path in written:
            part.replace(path)
    except OSError as error:
        where = str(paths[-1])
        raise ConfigError(f"{where!r} cannot be written: {error.strerror or error}; choose another place") from error
    finally:
        for part in parts:
            with suppress(OSError):
                part.unlink(missing_ok=True)
