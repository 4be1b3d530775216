"""A folder is kept in every kind of database."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from embedstack.indexing.wish import Tenant
from support.indexed import Shelf, points_in, words
from support.kinds import KINDS, Opener, opening


@pytest.fixture(params=KINDS)
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    with opening(request.param, tmp_path) as opener:
        yield opener


@pytest.mark.slow
def test_documents_and_tenants_are_kept_as_they_are_now(opener: Opener, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf", {"a.txt": words(300), "b.txt": words(30), "nul.txt": "a\0b", "gone.txt": "gone"})
    with closing(opener()) as database:
        shelf.index(database=database)
        shelf.index(database=database, tenant=Tenant("org", "acme"))
        shelf.put({"a.txt": words(100, 50), "gone.txt": None, "b.txt": "the of and"})
        first = shelf.index(database=database)
        again = shelf.index(database=database)
        mine = owned(points_in(database), None)
        acme = owned(points_in(database), "acme")

    assert (first.changed, first.gone, again.changed, again.new) == (2, 1, 0, 0)
    assert " ".join(mine["a.txt"].split()) == words(100, 50)
    assert (mine["b.txt"], "gone.txt" in mine, acme["gone.txt"]) == ("the of and", False, "gone")


def owned(points: dict, tenant: str | None) -> dict[str, str]:
    """The texts of one tenant's documents, in the order of their chunks."""
    found: dict[str, list[tuple[int, str]]] = {}
    for payload, *_ in points.values():
        if payload.get("org") == tenant:
            found.setdefault(payload["doc_id"], []).append((payload["chunk_index"], payload["text"]))
    return {doc_id: " ".join(text for _, text in sorted(chunks)) for doc_id, chunks in found.items()}
