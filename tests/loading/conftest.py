"""The database that is loaded into: a folder, and a Qdrant server beside it where QDRANT_URL leads to one."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from embedstack.databases.database import Database
from support.kinds import GIVEN, Opener, opening


@pytest.fixture(params=["embedded", *GIVEN])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opener(kind: str, tmp_path: Path) -> Iterator[Opener]:
    """A function: another handle on the same data."""
    with opening(kind, tmp_path) as opener:
        yield opener


@pytest.fixture
def database(opener: Opener) -> Iterator[Database]:
    with closing(opener()) as made:
        yield made
