"""S3 as moto has it, over real HTTP: another author's reading of the API than ours."""

import urllib.request
from collections.abc import Iterator

import pytest

from embedstack.storage.capability import creates_once
from embedstack.storage.opening import open_storage
from embedstack.storage.storage import Storage
from embedstack.testing.check_storage import check_storage

pytestmark = [pytest.mark.faults, pytest.mark.slow]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def storage(address: str, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A new bucket; the variables are those of docs/batch.md for an endpoint of one's own."""
    named = {"AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1", "NO_PROXY": "127.0.0.1"}
    for name, value in {**named, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}.items():
        monkeypatch.setenv(name, value)
    urllib.request.urlopen(urllib.request.Request(f"{address}/moto-bucket", method="PUT")).close()
    return open_storage("s3://moto-bucket/out")


def test_s3_keeps_every_promise(storage: Storage) -> None:
    assert check_storage(storage, together=False) == []  # moto looks and then puts, without a lock


def test_s3_creates_once(storage: Storage) -> None:
    assert creates_once(storage)
    assert [*storage.list()] == []


def test_more_keys_than_a_page_holds_are_listed_in_order(storage: Storage) -> None:
    keys = [f"_commits/{number:06}.json" for number in range(1010)]
    for key in keys:
        storage.put(key, b"{}")

    assert [entry.key for entry in storage.list("_commits/")] == keys
