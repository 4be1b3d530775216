"""Ids that are sorted on disk and found there."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from embedstack.errors import Mismatch
from embedstack.jobs import keys
from embedstack.jobs.digests import content_hash
from embedstack.jobs.keys import Ids, build, ids_of, opened

TEXTS = [content_hash(f"text {number}", "") for number in range(1000)]


def blocks(ids: Ids, size: int = 64) -> list[Ids]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]


@pytest.fixture(params=["sorted at once", "in buckets"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "in buckets":
        monkeypatch.setattr(keys, "FEW", 10)
    return tmp_path


def test_each_id_is_found_where_it_came(folder: Path) -> None:
    found = build(folder, blocks(ids_of(TEXTS)), 1000)

    assert found.find(ids_of(TEXTS)).tolist() == list(range(1000))


def test_what_never_came_is_not_found(folder: Path) -> None:
    found = build(folder, blocks(ids_of(TEXTS)), 1000)

    assert found.find(ids_of([content_hash("other", ""), TEXTS[3], "0" * 32, "f" * 32])).tolist() == [-1, 3, -1, -1]


def test_of_equal_ids_the_first_is_found_and_the_others_are_counted(folder: Path) -> None:
    found = build(folder, blocks(ids_of([*TEXTS, TEXTS[7], TEXTS[500], TEXTS[7]])), 1003)

    assert found.find(ids_of([TEXTS[7], TEXTS[500]])).tolist() == [7, 500]
    assert found.twice == 3
    assert found.first_twice == ((7, 1000), (500, 1001), (1000, 1002))


def test_ids_that_share_their_first_half_are_told_apart(folder: Path) -> None:
    alike = [TEXTS[0][:16] + f"{number:016x}" for number in range(40)]

    found = build(folder, blocks(ids_of(alike)), 40)

    assert found.find(ids_of([*alike, TEXTS[0][:16] + "f" * 16])).tolist() == [*range(40), -1]


def test_an_index_of_nothing_finds_nothing(folder: Path) -> None:
    assert build(folder, [], 0).find(ids_of(TEXTS[:2])).tolist() == [-1, -1]


def test_nothing_is_found_for_nothing(folder: Path) -> None:
    assert build(folder, blocks(ids_of(TEXTS)), 1000).find(ids_of([])).tolist() == []


def test_an_index_is_opened_again_and_nothing_else_is_left(folder: Path) -> None:
    build(folder, blocks(ids_of(TEXTS)), 1000)

    assert opened(folder).find(ids_of(TEXTS)).tolist() == list(range(1000))
    assert sorted((path.name, path.stat().st_size) for path in folder.iterdir()) == [
        ("high", 8000),
        ("low", 8000),
        ("place", 8000),
    ]


def test_the_index_is_ordered_by_id(folder: Path) -> None:
    found = build(folder, blocks(ids_of(TEXTS)), 1000)

    assert (np.diff(found.high.astype(object)) >= 0).all()


@pytest.mark.parametrize(("rows", "buckets"), [(0, 1), (10, 1), (11, 2), (40, 4), (10_000, 128)])
def test_no_more_are_sorted_at_once_than_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, buckets: int
) -> None:
    monkeypatch.setattr(keys, "FEW", 10)
    seen: list[int] = []

    def looked() -> Iterator[Ids]:
        seen.append(len(list(tmp_path.glob("bucket-*"))))
        yield ids_of(TEXTS)

    build(tmp_path, looked(), rows)

    assert seen == [buckets]


@pytest.mark.parametrize("bad", ["", "x" * 32, "0" * 31, "0" * 33, "00 " * 10 + "00", "é" * 32])
def test_what_is_no_id_is_quoted(bad: str) -> None:
    with pytest.raises(Mismatch, match=f"'{bad}' is no id of 32 hexadecimal digits"):
        ids_of([TEXTS[0], bad])
