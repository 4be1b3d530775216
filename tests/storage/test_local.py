import errno
import inspect
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from embedstack.errors import BadRequest, ConfigError
from embedstack.storage.local import LocalStorage
from embedstack.testing.check_storage import check_storage

LEFT = f".part-1.parquet.{'0a' * 16}.partial"


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "out")


def _names(folder: Path) -> list[str]:
    """All files, also those that no listing shows."""
    return sorted(path.name for path in folder.iterdir())


def _keys(storage: LocalStorage, prefix: str = "", after: str = "") -> list[str]:
    return [entry.key for entry in storage.list(prefix, after)]


@pytest.mark.slow
def test_a_folder_keeps_every_promise(storage: LocalStorage) -> None:
    assert check_storage(storage) == []


def test_the_folder_is_made_with_the_first_write_and_not_before(storage: LocalStorage) -> None:
    assert _keys(storage) == []
    assert not storage.root.exists()

    storage.put("a/b", b"1")

    assert (storage.root / "a/b").read_bytes() == b"1"


# ------------------------------------------------------------------------------------------------ all or nothing


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[int], None]]:
    """What is called with the number of each file and folder that is brought to the disk."""
    calls: list[Callable[[int], None]] = []
    real = os.fsync

    def fsync(number: int) -> None:
        for call in calls:
            call(number)
        real(number)

    monkeypatch.setattr(os, "fsync", fsync)
    return calls


WRITES = {
    "put": lambda storage, _: storage.put("one", b"data"),
    "put_new": lambda storage, _: storage.put_new("one", b"data"),
    "put_file": lambda storage, path: storage.put_file("one", path),
}


@pytest.mark.parametrize("name", WRITES)
def test_bytes_are_on_the_disk_before_their_name_and_the_name_before_it_returns(
    name: str, storage: LocalStorage, tmp_path: Path, synced: list[Callable[[int], None]]
) -> None:
    storage.put("other", b"")
    (tmp_path / "file").write_bytes(b"data")
    seen: list[tuple[str, bool]] = []

    def look(number: int) -> None:
        is_folder = os.path.samestat(os.fstat(number), storage.root.stat())
        seen.append(("folder" if is_folder else "file", (storage.root / "one").exists()))

    synced.append(look)
    WRITES[name](storage, tmp_path / "file")

    assert seen == [("file", False), ("folder", True)]


@pytest.mark.parametrize("name", ["put", "put_new"])
def test_what_is_being_written_is_not_listed(
    name: str, storage: LocalStorage, tmp_path: Path, synced: list[Callable[[int], None]]
) -> None:
    seen: list[list[str]] = []
    storage.put("other", b"")
    synced.append(lambda number: seen.append(_keys(storage)))

    WRITES[name](storage, tmp_path)

    assert seen == [["other"], ["one", "other"]]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("name", ["put", "put_new"])
def test_a_disk_that_fails_as_late_as_at_the_sync_leaves_what_was_there(
    number: int, name: str, storage: LocalStorage, tmp_path: Path, synced: list[Callable[[int], None]]
) -> None:
    storage.put("other", b"")

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    synced.append(fail)
    with pytest.raises(ConfigError, match=f"{storage.root}/one.*{os.strerror(number)}.*; "):
        WRITES[name](storage, tmp_path)

    assert _names(storage.root) == ["other"]


@contextmanager
def _no_file_larger_than(size: int) -> Iterator[None]:
    """For this process: around the write alone, as the test run's own output may be in a file that is larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_without_room_leaves_what_was_there(storage: LocalStorage) -> None:
    storage.put("one", b"before")

    with pytest.raises(ConfigError, match="cannot be written"), _no_file_larger_than(64 << 10):
        storage.put("one", bytes(128 << 10))

    assert storage.get("one") == b"before"
    assert _names(storage.root) == ["one"]


def test_a_file_for_which_there_is_no_room_stays_where_it_was(
    storage: LocalStorage, tmp_path: Path, other_disk: None
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 20))

    with pytest.raises(ConfigError, match="cannot be written"), _no_file_larger_than(64 << 10):
        storage.put_file("one", path)

    assert path.stat().st_size == 1 << 20
    assert _names(storage.root) == []


@pytest.fixture
def other_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file `file` is on another disk than all others."""
    real = Path.replace

    def replace(path: Path, target: Path) -> Path:
        if path.name == "file":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return real(path, target)

    monkeypatch.setattr(Path, "replace", replace)


def test_a_file_of_another_disk_is_copied_and_then_deleted(
    storage: LocalStorage, tmp_path: Path, other_disk: None
) -> None:
    (tmp_path / "file").write_bytes(b"data")

    storage.put_file("one", tmp_path / "file")

    assert storage.get("one") == b"data"
    assert _names(tmp_path) == ["out"]
    assert _names(storage.root) == ["one"]


