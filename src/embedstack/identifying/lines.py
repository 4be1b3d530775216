"""JSON lines with vectors, perhaps packed -> some of their rows from all over; only these are decoded."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial

import msgspec
import numpy as np

from embedstack.documents.lines import BOM, DECODER
from embedstack.documents.stream import Stream
from embedstack.errors import BadRequest
from embedstack.identifying.rows import Pool, Row, fields_of
from embedstack.loading.found import Files, packing_of, spread
from embedstack.loading.json_rows import VECTORS
from embedstack.loading.pieces import Place
from embedstack.loading.source import BadRow
from embedstack.types import Floats

MOST_BYTES = 16 << 20  # of a line


def pool_of_lines(files: Files, vector: str, most: int) -> Pool:
    """At most so many rows, by one pass over all files.

    Raises:
        BadRequest: there is no row. BadRow: a line that was chosen is no JSON object, or has no vector.
    """
    kept, step, count = list[tuple[bytes, Place]](), 1, 0
    for line, place in _lines(files):
        if count % step == 0:
            kept.append((line, place))
        count += 1
        if len(kept) > 2 * most:  # every second one goes, and half as many follow
            kept, step = kept[::2], step * 2
    if not kept:
        raise BadRequest(f"there is no row in {files.label}; name files with a JSON object on each line")
    rows = [_row(*kept[number], vector) for number in spread(len(kept), most)]
    return Pool(label=files.label, rows=rows, total=count)


def _lines(files: Files) -> Iterator[tuple[bytes, Place]]:
    """Those that are not blank, counted from 1."""
    for entry in files.entries:
        with closing(Stream(partial(files.open, entry), packing_of(entry.key), entry.key)) as stream:
            number = 0
            while (line := stream.line(MOST_BYTES)) != b"":
                number += 1
                place = Place("line", number, entry.key)
                if line is None:
                    raise BadRow(f"{place} is longer than {MOST_BYTES} bytes; leave it out")
                line = line.removeprefix(BOM) if number == 1 else line
                if line.strip():
                    yield line, place


def _row(line: bytes, place: Place, vector: str) -> Row:
    try:
        said = DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRow(f"{place} is no JSON object: {error}; mend it or leave it out") from error
    key = _key(said, place, vector)
    return Row(str(place), fields_of(said), _numbers(said[key], key, place))


def _key(said: Mapping[str, object], place: Place, wanted: str) -> str:
    found = [key for key in ([wanted] if wanted else VECTORS) if key in said]
    if len(found) != 1:
        keys = ", ".join(map(repr, list(said)[:20]))
        raise BadRow(f"{place} has no vector, or more than one, among its keys {keys}; name its key with --vector")
    return found[0]


def _numbers(given: object, key: str, place: Place) -> Floats:
    if not isinstance(given, list) or not given or not set(map(type, given)) <= {int, float}:
        raise BadRow(f"{place} has no list of numbers under {key!r}; name the key of the vectors with --vector")
    with np.errstate(over="ignore"):
        return np.array(given, np.float64).astype(np.float32)
