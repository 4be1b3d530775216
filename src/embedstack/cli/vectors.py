"""Vectors become json, jsonl, npy or parquet, with their identity where the format can hold it."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import orjson

from embedstack.dialects.wire import encoder_of
from embedstack.errors import BadRequest, ConfigError
from embedstack.types import Encoded, Floats, Scored, Usage

FORMATS = ("json", "jsonl", "npy", "parquet")
COUNTS = ("items", "tokens", "truncated", "dropped")


class Writer(AbstractContextManager["Writer"], ABC):
    """Takes vectors a few at a time. A file appears under its name only when all of it is written.

    Args:
        output: a file; a device or a named pipe is written as it goes; stdout if None.
    """

    def __init__(self, output: Path | None) -> None:
        self._output = output.resolve() if output else None
        self._place = _place_of(self._output) if self._output else None
        self._file: BinaryIO = sys.stdout.buffer

    def __enter__(self) -> "Writer":
        with self._mapped():
            self._file = self._place.open("wb") if self._place else sys.stdout.buffer
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with self._mapped():
                self._settle(is_whole=kind is None)
        finally:
            if self._place and self._place != self._output:
                self._place.unlink(missing_ok=True)

    def write(self, texts: list[str], encoded: Encoded) -> None:
        """Some texts with their vectors.

        Raises:
            BadRequest: there are no dense vectors. ConfigError: the disk is full.
        """
        with self._mapped():
            self._write(texts, encoded)

    def _settle(self, *, is_whole: bool) -> None:
        try:
            if is_whole:
                self._end()
        finally:
            self._file.close() if self._output else self._file.flush()
        if is_whole and self._place and self._output and self._place != self._output:
            self._place.replace(self._output)

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """The errors of a file get its name; those of stdout are the command line's."""
        try:
            yield
        except OSError as error:
            if self._output is None:
                raise
            problem = f"{str(self._output)!r} cannot be written: {error.strerror or error}"
            raise ConfigError(f"{problem}; choose another place with --output") from error

    @abstractmethod
    def _write(self, texts: list[str], encoded: Encoded) -> None: ...

    def _end(self) -> None:
        """All was written."""


class JsonLines(Writer):
    """An object a line: text, embedding and fingerprint."""

    def _write(self, texts: list[str], encoded: Encoded) -> None:
        for text, row in zip(texts, _dense(encoded), strict=True):
            line = {"text": text, "embedding": row, "fingerprint": encoded.fingerprint}
            self._file.write(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")


class _Gathering(Writer):
    """Formats that are written as a whole."""

    def __init__(self, output: Path | None) -> None:
        super().__init__(output)
        self._texts: list[str] = []
        self._parts: list[Encoded] = []

    def _write(self, texts: list[str], encoded: Encoded) -> None:
        _dense(encoded)
        self._texts += texts
        self._parts.append(encoded)

    def _matrix(self) -> Floats:
        if not self._parts:
            raise BadRequest("no vectors to write; the input was empty")
        return np.concatenate([_dense(part) for part in self._parts])


class Json(_Gathering):
    """One object: identity, usage, and the vectors."""

    def _end(self) -> None:
        rows = zip(self._texts, self._matrix(), strict=True)
        whole = {
            **identity(self._parts[0]),
            "usage": usage(*(part.usage for part in self._parts)),
            "data": [{"index": index, "text": text, "embedding": row} for index, (text, row) in enumerate(rows)],
        }
        self._file.write(orjson.dumps(whole, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")


class Npy(_Gathering):
    """A float32 matrix (texts, dim) for numpy.load."""

    def _end(self) -> None:
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

    def _end(self) -> None:
        pa, matrix = self._pa, self._matrix()
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), matrix.shape[1])
        table = pa.table({"text": pa.array(self._texts), "vector": vectors})
        about = {"embedstack": orjson.dumps(identity(self._parts[0]))}
        self._pq.write_table(table.replace_schema_metadata(about), self._file)


def identity(made: Encoded | Scored) -> dict[str, object]:
    """What must travel with vectors and scores."""
    dense = made.dense if isinstance(made, Encoded) else None
    return {
        "model": made.spec.name,
        "revision": made.spec.revision,
        "space": made.spec.space,
        "fingerprint": made.fingerprint,
        **({"encoder": encoder} if (encoder := encoder_of(made.spec)) else {}),
        **({} if dense is None else {"dim": dense.shape[1]}),
    }


def usage(*parts: Usage) -> dict[str, int]:
    """The counts of all parts together."""
    return {name: sum(getattr(part, name) for part in parts) for name in COUNTS}


def open_writer(kind: str | None, output: Path | None) -> Writer:
    """The writer for a format, by name or by the ending of the output.

    Raises:
        BadRequest: no such format, or a binary one for a terminal. ConfigError: its package is missing.
    """
    kind = kind or (output.suffix.lstrip(".").lower() if output else "jsonl")
    if kind not in FORMATS:
        raise BadRequest(
            f"{kind!r} is no format; choose one of: {', '.join(FORMATS)}, with --format or by the ending of --output"
        )
    if kind in ("npy", "parquet") and output is None and sys.stdout.isatty():
        raise BadRequest(f"{kind} is binary and stdout is a terminal; add --output FILE")
    writers: dict[str, type[Writer]] = {"json": Json, "jsonl": JsonLines, "npy": Npy, "parquet": Parquet}
    return writers[kind](output)


def _place_of(output: Path) -> Path:
    """Where the bytes go: next to a file that is still to be made whole, straight into a device or a pipe."""
    if output.exists() and not output.is_file():
        return output
    return output.with_name(f"{output.name}.partial")


def _dense(encoded: Encoded) -> Floats:
    if encoded.dense is None:
        raise BadRequest(f"{encoded.spec.name!r} gave no dense vectors; ask for the output dense")
    return encoded.dense
