"""A digest is computed once for each state of a file."""

import hashlib
import os
from pathlib import Path

import pytest

from embedstack.catalog.digests import Digests, git_blob_of, sha256_of, write_whole


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model" / "weights"
    path.parent.mkdir()
    path.write_bytes(b"first")
    return path


def change_unseen(path: Path, data: bytes) -> None:
    """Change the bytes and keep size and time: whoever still gives the old digest has not read the file."""
    before = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_the_digest_is_that_of_the_bytes(cache: Path, file: Path) -> None:
    assert Digests(cache).of(file.parent, ["weights"]) == {"weights": sha256(b"first")}


def test_an_unchanged_file_is_not_read_again(cache: Path, file: Path) -> None:
    Digests(cache).of(file.parent, ["weights"])
    change_unseen(file, b"other")

    assert Digests(cache).of(file.parent, ["weights"]) == {"weights": sha256(b"first")}


def test_a_file_of_another_time_is_read_again(cache: Path, file: Path) -> None:
    Digests(cache).of(file.parent, ["weights"])
    file.write_bytes(b"other")
    os.utime(file, ns=(0, 12345))

    assert Digests(cache).of(file.parent, ["weights"]) == {"weights": sha256(b"other")}


def test_a_file_of_another_size_is_read_again(cache: Path, file: Path) -> None:
    Digests(cache).of(file.parent, ["weights"])
    change_unseen(file, b"longer than before")

    assert Digests(cache).of(file.parent, ["weights"]) == {"weights": sha256(b"longer than before")}


def test_a_digest_that_was_computed_elsewhere_is_believed(cache: Path, file: Path) -> None:
    Digests(cache).remember(file.parent, {"weights": "0" * 64})

    assert Digests(cache).of(file.parent, ["weights"]) == {"weights": "0" * 64}


def test_what_is_forgotten_is_read_again(cache: Path, file: Path) -> None:
    Digests(cache).remember(file.parent, {"weights": "0" * 64})
    Digests(cache).forget(file.parent)

    assert Digests(cache).of(file.parent, ["weights"]) == {"weights": sha256(b"first")}


def test_a_broken_memory_is_made_anew(cache: Path, file: Path) -> None:
    Digests(cache).of(file.parent, ["weights"])
    for memo in (cache / "digests").iterdir():
        memo.write_bytes(b"{")

    assert Digests(cache).of(file.parent, ["weights"]) == {"weights": sha256(b"first")}


def test_a_memory_that_cannot_be_kept_costs_only_time(tmp_path: Path, file: Path) -> None:
    (tmp_path / "occupied").write_bytes(b"a file where the folder would be")

    assert Digests(tmp_path / "occupied").of(file.parent, ["weights"]) == {"weights": sha256(b"first")}


def test_a_large_file_is_hashed_in_blocks(tmp_path: Path) -> None:
    data = os.urandom(1 << 20) + b"and a bit more than one block"
    (tmp_path / "large").write_bytes(data)

    assert sha256_of(tmp_path / "large") == sha256(data)


def test_a_git_blob_has_the_name_that_git_gives_it(tmp_path: Path) -> None:
    (tmp_path / "hello").write_bytes(b"hello world\n")

    # echo hello world | git hash-object --stdin
    assert git_blob_of(tmp_path / "hello") == "3b18e512dba79e4c8300dd08aeb37f8e728b8dad"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    with pytest.raises(OSError):
        write_whole(tmp_path / "folder", b"a file cannot replace a folder")

    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
