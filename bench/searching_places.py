"""A database that is running and points -> a collection that is ready to be asked."""

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

import psycopg
from psycopg import sql

from embedstack.databases.bound import origin_of
from embedstack.databases.database import Collection, Field
from embedstack.databases.opening import open_database
from embedstack.origin import Origin
from embedstack.types import Encoded
from searching_points import Drawn

NAME = "docs"
AT_ONCE: Mapping[str, int] = {"embedded": 2000, "pgvector": 2000, "qdrant": 500}  # points of a write
BUILDING = "512MB"  # for PostgreSQL's index: a graph that does not fit is built several times slower
INDEXES = "SELECT indexname FROM pg_indexes WHERE indexdef LIKE '%USING hnsw%'"


@dataclass(frozen=True, slots=True)
class Place:
    """A database that is running."""

    name: str  # of AT_ONCE
    url: str
    about: str  # of the version


def fill(place: Place, points: Drawn, made: Encoded) -> float:
    """Seconds until all points are there, with their index.

    Args:
        made: vectors of the model that the points' are said to be of.
    """
    began = time.perf_counter()
    wanted = _wanted(points, made)
    with closing(open_database(place.url)) as database:
        database.create(wanted)
        if place.name == "pgvector":
            _drop_index(place.url)  # to make it at the end is several times quicker than to add to it
        for batch in points.batches(AT_ONCE[place.name]):
            database.write(NAME, batch)
    if place.name == "pgvector":
        _say(place.url, f"ALTER DATABASE postgres SET maintenance_work_mem = '{BUILDING}'")  # of new connections
        with closing(open_database(place.url)) as database:
            database.create(wanted)  # what is missing
        _say(place.url, f"VACUUM ANALYZE {NAME}")
    return time.perf_counter() - began


def _wanted(points: Drawn, made: Encoded) -> Collection:
    dense = Field(dim=points.vectors.shape[1], origin=origin_of(made, "document"))
    lexical = Field(kind="sparse", distance="dot", idf=True, origin=Origin(identity=points.bm25.identity))
    return Collection(name=NAME, fields={"dense": dense, "bm25": lexical})


def _drop_index(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for (name,) in connection.execute(INDEXES).fetchall():
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))


def _say(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())
