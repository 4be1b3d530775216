"""What a user named -> some rows of it: a collection, a finished job's table, Parquet files or JSON lines."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from embedstack.databases.addresses import CollectionAddress, parse_address, with_vector
from embedstack.databases.embedded.connections import FILE
from embedstack.databases.opening import SCHEMES, URL, open_database
from embedstack.errors import BadRequest
from embedstack.identifying.collection import pool_of
from embedstack.identifying.lines import pool_of_lines
from embedstack.identifying.rows import Pool
from embedstack.loading.found import JobFolder, find


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the vectors are.

    Args:
        named: a path or URL; of a collection as `parse_address` reads it.
        collection: the same, where it is not behind a #.
        vector: the field, column or key of the vectors, where several could be meant.
        api_key: Qdrant's.
    """

    named: str
    collection: str = ""
    vector: str = ""
    api_key: str = ""


def open_pool(place: Place, most: int) -> Pool:
    """At most about so many rows from all over.

    Raises:
        ConfigError: nothing is there. BadRequest: a database without a collection's name; see the sources. Mismatch: a
            job that is not finished, or files of two models.
    """
    if place.collection:
        there: CollectionAddress | None = CollectionAddress(place.named, place.collection)
    else:
        there = None if Path(place.named).exists() else parse_address(place.named)
    if there is None:
        return _of_files(place, most)
    return pool_of(with_vector(there, place.vector), most, api_key=place.api_key)


def _of_files(place: Place, most: int) -> Pool:
    if _is_database(place.named):
        with closing(open_database(place.named, api_key=place.api_key)) as database:
            known = ", ".join(database.names()) or "none"
            raise BadRequest(f"{database.url} is a database; name one of its collections behind a #: {known}")
    found = find(place.named)
    if isinstance(found, JobFolder):
        from embedstack.identifying.tables import pool_of_job  # it needs pyarrow, which JSON lines do without

        return pool_of_job(found.storage, most)
    if found.form == "jsonl":
        return pool_of_lines(found, place.vector, most)
    from embedstack.identifying.tables import pool_of_parquet

    return pool_of_parquet(found, place.vector, most)


def _is_database(named: str) -> bool:
    scheme = URL.fullmatch(named)
    if scheme is not None:
        return scheme[1].lower() in SCHEMES and scheme[1].lower() != "file"
    return (Path(named) / FILE).is_file()
