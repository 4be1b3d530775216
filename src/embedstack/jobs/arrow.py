"""PyArrow, or a sentence that says how to get it; and its errors in our words."""

from collections.abc import Iterator
from contextlib import contextmanager

from embedstack.errors import ConfigError, Mismatch

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
except ModuleNotFoundError as error:
    raise ConfigError("jobs need packages that are not installed; run: pip install 'embedstack[jobs]'") from error

__all__ = ["MEND", "mapped", "pa", "pc", "pq"]

MEND = "run: embedstack job verify --deep --repair"


@contextmanager
def mapped(key: str) -> Iterator[None]:
    """Whatever a torn or foreign file makes the library say; of its OSErrors only the disk's own have a number.

    Raises:
        Mismatch: the file is not what it should be. ConfigError: it cannot be read.
    """
    try:
        yield
    except (pa.ArrowException, OSError, KeyError, AttributeError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            problem = f"{key!r} cannot be read: {error.strerror or error}"
            raise ConfigError(f"{problem}; mend the disk and try again") from error
        reason = str(error).partition("\n")[0]
        raise Mismatch(f"{key!r} cannot be read as a part of the table: {reason}; {MEND}") from error
