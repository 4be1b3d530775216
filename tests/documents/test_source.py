"""Inputs become files under keys of their own."""

import os

import pytest

from embedstack.documents.document import Reading
from embedstack.documents.source import BY_ENDING, open_source
from embedstack.errors import ConfigError
from embedstack.storage.storage import Missing
from support.documents import write_files


def keys(*inputs, reading=BY_ENDING):
    return [entry.key for entry in open_source([str(one) for one in inputs], reading).entries()]


def test_a_key_of_one_folder_is_the_path_below_it(tmp_path):
    write_files(tmp_path, {"b.md": "b", "a/z.txt": "z"})

    assert keys(tmp_path) == ["a/z.txt", "b.md"]


def test_a_file_that_is_named_is_the_only_one(tmp_path):
    write_files(tmp_path, {"a.md": "a", "b.md": "b"})

    assert keys(tmp_path / "b.md") == ["b.md"]


def test_keys_of_several_inputs_begin_with_the_name_of_each(tmp_path):
    write_files(tmp_path, {"docs/a.md": "a", "more/a.md": "b", "c.jsonl": "{}"})

    assert keys(tmp_path / "more", tmp_path / "docs", tmp_path / "c.jsonl") == ["c.jsonl", "docs/a.md", "more/a.md"]


def test_inputs_of_one_name_have_keys_of_their_own(tmp_path):
    write_files(tmp_path, {"x/docs/a.md": "1", "y/docs/a.md": "2", "x/r.jsonl.gz": "", "y/r.jsonl.gz": ""})
    inputs = [tmp_path / name for name in ("x/docs", "y/docs", "x/r.jsonl.gz", "y/r.jsonl.gz")]

    assert keys(*inputs) == ["docs/a.md", "docs~2/a.md", "r.jsonl.gz", "r~2.jsonl.gz"]


def test_a_number_that_is_taken_is_not_given_again(tmp_path):
    write_files(tmp_path, {"x/docs/a.md": "1", "y/docs/a.md": "2", "docs~2/a.md": "3"})

    assert keys(tmp_path / "x/docs", tmp_path / "docs~2", tmp_path / "y/docs") == [
        "docs/a.md",
        "docs~2/a.md",
        "docs~3/a.md",
    ]


def test_keys_do_not_depend_on_the_order_of_the_inputs(tmp_path):
    write_files(tmp_path, {"x/docs/a.md": "1", "y/docs/a.md": "22"})
    named = [str(tmp_path / "y/docs"), str(tmp_path / "x/docs")]
    found = [[(one.key, one.size) for one in open_source(some).entries()] for some in (named, named[::-1])]

    assert found == [[("docs/a.md", 1), ("docs~2/a.md", 2)]] * 2


def test_keys_come_in_the_order_of_their_bytes_over_all_inputs(tmp_path):
    write_files(tmp_path, {"docs/a.md": "", "docs-a/a.md": "", "docs.md": "", "é/a.md": "", "z/a.md": ""})
    found = keys(*(tmp_path / name for name in ("z", "é", "docs", "docs.md", "docs-a")))

    assert found == sorted(found, key=str.encode)


def test_every_key_opens_its_own_file(tmp_path):
    write_files(tmp_path, {"x/docs/a.md": "1", "y/docs/a.md": "2", "y/b.md": "3"})
    source = open_source([str(tmp_path / "x/docs"), str(tmp_path / "y/docs"), str(tmp_path / "y/b.md")])
    read = {}
    for entry in source.entries():
        with source.open(entry.key) as file:
            read[entry.key] = file.read()

    assert read == {"docs/a.md": b"1", "docs~2/a.md": b"2", "b.md": b"3"}


def test_what_cannot_be_read_is_counted_by_its_ending(tmp_path):
    write_files(tmp_path, {"a.md": "", "b.pdf": "", "c/d.pdf": "", "LICENSE": "", ".git/x.md": "", ".x.md": ""})
    source = open_source([str(tmp_path)])
    found = [entry.key for entry in source.entries()]

    assert (found, source.skipped) == (["a.md"], {".pdf": 2, "(none)": 1, "(hidden)": 2})


