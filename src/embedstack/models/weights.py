"""A model folder -> its tensors by name, from memory maps; what a graph takes is noted, what is left is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedstack.errors import ConfigError
from embedstack.models import pickled, safetensors
from embedstack.models.folder import HEADS, container_of, read_fields, weight_files
from embedstack.models.stored import Stored
from embedstack.types import Floats

WORDS = "embeddings.word_embeddings.weight"
# TensorFlow's names, in files converted before 2019
LEGACY = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


class Weights:
    """The tensors of a model folder by name; read from a memory map, each asked for is noted."""

    def __init__(self, tensors: Mapping[str, Stored], origin: str, folder: Path | None = None) -> None:
        """`origin` names the folder in messages; `folder` is where the files are, for tensors that are of files."""
        self.folder = folder
        self._tensors = dict(tensors)
        self._origin = origin
        self._used: set[str] = set()

    def names(self) -> list[str]:
        """All tensors, sorted."""
        return sorted(self._tensors)

    def has(self, name: str) -> bool:
        """Whether the tensor exists; asking does not count as reading it."""
        return name in self._tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """As stored; asking does not count as reading it.

        Raises:
            ConfigError: no such tensor.
        """
        return self._found(name).raw.shape

    def prefix(self, candidates: Sequence[str], name: str = WORDS) -> str:
        """The one of `candidates` that stands before the encoder's names; "" is a candidate like any other.

        Args:
            name: a tensor that every model of the family has.
        Raises:
            ConfigError: none of them does, or more than one.
        """
        found = [candidate for candidate in candidates if self.has(candidate + name)]
        if len(found) != 1:
            tried = ", ".join(repr(candidate + name) for candidate in candidates)
            raise ConfigError(f"{self._origin!r} has {len(found)} of these tensors, one is needed: {tried}")
        return found[0]

    def take(self, name: str, shape: tuple[int, ...], stored_as: tuple[int, ...] | None = None) -> Floats:
        """The tensor in float32, read-only; a window into the file where it holds float32, else a converted copy.

        Args:
            stored_as: its shape in the file, where that is another one of as many numbers.
        Raises:
            ConfigError: no such tensor, another shape, or no floats.
        """
        stored = self._shaped(name, stored_as or shape)
        return self._floats(name, replace(stored, raw=stored.raw.reshape(shape)) if stored_as else stored)

    def rows(self, name: str, shape: tuple[int, ...], numbers: Sequence[int]) -> Floats:
        """Some rows of a table, for which no others are converted.

        Raises:
            ConfigError: as `take`, or there is no such row.
        """
        stored = self._shaped(name, shape)
        if not all(0 <= number < shape[0] for number in numbers):
            raise ConfigError(f"{name!r} of {self._origin!r} has {shape[0]} rows, there is none of {list(numbers)}")
        return self._floats(name, replace(stored, raw=stored.raw[list(numbers)]))

    def _shaped(self, name: str, wanted: tuple[int, ...]) -> Stored:
        stored = self._found(name)
        if stored.raw.shape != wanted:
            raise ConfigError(
                f"{name!r} of {self._origin!r} has the shape {stored.raw.shape}, config.json asks for {wanted}; "
                "the two are of different models"
            )
        self._used.add(name)
        return stored

    def _floats(self, name: str, stored: Stored) -> Floats:
        try:
            return stored.floats()
        except ConfigError as error:
            raise ConfigError(f"{name!r} of {self._origin!r} {error}") from error

    def whole_numbers(self, name: str) -> NDArray[np.int64]:
        """A tensor of whole numbers.

        Raises:
            ConfigError: no such tensor, or it holds something else.
        """
        stored = self._found(name)
        if stored.kind not in ("int64", "int32"):
            raise ConfigError(f"{name!r} of {self._origin!r} holds {stored.kind}, not whole numbers (int64, int32)")
        self._used.add(name)
        return stored.raw.astype(np.int64)

    def derive(self, name: str, values: Floats) -> None:
        """Add a tensor that was computed of others, to be taken like those of the files."""
        self._tensors[name] = Stored("float32", values)

    def refuse_leftovers(self, ignore: Sequence[str]) -> None:
        """Every tensor was taken or matches one of the `fnmatch` patterns.

        Raises:
            ConfigError: the file holds parts that the graph does not compute, so its vectors would be wrong.
        """
        unread = [name for name in self.names() if name not in self._used and not _matches(name, ignore)]
        if unread:
            shown = ", ".join(map(repr, unread[:5])) + (", ..." if len(unread) > 5 else "")
            raise ConfigError(
                f"{len(unread)} tensors of {self._origin!r} are read by nothing: {shown}; "
                "the model has parts that embedstack does not compute, so its vectors would be wrong"
            )

    def _found(self, name: str) -> Stored:
        if name not in self._tensors:
            near = get_close_matches(name, self._tensors, n=1)
            hint = f"; the nearest is {near[0]!r}" if near else ""
            raise ConfigError(f"{self._origin!r} has no tensor {name!r}{hint}")
        return self._tensors[name]


def open_weights(folder: Path) -> Weights:
    """The weights of a Hugging Face folder; no number is read from the disk yet.

    Raises:
        ConfigError: there are none, or a file is damaged, hostile or at odds with another.
    """
    tensors: dict[str, Stored] = {}
    for path in weight_files(folder):  # the very files that the model's space is a digest of
        prefix = f"{path.stem}." if path.name in HEADS.values() else ""
        _merge(tensors, {prefix + name: stored for name, stored in _read(path).items()}, path)
    _keep_promise(container_of(folder), tensors)
    return Weights(tensors, str(folder), folder)


def unread_weights(folder: Path) -> Weights:
    """For a runtime that reads the files by itself: the folder, and no tensor."""
    return Weights({}, str(folder), folder)


def _keep_promise(container: Path, tensors: Mapping[str, Stored]) -> None:
    """What an index promises must be in its shards."""
    promised = read_fields(container).table("weight_map").values if container.suffix == ".json" else ()
    if missing := [name for name in promised if _current(name) not in tensors]:
        raise ConfigError(f"{str(container)!r} promises {missing[0]!r}, which no shard has; pull the model again")


def _read(path: Path) -> dict[str, Stored]:
    return safetensors.read(path) if path.suffix == ".safetensors" else pickled.read(path)


def _merge(tensors: dict[str, Stored], more: Mapping[str, Stored], path: Path) -> None:
    for stored_name, stored in more.items():
        name = _current(stored_name)
        if name in tensors:
            raise ConfigError(f"{str(path)!r} has a second tensor named {name!r}; the folder mixes two models")
        tensors[name] = stored


def _current(name: str) -> str:
    for legacy, current in LEGACY.items():
        if name.endswith(legacy):
            return name.removesuffix(legacy) + current
    return name


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
