"""Objects of an application as input."""

from pathlib import Path

import pytest

from embedstack.documents.document import Reading
from embedstack.documents.reading import Reader, scan
from embedstack.documents.source import open_source
from embedstack.errors import ConfigError, Upstream
from support.documents import texts

READING = Reading()


class Store:
    """A dictionary with the interface of source system E."""

    def __init__(self, files, sized=False):
        self.files, self.sized = files, sized

    def list_files(self):
        return [(name, len(data)) for name, data in self.files.items()] if self.sized else list(self.files)

    def download(self, name):
        return self.files[name]


class Prefixed(Store):
    def list_files(self, prefix):
        return [name for name in self.files if name.startswith(prefix)]


class Asynchronous(Store):
    async def list_files(self):
        return []


class Broken(Store):
    def download(self, name):
        raise RuntimeError("secret-key")


def read(store):
    source = open_source(store, READING)
    with Reader(source, READING) as reader:
        segments = [segment for entry in source.entries() for segment in scan(source, entry, READING, 1000)]
        return texts([one for segment in segments for one in reader.read(segment)])


@pytest.mark.parametrize("kind", [Store, Prefixed])
def test_files_come_in_the_order_of_their_names(kind):
    assert read(kind({"b.md": b"second", "a.md": b"first"})) == ["first", "second"]


def test_bytes_a_text_and_a_path_are_taken(tmp_path):
    (tmp_path / "there").write_text("from a path")

    assert read(Store({"a.md": b"bytes", "b.md": "text", "c.md": tmp_path / "there"})) == [
        "bytes",
        "text",
        "from a path",
    ]


def test_a_text_that_looks_like_a_path_is_a_text(tmp_path):
    (tmp_path / "secret").write_text("secret")

    assert read(Store({"a.md": str(tmp_path / "secret")})) == [str(tmp_path / "secret")]


def test_sizes_are_taken_where_they_are_given():
    source = open_source(Store({"a.md": b"four"}, sized=True))

    assert [entry.size for entry in source.entries()] == [4]


def test_rows_of_a_file_are_read():
    assert read(Store({"a.jsonl": b'{"text":"one"}\n{"text":"two"}\n'})) == ["one", "two"]


@pytest.mark.parametrize("name", ["./a.md", "../a.md", "/home/me/.data/a.md"])
def test_no_name_is_hidden(name):
    assert read(Store({name: b"text"})) == ["text"]


def test_functions_that_are_async_are_refused():
    with pytest.raises(ConfigError, match="async"):
        list(open_source(Asynchronous({})).entries())


def test_a_name_that_is_listed_twice_is_refused():
    store = Store({})
    store.list_files = lambda: ["a.md", "a.md"]

    with pytest.raises(ConfigError, match="twice"):
        list(open_source(store).entries())


def test_a_failing_download_says_nothing_of_what_it_said():
    with pytest.raises(Upstream, match="RuntimeError") as caught:
        read(Broken({"a.md": b""}))

    assert "secret-key" not in str(caught.value)


def test_a_download_of_another_kind_is_refused():
    with pytest.raises(ConfigError, match="gave int"):
        read(Store({"a.md": 1}))


def test_a_path_that_is_not_there_is_told():
    with pytest.raises(ConfigError, match="cannot be opened"):
        read(Store({"a.md": Path("/nowhere/at/all")}))
