import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from embedstack.databases.opening import SCHEMES, open_database
from embedstack.errors import ConfigError, EmbedstackError

SERVERS = {
    "http://127.0.0.1:9": "QdrantDatabase",
    "https://127.0.0.1:9": "QdrantDatabase",
    "qdrant://127.0.0.1:9": "QdrantDatabase",
    "qdrants://127.0.0.1:9": "QdrantDatabase",
    "postgresql://127.0.0.1:9/db": "PgvectorDatabase",
    "postgres://127.0.0.1:9/db": "PgvectorDatabase",
}
"""Nobody listens there."""


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where relative paths lead."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("given", ["vectors", "./a b", "C:vectors", "a:b"])
def test_a_path_is_a_folder(given: str, elsewhere: Path) -> None:
    with closing(open_database(given)) as database:
        assert type(database).__name__ == "EmbeddedDatabase"
        assert database.names() == []


def test_a_file_url_is_the_same_folder(tmp_path: Path) -> None:
    (tmp_path / "a b#ü").mkdir()
    with closing(open_database(str(tmp_path / "a b#ü"))) as one, closing(open_database(one.url)) as other:
        assert one.url.startswith("file://")
        assert other.url == one.url


@pytest.mark.slow  # the first to need it imports the client
@pytest.mark.parametrize(("url", "kind"), SERVERS.items())
def test_a_server_is_not_asked_when_it_is_opened(url: str, kind: str) -> None:
    with closing(open_database(url)) as database:
        assert type(database).__name__ == kind


def test_qdrants_local_mode_is_a_folder(tmp_path: Path) -> None:
    with closing(open_database(f"qdrant-local:{tmp_path}/local")) as database:
        assert type(database).__name__ == "QdrantDatabase"


def test_every_scheme_is_tried_here() -> None:
    assert {url.partition(":")[0] for url in SERVERS} | {"file", "qdrant-local"} == set(SCHEMES)


@pytest.mark.parametrize("given", ["HTTP://127.0.0.1:9", "Postgresql://127.0.0.1:9/db"])
def test_a_scheme_is_one_in_any_case(given: str) -> None:
    with closing(open_database(given)) as database:
        assert type(database).__name__ != "EmbeddedDatabase"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "no database was given"),
        ("mysql://host/db", "mysql://; give a path, .*postgresql://"),
        ("s3://bucket/vectors", "cannot be at s3://"),
        ("localhost:6333", "give http://localhost:6333 for Qdrant"),
        ("./store#docs", "name the collection apart, with --collection"),
        ("http:host", "begins with http://"),
        ("postgresql:db", "begins with postgresql://"),
        ("file://example.com/out", "a folder of this machine"),
        ("file:vectors", "a folder of this machine"),
        ("file:///out?x=1", "a folder of this machine"),
    ],
)
def test_what_is_no_database_is_said(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        open_database(url)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://name:most-secret@host/db",
        "postgresql:name:most-secret@host",
        "http://name:most-secret@host",
        "file://name:most-secret@host/out",
    ],
)
def test_a_secret_of_a_url_that_is_refused_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        open_database(url)

    assert "most-secret" not in refused.value.message


@pytest.mark.parametrize(
    ("url", "api_key"), [("postgresql://name:most-secret@127.0.0.1:9/db", ""), ("http://127.0.0.1:9", "most-secret")]
)
def test_a_secret_is_shown_nowhere(url: str, api_key: str) -> None:
    with closing(open_database(url, api_key=api_key)) as database:
        with pytest.raises(EmbedstackError) as refused:
            database.names()

        assert "most-secret" not in f"{database.url} {database!r} {refused.value.message}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "url", "extra"),
    [("qdrant_client", "http://host", "qdrant"), ("psycopg", "postgresql://host/db", "pgvector")],
)
def test_a_package_that_is_not_installed_is_named(package: str, url: str, extra: str) -> None:
    code = f"""
import sys
sys.modules[{package!r}] = None
from embedstack.databases.opening import open_database
from embedstack.errors import ConfigError
open_database("folder").close()  # needs none of them
try:
    open_database({url!r})
except ConfigError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert f"run: pip install 'embedstack[{extra}]'" in done.stdout, done.stderr
