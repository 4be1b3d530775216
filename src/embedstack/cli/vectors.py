"""Vectors become json, jsonl, npy or parquet, with their identity where the format can hold it."""

import sys
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import orjson

from embedstack.errors import BadRequest, ConfigError
from embedstack.types import Encoded, Floats

FORMATS = ("json", "jsonl", "npy", "parquet")


class Writer(AbstractContextManager["Writer"], ABC):
    """Takes vectors a few at a time. A file appears under its name only when all of it is written."""

    def __init__(self, output: Path | None) -> None:
        self._output = output
        self._partial = output.with_name(output.name + ".partial") if output else None
        self._file: BinaryIO = sys.stdout.buffer

    def __enter__(self) -> "Writer":
        if self._partial:
            try:
                self._file = self._partial.open("wb")
            except OSError as error:
                raise ConfigError(f"{str(self._partial)!r} cannot be written: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.end()
        self._file.flush()
        if self._partial and self._output:
            self._file.close()
            self._partial.unlink() if kind else self._partial.replace(self._output)

    @abstractmethod
    def write(self, texts: list[str], encoded: Encoded) -> None:
        """Some texts with their vectors."""

    def end(self) -> None:
        """All was written."""


class JsonLines(Writer):
    """An object a line: text and embedding."""

    def write(self, texts: list[str], encoded: Encoded) -> None:
        for text, row in zip(texts, _dense(encoded), strict=True):
            self._file.write(orjson.dumps({"text": text, "embedding": row}, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")


class _Gathering(Writer):
    """Formats that are written as a whole."""

    def __init__(self, output: Path | None) -> None:
        super().__init__(output)
        self._texts: list[str] = []
        self._parts: list[Encoded] = []

    def write(self, texts: list[str], encoded: Encoded) -> None:
        self._texts += texts
        self._parts.append(encoded)

    def _matrix(self) -> Floats:
        if not self._parts:
            raise BadRequest("no text to embed; the input was empty")
        return np.concatenate([_dense(part) for part in self._parts])


class Json(_Gathering):
    """One object: identity, usage, and the vectors."""

    def end(self) -> None:
        matrix, usages = self._matrix(), [part.usage for part in self._parts]
        whole = {
            **identity(self._parts[0]),
            "usage": {
                name: sum(getattr(usage, name) for usage in usages)
                for name in ("items", "tokens", "truncated", "dropped")
            },
            "data": [
                {"index": n, "text": text, "embedding": row}
                for n, (text, row) in enumerate(zip(self._texts, matrix, strict=True))
            ],
        }
        self._file.write(orjson.dumps(whole, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")


class Npy(_Gathering):
    """A float32 matrix (texts, dim) for numpy.load."""

    def end(self) -> None:
        np.save(self._file, self._matrix())


class Parquet(_Gathering):
    """Columns text and vector; the identity stands in the file's metadata under `embedstack`."""

    def __init__(self, output: Path | None) -> None:
        super().__init__(output)
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise ConfigError(
                "parquet needs a package that is not installed; run: pip install 'embedstack[parquet]'"
            ) from error
        self._pa, self._pq = pa, pq

    def end(self) -> None:
        pa, matrix = self._pa, self._matrix()
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), matrix.shape[1])
        table = pa.table({"text": pa.array(self._texts), "vector": vectors})
        about = {"embedstack": orjson.dumps(identity(self._parts[0]))}
        self._pq.write_table(table.replace_schema_metadata(about), self._file)


def identity(encoded: Encoded) -> dict[str, object]:
    """What must travel with vectors."""
    spec = encoded.spec
    dim = 0 if encoded.dense is None else encoded.dense.shape[1]
    return {
        "model": spec.name,
        "revision": spec.revision,
        "space": spec.space,
        "fingerprint": encoded.fingerprint,
        "dim": dim,
    }


def open_writer(kind: str | None, output: Path | None) -> Writer:
    """The writer for a format, by name or by the ending of the output.

    Raises:
        BadRequest: no such format, or a binary one for a terminal. ConfigError: its package is missing.
    """
    kind = kind or (output.suffix.lstrip(".") if output else "jsonl")
    if kind not in FORMATS:
        raise BadRequest(
            f"{kind!r} is no format; choose one of: {', '.join(FORMATS)}, with --format or by the ending of --output"
        )
    if kind in ("npy", "parquet") and output is None and sys.stdout.isatty():
        raise BadRequest(f"{kind} is binary and stdout is a terminal; add --output FILE")
    writers: dict[str, type[Writer]] = {"json": Json, "jsonl": JsonLines, "npy": Npy, "parquet": Parquet}
    return writers[kind](output)


def _dense(encoded: Encoded) -> Floats:
    if encoded.dense is None:
        raise BadRequest(f"{encoded.spec.name!r} gives no dense vectors; choose an embedding model")
    return encoded.dense