def test_what_is_no_file_is_counted(tmp_path):
    write_files(tmp_path, {"a.md": ""})
    (tmp_path / "b.md").symlink_to(tmp_path / "nowhere")
    (tmp_path / "itself.md").symlink_to(tmp_path / "itself.md")
    os.mkfifo(tmp_path / "c.md")
    source = open_source([str(tmp_path)])

    assert [entry.key for entry in source.entries()] == ["a.md"]
    assert source.skipped == {"(no file)": 3}


def test_what_nobody_reads_may_be_odd(tmp_path):
    write_files(tmp_path, {"a.md": "", ".git/x.md": ""})
    (tmp_path / ".git/up").symlink_to(tmp_path)
    (tmp_path / os.fsdecode(b"\xff.bin")).write_bytes(b"")

    assert keys(tmp_path) == ["a.md"]


def test_with_a_form_every_ending_is_read(tmp_path):
    write_files(tmp_path, {"a.log": "", "b": ""})

    assert keys(tmp_path, reading=Reading(form="text")) == ["a.log", "b"]


def test_a_folder_above_the_input_may_be_hidden(tmp_path):
    write_files(tmp_path, {".cache/a.md": ""})

    assert keys(tmp_path / ".cache") == ["a.md"]


def test_a_named_file_of_an_unknown_ending_is_refused(tmp_path):
    write_files(tmp_path, {"a.log": ""})

    with pytest.raises(ConfigError, match="--form"):
        keys(tmp_path / "a.log")


def test_an_input_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is not there"):
        keys(tmp_path / "nowhere")


def test_an_input_without_a_readable_file_is_refused(tmp_path):
    write_files(tmp_path, {"a.pdf": ""})

    with pytest.raises(ConfigError, match=r"\.pdf 1 times"):
        keys(tmp_path)


def test_hidden_files_are_not_to_be_read_with_a_form(tmp_path):
    write_files(tmp_path, {".a.md": ""})

    with pytest.raises(ConfigError, match=r"\(hidden\) 1 times\)"):
        keys(tmp_path)


def test_no_input_is_refused():
    with pytest.raises(ConfigError, match="no input"):
        open_source([])


@pytest.mark.parametrize("names", [("docs", "docs"), ("docs", "docs/sub"), ("docs/sub/a.md", "docs")])
def test_inputs_that_overlap_are_refused(tmp_path, names):
    write_files(tmp_path, {"docs/sub/a.md": ""})

    with pytest.raises(ConfigError, match="twice"):
        open_source([str(tmp_path / name) for name in names])


def test_an_input_that_begins_with_the_name_of_another_is_no_overlap(tmp_path):
    write_files(tmp_path, {"docs/a.md": "", "docs2/a.md": ""})

    assert keys(tmp_path / "docs", tmp_path / "docs2") == ["docs/a.md", "docs2/a.md"]


def test_a_url_of_a_folder_is_that_folder(tmp_path):
    write_files(tmp_path, {"with space/a.md": ""})

    assert keys((tmp_path / "with space").as_uri()) == ["a.md"]


def test_a_linked_file_is_read(tmp_path):
    write_files(tmp_path, {"blobs/1": "text", "docs/b.md": "b"})
    (tmp_path / "docs/a.md").symlink_to(tmp_path / "blobs/1")

    assert keys(tmp_path / "docs") == ["a.md", "b.md"]


def test_an_output_below_an_input_is_seen(tmp_path):
    write_files(tmp_path, {"docs/a.md": ""})
    source = open_source([str(tmp_path / "docs")])

    assert source.holds((tmp_path / "docs" / "out").as_uri())
    assert not source.holds((tmp_path / "out").as_uri())


def test_a_key_of_no_input_is_missing(tmp_path):
    write_files(tmp_path, {"x/a.md": "", "y/a.md": ""})
    source = open_source([str(tmp_path / "x"), str(tmp_path / "y")])

    with pytest.raises(Missing, match="none of the inputs"):
        source.open("z/a.md")
