from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from embedstack.errors import ConfigError, Mismatch, Unsupported, Upstream
from embedstack.storage import remote
from embedstack.storage.remote import RemoteStorage, open_remote
from embedstack.storage.storage import Missing
from embedstack.testing.check_storage import check_storage
from support.xml_bucket import Fault, Scheme, XmlBucket, variables


@pytest.fixture(scope="module")
def _server() -> Iterator[XmlBucket]:
    with XmlBucket() as made:
        yield made


@pytest.fixture
def bucket(_server: XmlBucket) -> XmlBucket:
    """Empty, with three keys in a listing."""
    _server.reset(page=3)
    return _server


@pytest.fixture(scope="module", params=["s3", "gs"])
def scheme(request: pytest.FixtureRequest) -> Scheme:
    return request.param


@pytest.fixture(scope="module")
def _storage(_server: XmlBucket, scheme: Scheme) -> RemoteStorage:
    with pytest.MonkeyPatch.context() as variables:
        return _opened(_server, scheme, variables)


@pytest.fixture
def storage(bucket: XmlBucket, _storage: RemoteStorage) -> RemoteStorage:
    """Everything that may be tried again is, once and at once."""
    return _storage


def _opened(bucket: XmlBucket, scheme: Scheme, monkeypatch: pytest.MonkeyPatch) -> RemoteStorage:
    for name, value in {**variables(scheme, bucket.address), "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    return open_remote(f"{scheme}://bucket/deep/down", waits_s=(0.0,))


@pytest.mark.slow
def test_a_bucket_keeps_every_promise(storage: RemoteStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PART", 1 << 18)
    monkeypatch.setattr(remote, "BLOCK", 1 << 18)

    assert check_storage(storage, large=1 << 20) == []


@pytest.mark.slow
def test_a_bucket_keeps_every_promise_without_a_prefix(bucket: XmlBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    _opened(bucket, "gs", monkeypatch)

    assert check_storage(open_remote("gs://bucket"), large=1 << 10) == []


@pytest.mark.slow
def test_a_bucket_that_ignores_preconditions_is_found_out(storage: RemoteStorage, bucket: XmlBucket) -> None:
    bucket.reset(preconditions=False)
    broken = check_storage(storage, large=1 << 10)

    assert "put_new of a key that is there does not say so" in broken
    assert "8 of 8 writers created one key" in broken


def test_keys_stand_below_the_prefix(storage: RemoteStorage, bucket: XmlBucket) -> None:
    storage.put("data/one", b"1")

    assert [*bucket.state.objects] == ["deep/down/data/one"]


# ------------------------------------------------------------------------------------------------ create


@pytest.mark.parametrize("status", [0, 500, 503])
def test_a_create_whose_answer_was_lost_counts(status: int, storage: RemoteStorage, bucket: XmlBucket) -> None:
    bucket.state.faults.append(Fault("after", status))

    assert storage.put_new("one", b"ours")
    assert storage.get("one") == b"ours"


def test_a_create_that_failed_and_then_met_another_does_not_count(storage: RemoteStorage, bucket: XmlBucket) -> None:
    bucket.state.put("deep/down/one", b"theirs")
    bucket.state.faults.append(Fault("before", 503))

    assert not storage.put_new("one", b"ours")
    assert storage.get("one") == b"theirs"


def test_a_create_that_met_another_which_is_gone_is_made_again(storage: RemoteStorage, bucket: XmlBucket) -> None:
    bucket.state.faults.append(Fault("before", 409, "ConditionalRequestConflict"))

    assert storage.put_new("one", b"ours")
    assert storage.get("one") == b"ours"


def test_a_create_that_fails_every_time_is_said(storage: RemoteStorage, bucket: XmlBucket) -> None:
    bucket.state.faults.extend([Fault("before", 503, "SlowDown")] * 2)

    with pytest.raises(Upstream, match="503 SlowDown") as failed:
        storage.put_new("one", b"ours")

    assert failed.value.retry
    assert not bucket.state.objects


def test_a_store_that_does_not_know_creates_is_said(storage: RemoteStorage, bucket: XmlBucket) -> None:
    bucket.state.faults.extend([Fault("before", 501, "NotImplemented")] * 2)

    with pytest.raises(Unsupported, match="use another bucket"):
        storage.put_new("one", b"ours")


# ------------------------------------------------------------------------------------------------ reading


def test_a_small_file_is_read_in_one_request(storage: RemoteStorage, bucket: XmlBucket) -> None:
    storage.put("one", b"line\n" * 1000)
    bucket.state.requests.clear()

    with storage.open("one") as file:
        file.read()

    assert [request.partition(" ")[0] for request in bucket.state.requests] == ["GET"]


def test_only_what_is_read_is_fetched(
    storage: RemoteStorage, bucket: XmlBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "BLOCK", 100)
    storage.put("one", bytes(100_000))
    bucket.state.requests.clear()

    with storage.open("one") as file:
        file.read(10)
        file.seek(50_000)
        file.read(10)

    assert len(bucket.state.requests) == 2


def test_a_file_that_is_replaced_while_it_is_read_is_said(
    storage: RemoteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "BLOCK", 100)
    storage.put("one", b"1" * 1000)

    with storage.open("one") as file:
        file.read(10)
        storage.put("one", b"2" * 1000)

        with pytest.raises(Mismatch, match="replaced while it was read"):
            file.read()


def test_what_is_gone_is_missing(storage: RemoteStorage) -> None:
    with pytest.raises(Missing, match="'one' is not in"):
        storage.get("one")


# ------------------------------------------------------------------------------------------------ listing


def _lists(bucket: XmlBucket) -> list[str]:
    return [request for request in bucket.state.requests if "list-type=2" in request]


def test_a_listing_goes_on_over_its_pages(storage: RemoteStorage, bucket: XmlBucket) -> None:
    for number in range(7):
        bucket.state.put(f"deep/down/{number}", b"")

    assert [entry.key for entry in storage.list()] == [*"0123456"]
    assert len(_lists(bucket)) == 3


@pytest.mark.slow
def test_ten_thousand_keys_take_ten_requests(storage: RemoteStorage, bucket: XmlBucket) -> None:
    bucket.reset(page=1000)
    for number in range(10_000):
        bucket.state.put(f"deep/down/_commits/{number:06}.json", b"{}")

    assert len([*storage.list("_commits/")]) == 10_000
    assert len(bucket.state.requests) == 10


def test_a_listing_begins_at_the_place(storage: RemoteStorage, bucket: XmlBucket) -> None:
    for number in range(7):
        bucket.state.put(f"deep/down/{number}", b"")

    assert [entry.key for entry in storage.list(after="4")] == [*"56"]
    assert len(_lists(bucket)) == 1


@pytest.mark.parametrize("prefix", ["a/.", "a/..", "a/..b"])
def test_a_prefix_may_end_in_what_is_no_key(prefix: str, storage: RemoteStorage, bucket: XmlBucket) -> None:
    bucket.state.put("deep/down/a/..b", b"")
    bucket.state.put("deep/down/a/b", b"")

    assert [entry.key for entry in storage.list(prefix)] == [key for key in ("a/..b",) if key.startswith(prefix)]


def test_a_listing_ends_where_the_prefix_does(
    storage: RemoteStorage, bucket: XmlBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "PAGE", 3)
    for number in range(20):
        bucket.state.put(f"deep/down/{number:02}", b"")

    assert [entry.key for entry in storage.list("0")][-1] == "09"
    assert len(_lists(bucket)) <= 4


def test_what_consoles_make_for_a_folder_is_passed_over(storage: RemoteStorage, bucket: XmlBucket) -> None:
    for key in ("deep/down/", "deep/down/a.md", "deep/down/sub.md", "deep/down/sub/", "deep/down/sub/b.md"):
        bucket.state.put(key, b"" if key.endswith("/") else b"1")

    assert [entry.key for entry in storage.list()] == ["a.md", "sub.md", "sub/b.md"]


# ------------------------------------------------------------------------------------------------ refusals


def test_what_failed_on_the_way_is_tried_again(storage: RemoteStorage, bucket: XmlBucket) -> None:
    bucket.state.faults.append(Fault("before", 503))

    storage.put("one", b"1")

    assert storage.get("one") == b"1"


def test_a_store_that_keeps_failing_is_said(storage: RemoteStorage, bucket: XmlBucket) -> None:
    bucket.state.faults.extend([Fault("before", 503, "SlowDown")] * 2)

    with pytest.raises(Upstream, match=r"://bucket/deep/down failed \(503 SlowDown\).*run again later") as failed:
        storage.put("one", b"1")

    assert failed.value.retry


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that goes in three parts, after which the upload is completed."""
    monkeypatch.setattr(remote, "PART", 1000)
    path = tmp_path / "large"
    path.write_bytes(bytes(range(250)) * 10)
    return path


def _lost(when: Literal["before", "after"], status: int) -> list[Fault | None]:
    """The answer to what comes behind the beginning and three parts."""
    return [None] * 4 + [Fault(when, status, "SlowDown")]


@pytest.mark.parametrize("status", [0, 503])
def test_an_upload_whose_last_answer_was_lost_is_done(
    status: int, storage: RemoteStorage, bucket: XmlBucket, large: Path
) -> None:
    data = large.read_bytes()
    bucket.state.faults.extend(_lost("after", status))

    storage.put_file("one", large)

    assert storage.get("one") == data
    assert sum("?uploads" in request for request in bucket.state.requests) == 1
    assert not large.exists()


def test_an_upload_that_the_store_forgot_is_made_once_more(
    storage: RemoteStorage, bucket: XmlBucket, large: Path
) -> None:
    data = large.read_bytes()
    bucket.state.faults.extend([None] * 4 + [Fault("before", 404, "NoSuchUpload")])

    storage.put_file("one", large)

    assert storage.get("one") == data


def test_an_upload_that_the_store_forgets_again_is_said(storage: RemoteStorage, bucket: XmlBucket, large: Path) -> None:
    bucket.state.faults.extend([*([None] * 4), Fault("before", 404, "NoSuchUpload")])
    bucket.state.faults.extend([*([None] * 2), *bucket.state.faults])

    with pytest.raises(Upstream, match="404 NoSuchUpload") as failed:
        storage.put_file("one", large)

    assert failed.value.retry
    assert large.exists()


def test_a_404_of_somebody_else_does_not_say_that_there_is_no_bucket(storage: RemoteStorage, bucket: XmlBucket) -> None:
    bucket.state.faults.append(Fault("before", 404, "Unknown"))

    with pytest.raises(ConfigError, match=r"\(404 Unknown\): look at its name") as refused:
        storage.put("one", b"1")

    assert "no such bucket" not in refused.value.message


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (403, "AccessDenied", "the bucket's rights"),
        (401, "AuthenticationRequired", "the bucket's rights"),
        (400, "ExpiredToken", "the keys have expired"),
        (403, "SignatureDoesNotMatch", "the secret key is wrong"),
        (403, "RequestTimeTooSkewed", "this machine's clock"),
        (400, "AuthorizationHeaderMalformed", "AWS_REGION"),
    ],
)
def test_a_refusal_says_what_to_look_at(
    status: int, code: str, advice: str, storage: RemoteStorage, bucket: XmlBucket
) -> None:
    calls: list[Callable[[], object]] = [
        lambda: storage.get("one"),
        lambda: storage.put("one", b"1"),
        lambda: storage.put_new("one", b"1"),
        lambda: [*storage.list()],
    ]

    for call in calls:
        bucket.state.faults.append(Fault("before", status, code))
        with pytest.raises(ConfigError, match=advice):
            call()


def test_a_bucket_that_is_not_there_is_said(bucket: XmlBucket, scheme: Scheme, monkeypatch: pytest.MonkeyPatch) -> None:
    _opened(bucket, scheme, monkeypatch)
    other = open_remote(f"{scheme}://other", waits_s=())

    for call in (lambda: other.put("one", b""), lambda: other.put_new("one", b""), lambda: [*other.list()]):
        with pytest.raises(ConfigError, match="there is no such bucket"):
            call()


def test_an_endpoint_without_tls_must_be_allowed(bucket: XmlBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    _opened(bucket, "s3", monkeypatch)
    monkeypatch.delenv("AWS_ALLOW_HTTP")

    with pytest.raises(ConfigError, match="set AWS_ALLOW_HTTP=true"):
        open_remote("s3://bucket", waits_s=()).get("one")


def test_no_message_holds_a_key(bucket: XmlBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "open-sesame")
    storage = _opened(bucket, "s3", monkeypatch)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "most-secret")
    bucket.state.faults.append(Fault("before", 400, "open-sesame"))

    with pytest.raises(ConfigError) as refused:
        storage.get("one")

    assert "sesame" not in refused.value.message
    assert "most-secret" not in refused.value.message


def test_a_store_that_is_not_there_is_said(scheme: Scheme, monkeypatch: pytest.MonkeyPatch) -> None:
    with XmlBucket() as bucket:
        storage = _opened(bucket, scheme, monkeypatch)

    with pytest.raises(Upstream, match="no answer"):
        storage.put_new("one", b"1")
