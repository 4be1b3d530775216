"""The name of a kind of database becomes a function that opens one of it, each call another handle on the same data."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from embedstack.databases.database import Database
from embedstack.databases.opening import open_database
from support.corner import corner

Opener: TypeAlias = Callable[[], Database]

KEY = "the-key-of-the-facade"
URL, URL_KEY = os.environ.get("QDRANT_URL", ""), os.environ.get("QDRANT_API_KEY", "")  # of a real Qdrant server
GIVEN = ("qdrant-server",) if URL else ()  # for what is asked of a folder, and of a server where somebody gave one
FACADE = pytest.param("qdrant-facade", marks=pytest.mark.faults)  # this and the next take half a minute
PGVECTOR = pytest.param("pgvector", marks=pytest.mark.faults)
SERVER = pytest.param("qdrant-server", marks=() if URL else pytest.mark.faults)
KINDS = ("embedded", "qdrant-local", FACADE, SERVER, PGVECTOR)


@contextmanager
def opening(kind: str, folder: Path) -> Iterator[Opener]:
    """Skips where it cannot be here; what is made on a server of somebody's goes at the end.

    Args:
        folder: of the caller's own, for kinds that are kept in files.
    """
    match kind:
        case "embedded":
            yield lambda: open_database(f"{folder}/store")
        case "qdrant-local":
            yield lambda: open_database(f"qdrant-local:{folder}/store")
        case "qdrant-facade":
            from support.qdrant_server import qdrant_server

            with qdrant_server(folder / "qdrant", KEY) as server:
                yield lambda: open_database(server.url, api_key=KEY)
        case "qdrant-server":
            if not URL:
                pytest.skip("QDRANT_URL is not set")
            with corner(lambda: open_database(URL, api_key=URL_KEY)) as opener:
                yield opener
        case "pgvector":
            from support.postgres import running

            postgres = running()
            with postgres.database() as name:
                yield lambda: open_database(postgres.url(name))
        case _:
            raise ValueError(f"{kind!r} is no kind of database")
