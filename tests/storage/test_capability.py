from collections.abc import Iterator
from pathlib import Path

import pytest

from embedstack.errors import ConfigError
from embedstack.storage.capability import SingleWriter, creates_once
from embedstack.storage.local import LocalStorage
from embedstack.storage.opening import open_storage
from embedstack.storage.storage import Storage
from embedstack.testing.check_storage import check_storage
from support.xml_bucket import Fault, Scheme, XmlBucket, variables


@pytest.fixture(params=["s3", "gs"], scope="module")
def scheme(request: pytest.FixtureRequest) -> Scheme:
    return request.param


@pytest.fixture
def careless() -> Iterator[XmlBucket]:
    """A bucket that lets every create through."""
    with XmlBucket(preconditions=False) as bucket:
        yield bucket


def _opened(bucket: XmlBucket, scheme: Scheme, monkeypatch: pytest.MonkeyPatch) -> Storage:
    for name, value in {**variables(scheme, bucket.address), "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    return open_storage(f"{scheme}://bucket/out")


def test_a_folder_creates_once(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)

    assert creates_once(storage)
    assert [*storage.list()] == []


def test_a_bucket_with_preconditions_creates_once(scheme: Scheme, monkeypatch: pytest.MonkeyPatch) -> None:
    with XmlBucket() as bucket:
        assert creates_once(_opened(bucket, scheme, monkeypatch))
        assert bucket.state.objects == {}


def test_a_bucket_without_preconditions_does_not(
    careless: XmlBucket, scheme: Scheme, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not creates_once(_opened(careless, scheme, monkeypatch))
    assert careless.state.objects == {}


def test_a_bucket_that_refuses_preconditions_does_not(
    careless: XmlBucket, scheme: Scheme, monkeypatch: pytest.MonkeyPatch
) -> None:
    careless.state.faults.append(Fault("before", 501, "NotImplemented"))

    assert not creates_once(_opened(careless, scheme, monkeypatch))


def test_a_bucket_that_refuses_everything_is_an_error(
    careless: XmlBucket, scheme: Scheme, monkeypatch: pytest.MonkeyPatch
) -> None:
    careless.state.faults.extend([Fault("before", 403, "AccessDenied")] * 2)

    with pytest.raises(ConfigError, match="rights"):
        creates_once(_opened(careless, scheme, monkeypatch))


@pytest.mark.slow
def test_one_writer_finds_every_promise_kept_there(
    careless: XmlBucket, scheme: Scheme, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = SingleWriter(_opened(careless, scheme, monkeypatch))

    assert check_storage(storage, together=False, large=1 << 20) == []
