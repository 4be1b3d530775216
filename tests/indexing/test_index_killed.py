"""An index that is killed between any two calls of the database, and called again, ends as an undisturbed one."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from embedstack.chunks.chunk import Chunking
from embedstack.databases.database import Collection, Loaded, PointId, Points
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.origin import Origin
from support.indexed import Shelf, words

T = TypeVar("T")
MANY = 300  # words of a document that is written by more than one call
BEFORE = {
    "large.txt": words(MANY),
    "shorter.txt": words(60),
    "same.txt": words(9),
    "gone.txt": words(9),
    "terms.txt": "a",
}
AFTER = {
    "large.txt": words(MANY - 50, 7),
    "shorter.txt": words(20),
    "gone.txt": None,
    "terms.txt": "!",
    "new.txt": words(9),
}
ONE_WORD = Chunking(strategy="window", tokens=1)


class Killed(BaseException):
    """No `Exception`, so that nothing on its way handles it."""


class Mortal(EmbeddedDatabase):
    """Ends before or after its call of that number that changes something.

    Args:
        at: counted from 0.
    """

    def __init__(self, path: Path, at: int, *, is_done: bool) -> None:
        super().__init__(path)
        self.calls, self._at, self._is_done = 0, at, is_done

    def create(self, wanted: Collection) -> bool:
        return self._called(lambda: EmbeddedDatabase.create(self, wanted))

    def sign(self, name: str, field: str, origin: Origin, *, over: Origin | None) -> Origin:
        return self._called(lambda: EmbeddedDatabase.sign(self, name, field, origin, over=over))

    def mark(self, name: str, loaded: Loaded | None) -> None:
        self._called(lambda: EmbeddedDatabase.mark(self, name, loaded))

    def write(self, name: str, points: Points, *, only_new: bool = False) -> None:
        self._called(lambda: EmbeddedDatabase.write(self, name, points, only_new=only_new))

    def delete(self, name: str, ids: Sequence[PointId]) -> None:
        self._called(lambda: EmbeddedDatabase.delete(self, name, ids))

    def _called(self, call: Callable[[], T]) -> T:
        number, self.calls = self.calls, self.calls + 1
        if number == self._at and not self._is_done:
            raise Killed
        made = call()
        if number == self._at:
            raise Killed
        return made


def killed(shelf: Shelf, at: int, *, is_done: bool) -> bool:
    """Whether it came to the end before that."""
    with closing(Mortal(shelf.root / "store", at, is_done=is_done)) as database:
        try:
            index(shelf, database)
        except Killed:
            return False
    return True


def index(shelf: Shelf, database: EmbeddedDatabase | None = None) -> None:
    shelf.index(database=database, chunking=ONE_WORD)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """After the change; `before` beside it is the folder as it was before."""
    shelf = Shelf(tmp_path_factory.mktemp("undisturbed") / "root", BEFORE)
    index(shelf)
    shelf.put(AFTER)
    shutil.copytree(shelf.root, shelf.root.parent / "before")
    index(shelf)
    return shelf


def changed_shelf(undisturbed: Shelf, root: Path) -> Shelf:
    """Indexed before the change."""
    shelf = Shelf(root / "root")
    shutil.rmtree(shelf.root)
    shutil.copytree(undisturbed.root.parent / "before", shelf.root)
    return shelf


@pytest.mark.slow
@pytest.mark.parametrize("is_done", [False, True])
def test_killed_anywhere_while_documents_change_it_ends_the_same(
    undisturbed: Shelf, tmp_path: Path, is_done: bool
) -> None:
    wanted, differing, at = undisturbed.points(), [], 0
    while True:
        shelf = changed_shelf(undisturbed, tmp_path / str(at))
        is_over = killed(shelf, at, is_done=is_done)
        if is_over:
            break
        index(shelf)
        differing += [at] if shelf.points() != wanted else []
        at += 1

    assert differing == []
    assert at >= 8  # calls: large documents are several


@pytest.mark.slow
@pytest.mark.parametrize("is_done", [False, True])
def test_killed_anywhere_the_first_time_it_ends_the_same(tmp_path: Path, is_done: bool) -> None:
    whole = Shelf(tmp_path / "whole", BEFORE)
    index(whole)
    wanted, differing, at = whole.points(), [], 0
    while True:
        shelf = Shelf(tmp_path / str(at), BEFORE)
        if killed(shelf, at, is_done=is_done):
            break
        index(shelf)
        differing += [at] if shelf.points() != wanted else []
        at += 1

    assert differing == []
    assert at >= 4


def test_killed_twice_at_one_place_the_third_one_ends_it(undisturbed: Shelf, tmp_path: Path) -> None:
    shelf = changed_shelf(undisturbed, tmp_path)
    for _ in range(2):
        killed(shelf, 2, is_done=False)
    index(shelf)

    assert shelf.points() == undisturbed.points()


def test_what_a_kill_left_is_deleted_without_a_model(undisturbed: Shelf, tmp_path: Path) -> None:
    whole = changed_shelf(undisturbed, tmp_path / "whole")
    with closing(Mortal(whole.root / "store", -1, is_done=False)) as database:
        index(whole, database)
    shelf = changed_shelf(undisturbed, tmp_path / "killed")
    killed(shelf, database.calls - 2, is_done=False)  # before old chunks are deleted, and then what is gone
    opened = shelf.opened

    done = shelf.index(chunking=ONE_WORD)

    assert (shelf.opened, done.gone, done.chunks) == (opened, 1, 0)
    assert shelf.points() == undisturbed.points()


def test_the_new_chunks_are_written_before_the_old_ones_are_deleted(undisturbed: Shelf, tmp_path: Path) -> None:
    shelf = changed_shelf(undisturbed, tmp_path)
    seen: list[str] = []

    class Watched(EmbeddedDatabase):
        def write(self, name: str, points: Points, *, only_new: bool = False) -> None:
            seen.append("write")
            super().write(name, points, only_new=only_new)

        def delete(self, name: str, ids: Sequence[PointId]) -> None:
            seen.append("delete")
            super().delete(name, ids)

    with closing(Watched(shelf.root / "store")) as database:
        index(shelf, database)

    # "delete, write": the first makes room for a text without terms, whose old lexical vector would stay
    assert seen == ["write"] * (len(seen) - 4) + ["delete", "write"] + ["delete"] * 2
