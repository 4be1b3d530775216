"""What a file is by its name."""

import pytest

from embedstack.documents.forms import ending_of, form_of


@pytest.mark.parametrize(
    ("key", "form"),
    [
        ("a.md", ("markdown", "")),
        ("A.MD", ("markdown", "")),
        ("a.b/c.txt", ("text", "")),
        ("a.htm", ("html", "")),
        ("a.jsonl.gz", ("jsonl", "gz")),
        ("a.ndjson.zst", ("jsonl", "zst")),
        ("a.tsv", ("csv", "")),
        ("a.parquet", ("parquet", "")),
    ],
)
def test_the_ending_tells_the_form_and_the_packing(key, form):
    assert form_of(key, None) == form


@pytest.mark.parametrize("key", ["a", "a.pdf", "a.gz", "md", "a.json", "a.parquet.gz"])
def test_other_endings_tell_nothing(key):
    assert form_of(key, None) is None


def test_a_form_that_was_asked_for_holds_for_every_name():
    assert form_of("a.log.gz", "jsonl") == ("jsonl", "gz")


def test_a_long_ending_is_counted_as_none():
    assert ending_of("a.2024-01-05-backup") == "(none)"