# ------------------------------------------------------------------------------------------------ create


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_hard_links_is_refused(
    number: int, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(ConfigError, match="no hard links"):
        storage.put_new("one", b"data")

    assert _names(storage.root) == []


def test_a_link_that_was_made_though_it_is_said_to_be_there_counts(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def link(source: Path, target: Path) -> None:
        real(source, target)
        real(source, target)  # as a network file system does whose first answer was lost

    monkeypatch.setattr(os, "link", link)

    assert storage.put_new("one", b"data")
    assert _names(storage.root) == ["one"]


# ------------------------------------------------------------------------------------------------ what is in the way


def test_a_file_in_the_place_of_a_folder_is_said(storage: LocalStorage) -> None:
    storage.put("one", b"")

    with pytest.raises(ConfigError, match="a file stands where a folder is needed"):
        storage.put("one/more", b"")


def test_a_folder_in_the_place_of_a_file_is_said(storage: LocalStorage) -> None:
    storage.put("one/more", b"")

    with pytest.raises(ConfigError, match="a folder stands where a file is needed"):
        storage.put("one", b"")


def test_a_folder_in_the_place_of_what_is_created_is_said(storage: LocalStorage) -> None:
    storage.put("one/more", b"")

    with pytest.raises(ConfigError, match="a folder stands where a file is needed"):
        storage.put_new("one", b"")


def test_a_storage_in_the_place_of_a_file_cannot_be_listed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(ConfigError, match="a file stands where a folder is needed"):
        _keys(LocalStorage(tmp_path / "file"))


def test_no_key_is_named_as_what_listings_hide(storage: LocalStorage) -> None:
    with pytest.raises(BadRequest, match="unfinished"):
        storage.put(f"data/{LEFT}", b"")


# ------------------------------------------------------------------------------------------------ leftovers


def test_what_a_killed_writer_left_is_not_listed(storage: LocalStorage) -> None:
    storage.put("data/one", b"")
    (storage.root / "data" / LEFT).write_bytes(b"half")

    assert _keys(storage) == ["data/one"]


def test_what_a_killed_writer_left_is_swept_once_it_is_old(storage: LocalStorage) -> None:
    storage.put("data/one", b"")
    left = storage.root / "data" / LEFT
    left.write_bytes(b"half")
    os.utime(left, (1000, 1000))

    assert storage.sweep(before_s=1000) == []
    assert [entry.key for entry in storage.sweep(before_s=1001, dry_run=True)] == [f"data/{LEFT}"]
    assert [entry.size for entry in storage.sweep(before_s=1001)] == [4]
    assert _names(storage.root / "data") == ["one"]


# ------------------------------------------------------------------------------------------------ listing


def test_folders_before_the_place_are_not_looked_into(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("a/one", "b/one", "b/two", "c/one"):
        storage.put(key, b"")
    seen: list[str] = []
    real = os.scandir

    def scandir(folder: Path) -> object:
        seen.append(folder.name)
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)

    assert _keys(storage, after="b/one") == ["b/two", "c/one"]
    assert seen == ["out", "b", "c"]


def test_only_the_folder_of_the_prefix_is_looked_into(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("a/one", "b/one", "b/two/three"):
        storage.put(key, b"")
    seen: list[str] = []
    real = os.scandir

    def scandir(folder: Path) -> object:
        seen.append(folder.name)
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)

    assert _keys(storage, "b/o") == ["b/one"]
    assert seen == ["b"]


def test_links_to_folders_are_followed(storage: LocalStorage, tmp_path: Path) -> None:
    storage.put("a/one", b"")
    (storage.root / "b").symlink_to(storage.root / "a")

    assert _keys(storage) == ["a/one", "b/one"]


def test_a_link_to_a_folder_that_holds_it_is_said(storage: LocalStorage) -> None:
    storage.put("a/one", b"")
    (storage.root / "a" / "up").symlink_to(storage.root)

    with pytest.raises(ConfigError, match="remove the link"):
        _keys(storage)


def test_folders_may_be_deeper_than_calls(storage: LocalStorage) -> None:
    key = "d/" * 100 + "one"
    (storage.root / key).parent.mkdir(parents=True)
    (storage.root / key).touch()
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 80)
    try:
        found = _keys(storage)
    finally:
        sys.setrecursionlimit(before)

    assert found == [key]


def test_a_link_to_nothing_is_not_there(storage: LocalStorage) -> None:
    storage.put("a", b"")
    (storage.root / "b").symlink_to(storage.root / "c")

    assert _keys(storage) == ["a"]


def test_a_name_that_is_not_unicode_is_said(storage: LocalStorage) -> None:
    storage.put("a", b"")
    (storage.root / os.fsdecode(b"\xff.md")).write_bytes(b"")

    with pytest.raises(ConfigError, match="not UTF-8"):
        _keys(storage)
