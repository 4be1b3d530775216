"""Each kind of database, opened anew by each call."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from embedstack.databases.database import Database
from embedstack.databases.opening import open_database

SERVERS = ("qdrant-facade", "qdrant-server", "pgvector")  # these take half a minute
KINDS = ["embedded", "qdrant-local", *(pytest.param(server, marks=pytest.mark.faults) for server in SERVERS)]
KEY = "the-key-of-the-facade"


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opener(kind: str, tmp_path: Path) -> Iterator[Callable[[], Database]]:
    """A function: another handle on the same data."""
    if kind == "qdrant-facade":
        from support.qdrant_server import qdrant_server

        with qdrant_server(tmp_path / "qdrant", KEY) as server:
            yield lambda: open_database(server.url, api_key=KEY)
    elif kind == "pgvector":
        from support.postgres import running

        postgres = running()
        with postgres.database() as name:
            yield lambda: open_database(postgres.url(name))
    elif kind == "qdrant-server":
        url = os.environ.get("QDRANT_URL", "")
        if not url:
            pytest.skip("QDRANT_URL is not set")
        yield lambda: open_database(url, api_key=os.environ.get("QDRANT_API_KEY", ""))
    else:
        place = {"embedded": f"{tmp_path}/store", "qdrant-local": f"qdrant-local:{tmp_path}/store"}[kind]
        yield lambda: open_database(place)


@pytest.fixture
def reopener(kind: str, opener: Callable[[], Database]) -> Callable[[], Database] | None:
    """None where only one handle at a time may be open."""
    return None if kind == "qdrant-local" else opener


@pytest.fixture
def compares_and_sets(kind: str) -> bool:
    """Whether one of several who sign at once wins."""
    return not kind.startswith("qdrant")
