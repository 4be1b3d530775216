"""What is at a path, a URL or a pattern: a job, or files of one form."""

from pathlib import Path

import pytest

from embedstack.errors import BadRequest, ConfigError
from embedstack.loading.found import Files, JobFolder, find, held, spread
from support.tables import job


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def keys(named: object) -> list[str]:
    found = find(str(named))
    assert isinstance(found, Files)
    return [entry.key for entry in found.entries]


def test_a_folder_with_a_plan_is_a_job(tmp_path: Path) -> None:
    storage = job(tmp_path / "out", [{"a.md": ["one"]}])

    for named in (storage.url, str(tmp_path / "out"), f"{tmp_path}/out/"):
        assert isinstance(find(named), JobFolder)


def test_a_folder_of_files_has_them_in_the_order_of_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "b.jsonl", "a/c.jsonl.gz", "a/b.ndjson", "B.jsonl.zst", "readme.md", "x.csv", "model.bin")

    assert keys(tmp_path) == ["B.jsonl.zst", "a/b.ndjson", "a/c.jsonl.gz", "b.jsonl"]


def test_hidden_files_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.parquet", ".b.parquet", "_metadata.parquet", "_tmp/c.parquet", ".git/d.parquet", "_SUCCESS")

    assert keys(tmp_path) == ["a.parquet"]


def test_a_file_may_be_named_by_itself(tmp_path: Path) -> None:
    touch(tmp_path, "a.jsonl", "b.parquet")

    assert keys(tmp_path / "a.jsonl") == ["a.jsonl"]
    assert keys((tmp_path / "b.parquet").as_uri()) == ["b.parquet"]


def test_a_link_is_what_its_name_says(tmp_path: Path) -> None:
    touch(tmp_path, "blob")
    (tmp_path / "a.parquet").symlink_to(tmp_path / "blob")

    assert keys(tmp_path / "a.parquet") == ["a.parquet"]


def test_a_pattern_names_files_of_one_folder(tmp_path: Path) -> None:
    touch(tmp_path, "a-1.jsonl", "a-2.jsonl", "b.jsonl", "a-3.parquet", "below/a-4.jsonl")

    assert keys(tmp_path / "a-*.jsonl") == ["a-1.jsonl", "a-2.jsonl"]
    assert keys(tmp_path / "*.parquet") == ["a-3.parquet"]


def test_folders_beside_what_a_pattern_means_are_not_looked_into(tmp_path: Path) -> None:
    touch(tmp_path, "a.jsonl", "below/b.jsonl")
    (tmp_path / "below" / "loop").symlink_to(tmp_path)  # with which a listing ends

    assert keys(tmp_path / "*.jsonl") == ["a.jsonl"]


def test_a_url_is_decoded_once(tmp_path: Path) -> None:
    touch(tmp_path, "a%20b.jsonl")

    assert keys((tmp_path / "a%20b.jsonl").as_uri()) == ["a%20b.jsonl"]


def test_a_name_with_brackets_is_no_pattern_where_it_is_there(tmp_path: Path) -> None:
    touch(tmp_path, "a[1].jsonl", "a1.jsonl")

    assert keys(tmp_path / "a[1].jsonl") == ["a[1].jsonl"]


def test_files_of_two_forms_are_refused_with_one_of_each(tmp_path: Path) -> None:
    touch(tmp_path, "a.jsonl", "b.parquet")

    with pytest.raises(BadRequest, match=r"'b.parquet', and JSON lines, such as 'a.jsonl'"):
        find(str(tmp_path))


def test_a_folder_above_jobs_is_refused_with_one_of_them(tmp_path: Path) -> None:
    job(tmp_path / "jobs" / "first", [{"a.md": ["one"]}])

    with pytest.raises(BadRequest, match="are jobs, such as 'first'; name one of them"):
        find(str(tmp_path / "jobs"))


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.parquet.gz", "a"])
def test_a_file_of_another_form_is_refused(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name)

    with pytest.raises(ConfigError, match=r"cannot be told by its name; known are .parquet"):
        find(str(tmp_path / name))


@pytest.mark.parametrize("named", ["nowhere", "*.jsonl", "nowhere/*.jsonl", ""])
def test_nothing_is_refused(tmp_path: Path, named: str) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(ConfigError, match=r"is not there|is nothing that can be loaded"):
        find(str(tmp_path / "empty" / named))


def test_the_last_thing_is_held_back_until_a_check_has_passed() -> None:
    seen: list[int] = []

    def check() -> None:
        raise BadRequest("changed")

    with pytest.raises(BadRequest):
        seen.extend(held([1, 2, 3], check))
    assert seen == [1, 2]
    assert list(held([1, 2, 3], lambda: None)) == [1, 2, 3]
    assert list(held([], lambda: None)) == []


@pytest.mark.parametrize(("count", "numbers"), [(0, []), (3, [0, 1, 2]), (4, [0, 1, 2, 3]), (9, [0, 2, 4, 6])])
def test_some_of_many_are_far_from_each_other(count: int, numbers: list[int]) -> None:
    assert spread(count, 4) == numbers
