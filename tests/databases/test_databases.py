"""Every database keeps every promise."""

from contextlib import closing
from uuid import uuid4

import numpy as np
import pytest

from embedstack.databases.database import Collection, Database, Field, Index, Loaded, Points
from embedstack.testing import check_collections, check_points
from embedstack.testing.check_database import check_database
from embedstack.testing.promises import Trial, broken_promises, origin
from support.kinds import FACADE, SERVER, Opener

pytestmark = pytest.mark.slow


def test_every_promise_is_kept(opener: Opener, reopener: Opener | None, compares_and_sets: bool) -> None:
    with closing(opener()) as database:
        broken = check_database(database, together=compares_and_sets, reopen=reopener)

    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("kind", [pytest.param("qdrant-local", marks=pytest.mark.faults), FACADE, SERVER])
def test_several_may_make_and_write_where_several_may_not_sign(opener: Opener) -> None:
    with closing(opener()) as database:
        parts = [*check_collections.TOGETHER, *check_points.TOGETHER]
        broken = broken_promises(Trial(database, f"check-{uuid4().hex[:8]}"), parts)

    assert not broken, "\n".join(broken)


def test_all_is_there_after_a_restart(opener: Opener) -> None:
    name = f"kept-{uuid4().hex[:8]}"
    fields = {"text": Field(dim=3, distance="dot", origin=origin(dim=3))}
    with closing(opener()) as database:
        database.create(Collection(name=name, fields=fields, indexes={"colour": Index()}))
        database.mark(name, Loaded(source="digest", rows=2))
        some = np.eye(2, 3, dtype=np.float32)
        database.write(name, Points(ids=[1, 2], vectors={"text": some}, payloads=[{"a": 1}, {}]))
        database.switch(f"{name}-alias", name, old=None)
        before = shown(database, name)

    with closing(opener()) as database:
        after = shown(database, name)
        database.drop(name)

    assert after == before
    assert "digest" in before


def shown(database: Database, name: str) -> str:
    """All that an alias leads to."""
    return f"{database.describe(f'{name}-alias')} {database.read(f'{name}-alias', vectors=['text'])}"
