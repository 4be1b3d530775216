"""A corner of a database keeps every promise of a whole one, and leaves what others have there as it is."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from embedstack.databases.database import Collection, Database, Field, Points
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.errors import Mismatch
from embedstack.testing.check_database import check_database
from support.corner import corner


def others(folder: Path) -> Database:
    return EmbeddedDatabase(folder)


def collection(dim: int) -> Collection:
    return Collection(name="docs", fields={"": Field(dim=dim)})


@pytest.mark.faults
def test_a_corner_keeps_every_promise(tmp_path: Path) -> None:
    with corner(lambda: others(tmp_path)) as opener, closing(opener()) as database:
        broken = check_database(database, reopen=opener)

    assert not broken, "\n".join(broken)


def test_what_others_have_is_not_there_and_stays_when_the_corner_goes(tmp_path: Path) -> None:
    with closing(others(tmp_path)) as theirs, corner(lambda: others(tmp_path)) as opener, closing(opener()) as mine:
        theirs.create(collection(3))
        is_new = mine.create(collection(2))
        mine.write("docs", Points(ids=[1], vectors={"": np.ones((1, 2), np.float32)}, payloads=[{}]))
        mine.switch("now", "docs", old=None)
        with pytest.raises(Mismatch, match="collection 'docs'"):
            mine.create(collection(3))
        both = mine.names(), dict(mine.aliases()), len(theirs.names())

    with closing(others(tmp_path)) as theirs:
        left = theirs.names(), theirs.aliases(), theirs.describe("docs").points
    assert (is_new, both) == (True, (["docs"], {"now": "docs"}, 2))
    assert left == (["docs"], {}, 0)
