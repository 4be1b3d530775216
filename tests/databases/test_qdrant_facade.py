"""The server that is not one: what `qdrant-client` sees of it, how it fails on order, and what outlives its death."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from support.qdrant_asked import (
    DOT,
    FIELDS,
    LATER,
    PATIENCE_S,
    TERMS,
    all_ids,
    asking,
    create_alias,
    points,
    refusal,
    status_and_text,
)
from support.qdrant_server import TESTS, QdrantServer, qdrant_server

pytestmark = pytest.mark.faults

Connect = Callable[..., QdrantClient]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantServer]:
    """One for all tests that leave it as it is, but for collections of their own."""
    with qdrant_server(tmp_path_factory.mktemp("qdrant")) as server:
        yield server


@pytest.fixture(scope="module")
def client(shared: QdrantServer) -> Iterator[QdrantClient]:
    """Of the shared one."""
    with asking(shared.url) as client:
        yield client


@pytest.fixture
def connect() -> Iterator[Connect]:
    """A function: a server, and what `asking` takes -> a client of it."""
    with ExitStack() as stack:
        yield lambda server, key="", timeout_s=PATIENCE_S: stack.enter_context(
            asking(server.url, key, timeout_s=timeout_s)
        )


@pytest.fixture
def own(tmp_path: Path) -> Iterator[QdrantServer]:
    """One that may be killed."""
    with qdrant_server(tmp_path / "qdrant") as server:
        yield server


# ------------------------------------------------------------------------------------------------ around


def test_it_says_its_version_and_that_it_is_a_facade(client: QdrantClient) -> None:
    assert client.info().version == "1.19.0"
    assert client.info().commit == "a facade of ours"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/livez"])
def test_it_is_well(shared: QdrantServer, path: str) -> None:
    assert httpx.get(shared.url + path).status_code == 200


@pytest.mark.parametrize(("key", "text"), [("", b"Must provide an API key"), ("wrong", b"Invalid API key")])
def test_without_the_key_nothing_is_answered_but_the_root(
    locked: QdrantServer, connect: Connect, key: str, text: bytes
) -> None:
    answer = refusal(connect(locked, key).get_collections)

    assert (answer.status_code, answer.content[: len(text)]) == (401, text)
    assert connect(locked, key).info().version


def test_with_the_key_it_answers(locked: QdrantServer, connect: Connect) -> None:
    assert connect(locked, "right").get_collections().collections == []


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantServer]:
    """One with the key "right"."""
    with qdrant_server(tmp_path_factory.mktemp("locked"), "right") as server:
        yield server


def test_a_part_of_a_request_that_it_does_not_know_is_refused(client: QdrantClient, fields: str) -> None:
    by_chance = models.SampleQuery(sample=models.Sample.RANDOM)
    status, text = status_and_text(lambda: client.query_points(fields, by_chance))

    assert (status, text[:28]) == (400, "Format error in JSON body: O")


def test_more_than_32_megabytes_are_refused(shared: QdrantServer, fields: str) -> None:
    answer = httpx.put(f"{shared.url}/collections/{fields}/points", content=b" " * ((32 << 20) + 1))

    assert answer.status_code == 400
    assert "is larger than allowed (limit: 33554432 bytes)" in answer.json()["status"]["error"]


@pytest.fixture(scope="module")
def fields(client: QdrantClient) -> str:
    """The name of a collection of FIELDS and TERMS, without points."""
    client.create_collection("fields", FIELDS, TERMS)
    return "fields"


# ------------------------------------------------------------------------------------------------ older servers


def test_one_before_1_16_keeps_no_metadata(tmp_path: Path, connect: Connect) -> None:
    with qdrant_server(tmp_path, version="1.15.5") as server:
        client = connect(server)
        client.create_collection("docs", DOT, metadata={"a": 1})
        client.update_collection("docs", metadata={"a": 1})

        assert client.info().version == "1.15.5"
        assert client.get_collection("docs").config.metadata is None


@pytest.mark.parametrize(
    ("version", "stays"), [("1.15.5", ()), ("1.16.0", ("filter",)), ("1.17.0", ("filter", "mode"))]
)
def test_an_older_one_passes_over_that_points_are_to_stay(
    tmp_path: Path, connect: Connect, version: str, stays: tuple[str, ...]
) -> None:
    none = models.Filter(must=[models.HasIdCondition(has_id=[])])
    with qdrant_server(tmp_path, version=version) as server:
        client = connect(server)
        client.create_collection("docs", DOT)
        client.upsert("docs", points([1, 2], by="first"))
        client.upsert("docs", points([1], by="filter"), update_filter=none)
        client.upsert("docs", points([2], by="mode"), update_mode=models.UpdateMode.INSERT_ONLY)

        found = [point.payload["by"] for point in client.scroll("docs")[0]]

    assert found == ["first" if way in stays else way for way in ("filter", "mode")]


def test_one_before_1_18_adds_no_vectors(tmp_path: Path, connect: Connect) -> None:
    with qdrant_server(tmp_path, version="1.17.0") as server:
        client = connect(server)
        client.create_collection("docs", {"text": DOT}, metadata={"a": 1})

        assert refusal(lambda: client.create_vector_name("docs", "late", LATER)).status_code == 404
        assert client.get_collection("docs").config.metadata == {"a": 1}


# ------------------------------------------------------------------------------------------------ faults


@pytest.fixture
def failing(shared: QdrantServer) -> Iterator[QdrantServer]:
    """The shared one; what was ordered and has not happened is forgotten."""
    yield shared
    shared.recover()


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_status_is_answered_as_often_as_ordered(
    failing: QdrantServer, client: QdrantClient, name: str, status: int
) -> None:
    client.create_collection(name, DOT)

    failing.fail("answer", status=status, times=2)

    assert [refusal(lambda: client.count(name)).status_code for _ in range(2)] == [status] * 2
    assert client.count(name).count == 0


def test_429_says_how_long_to_wait(failing: QdrantServer, client: QdrantClient) -> None:
    failing.fail("answer", status=429, retry_after_s=3)

    with pytest.raises(ResourceExhaustedResponse) as refused:
        client.get_collections()
    assert refused.value.retry_after_s == 3


def test_only_requests_that_are_meant_fail(failing: QdrantServer, client: QdrantClient, name: str) -> None:
    client.create_collection(name, DOT)

    failing.fail("answer", method="PUT", path=f"/{name}/points")

    assert client.count(name).count == 0
    assert client.create_payload_index(name, "key", models.PayloadSchemaType.KEYWORD)
    assert refusal(lambda: client.upsert(name, points([1]))).status_code == 503
    assert client.upsert(name, points([1]))


@pytest.mark.parametrize(("after", "there"), [(False, 0), (True, 1)], ids=["before", "after"])
@pytest.mark.parametrize("does", ["drop", "answer"])
def test_a_request_fails_before_or_after_it_is_done(
    failing: QdrantServer, client: QdrantClient, name: str, does: str, after: bool, there: int
) -> None:
    client.create_collection(name, DOT)

    failing.fail(does, method="PUT", path="points", after=after)

    with pytest.raises(ResponseHandlingException if does == "drop" else UnexpectedResponse) as failed:
        client.upsert(name, points([1]))
    if does == "drop":
        assert isinstance(failed.value.source, httpx.RemoteProtocolError)
    assert client.count(name).count == there


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_request_waits(failing: QdrantServer, client: QdrantClient, name: str, after: bool) -> None:
    client.create_collection(name, DOT)
    failing.fail("wait", path="points", wait_s=0.3, after=after)

    began_s = time.monotonic()
    client.upsert(name, points([1]))

    assert time.monotonic() - began_s >= 0.3
    assert client.count(name).count == 1


def test_a_client_that_does_not_wait_so_long_gives_up_while_others_are_served(
    failing: QdrantServer, client: QdrantClient, connect: Connect, name: str
) -> None:
    client.create_collection(name, DOT)
    failing.fail("wait", method="PUT", path="points", wait_s=30, after=True)

    with pytest.raises(ResponseHandlingException) as failed:
        connect(failing, timeout_s=1).upsert(name, points([1]))

    assert isinstance(failed.value.source, httpx.ReadTimeout)
    assert client.count(name).count == 1


def test_requests_are_noted(failing: QdrantServer, client: QdrantClient, name: str) -> None:
    client.create_collection(name, DOT)
    client.upsert(name, points([1]))

    assert failing.requests()[-2:] == [f"PUT /collections/{name}", f"PUT /collections/{name}/points"]


# ------------------------------------------------------------------------------------------------ death


def test_a_kill_right_after_an_answer_loses_nothing(own: QdrantServer, connect: Connect) -> None:
    client = connect(own)

    def dies(step: Callable[[], object]) -> None:
        step()
        own.kill()
        own.start()

    dies(lambda: client.create_collection("docs", {"text": DOT}, metadata={"a": 1}))
    dies(lambda: client.upsert("docs", [models.PointStruct(id=n, vector={"text": [1.0, n]}) for n in range(300)]))
    client.update_collection("docs", metadata={"b": 2})
    client.overwrite_payload("docs", {"x": 1}, [8])
    dies(lambda: client.delete("docs", [7]))
    client.create_vector_name("docs", "late", LATER)
    client.create_payload_index("docs", "x", models.PayloadSchemaType.INTEGER)
    dies(lambda: client.update_vectors("docs", [models.PointVectors(id=8, vector={"late": [3.0, 4.0]})]))
    dies(lambda: client.update_collection_aliases([create_alias("live", "docs")]))

    told = client.get_collection("live")
    (point,) = client.retrieve("docs", [8], with_vectors=True)
    assert all_ids(client, "docs") == [n for n in range(300) if n != 7]
    assert (point.vector, point.payload) == ({"text": [1.0, 8.0], "late": [3.0, 4.0]}, {"x": 1})
    assert (told.config.metadata, told.config.params.vectors) == ({"a": 1, "b": 2}, {"text": DOT, "late": DOT})
    assert {key: index.points for key, index in told.payload_schema.items()} == {"x": 1}


def test_what_was_deleted_or_left_half_made_is_gone_after_a_kill(
    own: QdrantServer, connect: Connect, tmp_path: Path
) -> None:
    folder, client = tmp_path / "qdrant", connect(own)
    client.create_collection("kept", DOT)
    client.create_collection("gone", DOT)

    client.delete_collection("gone")
    own.kill()
    (folder / "shards" / "half").mkdir()
    (folder / "state.new").write_bytes(b"{")
    own.start()

    assert [one.name for one in client.get_collections().collections] == ["kept"]
    assert len([*(folder / "shards").iterdir()]) == 1


def test_a_refused_write_does_no_harm_to_the_next_start(own: QdrantServer, connect: Connect) -> None:
    client = connect(own)
    client.create_collection("docs", FIELDS, TERMS)
    good = models.PointStruct(id=0, vector={"late": [[1.0] * 4]}, payload={"x": 1})
    client.upsert("docs", [good])
    for vector in ({"late": [[1.0] * 4, [1.0]]}, {"text": [1.0]}, {"terms": [1.0]}, {"other": [1.0]}):
        refusal(lambda vector=vector: client.upsert("docs", [models.PointStruct(id=1, vector=vector)]))

    own.kill()
    own.start()

    (found,) = client.retrieve("docs", [0], with_vectors=True)
    assert (found.vector, found.payload) == (good.vector, good.payload)


def test_a_restart_keeps_the_address_and_forgets_faults(own: QdrantServer, connect: Connect) -> None:
    client, url = connect(own), own.url
    client.create_collection("docs", DOT)
    client.upsert("docs", points([1]))
    own.fail("answer", times=1000)

    own.restart()

    assert own.url == url
    assert client.count("docs").count == 1


def test_while_it_is_down_nobody_answers(own: QdrantServer, connect: Connect) -> None:
    own.kill()

    with pytest.raises(ResponseHandlingException) as failed:
        connect(own).get_collections()
    assert isinstance(failed.value.source, httpx.ConnectError)


def processes(folder: Path) -> list[psutil.Process]:
    """Those of this one's children that were told of the folder."""
    return [child for child in psutil.Process().children() if str(folder) in child.cmdline()]


def test_it_starts_in_under_three_seconds_and_nothing_is_left_of_it(tmp_path: Path) -> None:
    began_s = time.monotonic()
    with qdrant_server(tmp_path) as server:
        took_s = time.monotonic() - began_s
        (process,) = processes(tmp_path)

    assert took_s < 3
    assert not process.is_running()
    assert not server.is_running


def test_it_ends_with_its_owner_however_that_ends(tmp_path: Path) -> None:
    owner = (
        "import os, psutil; from pathlib import Path; from support.qdrant_server import QdrantServer\n"
        f"QdrantServer(Path({str(tmp_path)!r})).start()\n"
        "print(psutil.Process().children()[0].pid, flush=True); os.kill(os.getpid(), 9)"
    )
    variables = {**os.environ, "PYTHONPATH": str(TESTS)}

    told = subprocess.run([sys.executable, "-c", owner], env=variables, capture_output=True, check=False)

    left = [one for one in psutil.process_iter() if one.pid == int(told.stdout)]
    assert psutil.wait_procs(left, PATIENCE_S)[1] == []


def test_one_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_bytes(b"{")

    with pytest.raises(RuntimeError, match=r"(?s)did not start.*truncated"), qdrant_server(tmp_path):
        pass
