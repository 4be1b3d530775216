"""A job's table, files with vectors, or a collection -> its rows as things, with their vectors as they are stored."""

import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path

import msgspec
import numpy as np

from embedstack.databases.addresses import CollectionAddress, parse_address, with_vector
from embedstack.databases.checks import unknown
from embedstack.databases.database import Page, Point, PointId, pages
from embedstack.databases.fields import one_field
from embedstack.databases.opening import open_database
from embedstack.deduping.reading import text_key
from embedstack.deduping.thing import How, Thing
from embedstack.documents.forms import form_of
from embedstack.documents.lines import BOM, DECODER
from embedstack.documents.stream import Stream
from embedstack.errors import BadRequest, ConfigError
from embedstack.jobs.layout import MANIFEST, PLAN
from embedstack.loading.found import Files, JobFolder, find, packing_of
from embedstack.loading.json_rows import VECTORS, Shape, row_of, shape_of
from embedstack.loading.pieces import Place
from embedstack.loading.source import BadRow
from embedstack.loading.source import How as Loading
from embedstack.origin import Origin
from embedstack.search.keeping import Item
from embedstack.types import Floats

MOST_BYTES = 16 << 20  # of a line
ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Stored:
    """What one source holds."""

    label: str
    origin: Origin | None  # None: it does not say
    things: Iterator[Thing]


def opener_of(named: str) -> Callable[[How], Stored] | None:
    """How a source is opened that holds vectors; None for files that hold texts or pictures, and for what is not there.

    Raises:
        ConfigError: a file of rows cannot be read.
    """
    path = Path(named)
    if path.is_dir():
        return partial(_found, named) if (path / PLAN).exists() or (path / MANIFEST).exists() else None
    if path.is_file():
        return partial(_found, named) if has_vectors(path) else None
    if address := parse_address(named):
        return partial(_collection, address)
    return partial(_found, named) if "://" in named or set(path.name) & set("*?[") else None


def has_vectors(path: Path) -> bool:
    """Whether a file's rows hold vectors, by its columns or its first line."""
    match form_of(path.name, None):
        case "parquet", _:
            from embedstack.deduping.stored_parquet import has_column  # pyarrow, which JSON lines do without

            return has_column(path)
        case "jsonl", _:
            found = find(str(path))
            assert isinstance(found, Files)
            with closing(_lines(found)) as lines:
                return any(_row_has_vector(line) for line, _ in islice(lines, 1))
        case _:
            return False


def thing_of(name: str, vector: Floats, payload: Mapping[str, object], how: How) -> Thing:
    """A row with what its payload says of it."""
    text, about = payload.get(how.text_field), payload.get("doc_id")
    text = text if isinstance(text, str) and text else None
    item = Item(
        name=name,
        about=about if isinstance(about, str) and about != name else "",
        size_bytes=vector.nbytes + len((text or "").encode("utf-8", "surrogatepass")),
        characters=None if text is None else len(text),
    )
    if problem := _problem(vector):
        return Thing(item=item, type="vectors", problem=problem)
    # of one text and one vector: a caption may stand beside many pictures
    key = "" if text is None else f"{text_key(text)}:{hashlib.sha256(vector.tobytes()).hexdigest()}"
    return Thing(item=item, type="vectors", key=key, content=vector)


def name_of(payload: Mapping[str, object], otherwise: str) -> str:
    """As the row calls itself."""
    found = next((payload[key] for key in ("id", "chunk_id") if isinstance(payload.get(key), str)), otherwise)
    return str(found) or otherwise


def _problem(vector: Floats) -> str:
    if not np.isfinite(vector).all():
        return "its vector has a number that is not finite"
    return "" if vector.any() else "its vector is all zeros, which is like nothing"


def _row_has_vector(line: bytes) -> bool:
    try:
        return not DECODER.decode(line).keys().isdisjoint(VECTORS)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False  # it is read as a text, and named as one that cannot be


def _found(named: str, how: How) -> Stored:
    found = find(named)
    if isinstance(found, Files) and found.form == "jsonl":
        return _json_lines(found, how)
    from embedstack.deduping.stored_parquet import job, parquet

    return job(found.storage, how) if isinstance(found, JobFolder) else parquet(found, how)


# ------------------------------------------------------------------------------------------------ JSON lines


def _json_lines(files: Files, how: How) -> Stored:
    lines = _lines(files)
    first = next(lines, None)
    if first is None:
        raise BadRequest(f"there is no row in {files.label}; name files with a JSON object on each line")
    shape = shape_of(*first)
    things = (_json_thing(line, place, shape, how) for line, place in chain([first], lines))
    return Stored(files.label, None, things)


def _json_thing(line: bytes, place: Place, shape: Shape, how: How) -> Thing:
    name = f"{place.key}:{place.number}"
    try:
        row = row_of(line, place, shape, Loading(sparse=None))
    except BadRow as error:
        return Thing(item=Item(name=name), type="vectors", problem=error.message)
    called = name_of(row.payload, name if row.kind == "place" else str(row.id))
    return thing_of(called, row.vector, row.payload, how)


def _lines(files: Files) -> Generator[tuple[bytes, Place], None, None]:
    """Those that are not blank, counted from 1."""
    for entry in files.entries:
        with closing(Stream(partial(files.open, entry), packing_of(entry.key), entry.key)) as stream:
            number = 0
            while (line := stream.line(MOST_BYTES)) != b"":
                number += 1
                if line is None:
                    raise ConfigError(f"line {number} of {entry.key!r} is longer than {MOST_BYTES} bytes; leave it out")
                if line.strip():
                    yield line.removeprefix(BOM) if number == 1 else line, Place("line", number, entry.key)


# ------------------------------------------------------------------------------------------------ collections


def _collection(there: CollectionAddress, how: How) -> Stored:
    with closing(open_database(there.database, api_key=how.api_key)) as database:
        found = database.describe(there.collection)
        if found is None:
            raise unknown(there.collection, database.names())
        field = one_field(found, with_vector(there, how.vector).vector, "dense")
        label = f"collection {there.collection!r} in {database.url}"
        return Stored(label, found.fields[field].origin, _points(there, field, how))


def _points(there: CollectionAddress, field: str, how: How) -> Iterator[Thing]:
    with closing(open_database(there.database, api_key=how.api_key)) as database:

        def read(after: PointId | None) -> Page:
            return database.read(there.collection, after=after, limit=ROWS_AT_ONCE, vectors=[field])

        for page in pages(read):
            yield from (_point_thing(point, field, how) for point in page.points)


def _point_thing(point: Point, field: str, how: How) -> Thing:
    vector = point.vectors.get(field)
    if not isinstance(vector, np.ndarray):
        return Thing(item=Item(name=str(point.id)), type="vectors", problem="it has no vector")
    return thing_of(str(point.id), vector, point.payload, how)
