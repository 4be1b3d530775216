"""Some rows of a Parquet file as its library holds them -> each as Python's values, or why it cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from embedstack.documents.document import Reading, Unfit
from embedstack.documents.rows import OWN_IDS, too_large

if TYPE_CHECKING:
    import pyarrow as pa

AT_ONCE = 8 << 20  # bytes that become Python's values together; what is larger does row by row
# named, as older versions of pyarrow do not have all; a column of nulls has no text, which is told row by row
TEXTS = {"null", "string", "large_string", "string_view", "binary", "large_binary", "binary_view"}
OWN = 64  # bytes that a cell has besides its value

Row = dict[str, object]


def rows_of(batch: pa.RecordBatch, reading: Reading) -> Iterator[Row | Unfit]:
    """Times have microseconds and are in UTC, whatever packages are installed; texts are str, other bytes bytes."""
    names = (reading.text_field, *id_names(reading))
    try:
        plain = _plain(batch, names)
        found: Sequence[Row] | None = (
            plain.to_pylist() if plain.nbytes <= min(AT_ONCE, reading.max_document_bytes) else None
        )
    except (ValueError, OverflowError, NotImplementedError):  # pyarrow's own are among them
        found = None
    if found is not None:
        yield from found
        return
    for place in range(len(batch)):
        yield _row(batch.slice(place, 1), names, reading)


def id_names(reading: Reading) -> Sequence[str]:
    """The columns that may hold ids."""
    return (reading.id_field,) if reading.id_field else OWN_IDS


def is_text(kind: pa.DataType) -> bool:
    """Whether its values are texts; many writers say bytes where they mean texts."""
    return str(_unpacked(kind)) in TEXTS


def is_id(kind: pa.DataType) -> bool:
    """Whether its values are texts or whole numbers."""
    import pyarrow as pa

    return is_text(kind) or pa.types.is_integer(_unpacked(kind))


def _row(batch: pa.RecordBatch, names: Sequence[str], reading: Reading) -> Row | Unfit:
    try:
        plain = _plain(batch, names)
        if any(column.nbytes > reading.max_document_bytes + OWN for column in plain.columns):
            return too_large("a cell of the row", reading)  # told before there is a copy of it
        (row,) = plain.to_pylist()
    except UnicodeDecodeError as error:
        return Unfit("bad_utf8", f"a text of the row is not UTF-8 at its byte {error.start}; convert the file first")
    except (ValueError, OverflowError, NotImplementedError):
        return Unfit("bad_value", "a cell of the row holds what cannot be told, as a time of the year 10000; mend it")
    return row  # type: ignore[no-any-return]


def _plain(batch: pa.RecordBatch, texts: Sequence[str]) -> pa.RecordBatch:
    columns = [
        _cast(column, _text_kind(column.type) if name in texts else _plain_kind(column.type))
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return type(batch).from_arrays(columns, names=batch.schema.names)


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Nanoseconds are cut off; a time that is too large is an error and no other time."""
    import pyarrow.compute as pc

    if column.type == kind:
        return column
    return column.cast(options=pc.CastOptions(kind, allow_time_truncate=True, allow_invalid_utf8=True))


def _text_kind(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    is_bytes = is_text(kind) and not pa.types.is_null(kind)
    return pa.large_string() if is_bytes else _plain_kind(kind)


@cache
def _plain_kind(kind: pa.DataType) -> pa.DataType:
    """What is read in its place, in lists and structs too."""
    import pyarrow as pa

    types = pa.types
    if types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)  # other zones need a database
    if types.is_time(kind):
        return pa.time64("us")
    if types.is_duration(kind):
        return pa.duration("us")
    if types.is_dictionary(kind):
        return _plain_kind(kind.value_type)
    if str(kind) == "string_view":  # the size of a view is not that of what it shows
        return pa.large_string()
    if str(kind) == "binary_view":
        return pa.large_binary()
    if types.is_struct(kind):
        return pa.struct([_plain_field(kind.field(place)) for place in range(kind.num_fields)])
    if types.is_map(kind):
        return pa.map_(_plain_field(kind.key_field), _plain_field(kind.item_field))
    if types.is_fixed_size_list(kind):
        return pa.list_(_plain_field(kind.value_field), kind.list_size)
    if types.is_large_list(kind):
        return pa.large_list(_plain_field(kind.value_field))
    return pa.list_(_plain_field(kind.value_field)) if types.is_list(kind) else kind


def _plain_field(field: pa.Field) -> pa.Field:
    return field.with_type(_plain_kind(field.type))


def _unpacked(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind
