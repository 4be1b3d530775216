import sys
from pathlib import Path

import pytest

from embedstack.errors import ConfigError
from embedstack.storage.local import LocalStorage
from embedstack.storage.opening import open_storage
from embedstack.storage.remote import RemoteStorage
from support.xml_bucket import variables


def test_a_path_is_a_folder(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path / "a b"))

    assert isinstance(storage, LocalStorage)
    assert storage.url == f"file://{tmp_path}/a%20b"


def test_its_url_opens_the_same_folder(tmp_path: Path) -> None:
    storage = open_storage(tmp_path / "a b#ü")
    storage.put("one", b"1")

    assert open_storage(storage.url).get("one") == b"1"


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/deep/down/", "gs://bucket/deep/down"])
def test_a_bucket_is_not_asked_when_it_is_opened(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**variables("s3", "http://127.0.0.1:9"), **variables("gs", "http://127.0.0.1:9")}.items():
        monkeypatch.setenv(name, value)

    storage = open_storage(url)

    assert isinstance(storage, RemoteStorage)
    assert storage.url == url.rstrip("/")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/out", "http://; give a path"),
        ("az://account/container", "az://; give a path"),
        ("file://example.com/out", "a folder of this machine"),
        ("file:///out?x=1", "a folder of this machine"),
        ("s3://", "no bucket's name"),
        ("s3:///out", "no bucket's name"),
        ("s3://bucket/a/../b", "prefix"),
        ("gs://bucket//out", "prefix"),
    ],
)
def test_what_is_no_storage_is_said(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        open_storage(url)


@pytest.mark.parametrize(
    "url", ["s3://name:most-secret@bucket/out", "s3://name:most/secret@bucket/out", "gs://name:most"]
)
def test_keys_in_a_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="holds no keys") as refused:
        open_storage(url)

    assert "name" not in refused.value.message
    assert "most" not in refused.value.message


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "embedstack.storage.remote")
    monkeypatch.setitem(sys.modules, "obstore", None)

    with pytest.raises(ConfigError, match=r"embedstack\[jobs\]"):
        open_storage("s3://bucket")
