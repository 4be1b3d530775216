"""A packed file -> a stream of its unpacked bytes that notices where an archive is torn."""

import gzip
import io
import zlib
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from embedstack.documents.document import Packed
from embedstack.documents.optional import not_installed
from embedstack.documents.watched import Watched
from embedstack.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER = 1 << 18  # bytes, unpacked: what one call for more brings


class Torn(ConfigError):
    """An archive ends before its end, or is damaged; what stands behind that place cannot be had."""


class _Reads(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


def unpacked(file: BinaryIO, packed: Packed, name: str) -> BinaryIO:
    """The stream to read from, which closes `file` when it is closed. Bytes that are not packed come as they are.

    Args:
        name: for the message where the archive is torn.
    Raises:
        Torn: when the place is read that is damaged or missing.
    """
    match packed:
        case "":
            return file
        case "gz":
            watched = Watched(file)
            return _stream(gzip.GzipFile(fileobj=watched, mode="rb"), watched, name)
        case "zst":
            watched = Watched(file)
            return _stream(_zstd(watched), watched, name)


def _stream(inner: _Reads, file: Watched, name: str) -> BinaryIO:
    # a BufferedReader is what open() gives, so the rest of the room knows one kind of stream
    return cast(BinaryIO, io.BufferedReader(_Unpacking(inner, file, name), BUFFER))


def _zstd(file: Watched) -> _Reads:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise not_installed("reading .zst files", error) from error
    return cast(_Reads, pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"))


class _Unpacking(io.RawIOBase):
    def __init__(self, inner: _Reads, file: Watched, name: str) -> None:
        self._inner = inner
        self._file = file
        self._name = name
        self._place = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._read(len(view))
        view[: len(data)] = data
        self._place += len(data)
        return len(data)

    def _read(self, size: int) -> bytes:
        try:
            data = self._inner.read(size)
        except (EOFError, zlib.error, OSError) as error:
            raise (self._file.fault(self._name) or self._torn()) from error
        if not data and not self._file.taken:  # an archive of nothing has bytes
            raise self._torn()
        return data

    def _torn(self) -> Torn:
        return Torn(
            f"{self._name!r} is damaged or ends too early, behind {self._place} unpacked bytes; "
            "copy it again, or take it out of the input"
        )

    def close(self) -> None:
        if not self.closed:
            try:
                self._inner.close()
                self._file.close()
            finally:
                super().close()
