"""Each kind of database, opened anew by each call; and what speaks Qdrant's language, asked by its own client."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from embedstack.databases.database import Database
from support.kinds import FACADE, GIVEN, KINDS, Opener, opening

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

NUMBERS = count()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opener(kind: str, tmp_path: Path) -> Iterator[Opener]:
    """A function: another handle on the same data."""
    with opening(kind, tmp_path) as opener:
        yield opener


@pytest.fixture
def reopener(kind: str, opener: Callable[[], Database]) -> Callable[[], Database] | None:
    """None where only one handle at a time may be open."""
    return None if kind == "qdrant-local" else opener


@pytest.fixture
def compares_and_sets(kind: str) -> bool:
    """Whether one of several who sign at once wins."""
    return not kind.startswith("qdrant")


@pytest.fixture(scope="module", params=[FACADE, *GIVEN])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[QdrantClient]":
    """Of a server for all tests of a module."""
    from support.qdrant_asked import asking_kind

    with asking_kind(request.param, tmp_path_factory.mktemp("qdrant")) as client:
        yield client


@pytest.fixture
def name() -> str:
    """Of a collection that nobody else has."""
    from support.qdrant_asked import START

    return f"{START}-{next(NUMBERS)}"
