import json
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest

from embedstack.databases.database import Collection, Condition, Field, Index, Points, UnknownCollection, Where
from embedstack.databases.qdrant.connection import prepared_by
from embedstack.databases.qdrant.failures import from_folder
from embedstack.databases.qdrant.server import QdrantDatabase
from embedstack.errors import BadRequest, ConfigError, EmbedstackError, Mismatch, TooLong, Upstream
from embedstack.origin import Identity, Origin
from support.qdrant_server import QdrantServer, qdrant_server

KEY = "geheim-4711"
DOCS = Collection(name="docs", fields={"": Field(dim=4, distance="dot")})
AXES = np.eye(4, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server does with a request; `body` as JSON unless it is bytes."""

    status: int = 200
    body: object = b""
    headers: tuple[tuple[str, str], ...] = ()
    does: str = "answer"  # or drop: closes the connection; or hang: until the test is over


Rule = Callable[[str, str, bytes], Answer]


@contextmanager
def _serving(rule: Rule) -> Iterator[str]:
    """The URL of a server that answers `rule(method, path, body)`."""
    is_over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = rule(self.command, self.path, body)
            if answer.does == "hang":
                is_over.wait(20)
            self.close_connection = True
            if answer.does != "answer":
                return
            told = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in (*answer.headers, ("Content-Length", str(len(told)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - as http.server calls them

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        is_over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _said(words: str) -> dict[str, object]:
    """As Qdrant refuses."""
    return {"status": {"error": words}, "time": 0.0}


def _refused(url: str, key: str = KEY, timeout_s: float = 5.0) -> EmbedstackError:
    """What a question ends with."""
    with closing(QdrantDatabase(url, key, timeout_s)) as database, pytest.raises(EmbedstackError) as caught:
        database.names()
    assert KEY not in str(caught.value)
    return caught.value


def _answered(answer: Answer) -> EmbedstackError:
    with _serving(lambda method, path, body: answer) as url:
        return _refused(url)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("status", [500, 502, 503, 504, 507, 429, 408])
def test_a_server_that_fails_or_is_busy_is_asked_again(status: int) -> None:
    error = _answered(Answer(status, _said("Service internal error: no room")))

    assert isinstance(error, Upstream)
    assert error.retry
    assert f"({status}: Service internal error: no room)" in str(error)


@pytest.mark.parametrize("after", ["3", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_server_that_says_when_is_asked_again(after: str) -> None:
    error = _answered(Answer(429, _said("Rate limiting exceeded"), (("Retry-After", after),)))

    assert isinstance(error, Upstream)
    assert error.retry


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_is_a_matter_of_settings_and_is_not_shown(status: int) -> None:
    error = _answered(Answer(status, f"Invalid API key or JWT: {KEY}".encode()))

    assert isinstance(error, ConfigError)
    assert "does not take the key" in str(error)
    assert "Invalid API key or JWT: …" in str(error)


def test_a_key_that_is_missing_is_asked_for() -> None:
    with _serving(lambda method, path, body: Answer(401, b"Must provide an API key")) as url:
        error = _refused(url, key="")

    assert isinstance(error, ConfigError)
    assert "asks for a key (401: Must provide an API key); look at QDRANT_API_KEY" in str(error)


def test_what_is_wrong_is_said_in_qdrants_words() -> None:
    error = _answered(Answer(400, _said(f"Wrong input: {KEY} is\n no name")))

    assert isinstance(error, BadRequest)
    assert "(400: Wrong input: … is no name)" in str(error)


def test_what_is_said_is_cut() -> None:
    error = _answered(Answer(422, _said("word " * 1000)))

    assert isinstance(error, BadRequest)
    assert len(str(error)) < 400


def test_a_collection_that_is_not_there_is_named() -> None:
    def rule(method: str, path: str, body: bytes) -> Answer:
        if path == "/collections":
            return Answer(body={"result": {"collections": [{"name": "other"}]}, "status": "ok", "time": 0})
        return Answer(404, _said("Not found: Collection `docs` doesn't exist!"))

    said = "collection 'docs' is not there; it has: other"
    with _serving(rule) as url, closing(QdrantDatabase(url)) as database, pytest.raises(UnknownCollection, match=said):
        database.read("docs")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, b"<html>nginx</html>"),
        Answer(404, b""),
        Answer(301, b"", (("Location", "https://elsewhere.example"),)),
    ],
)
def test_another_server_is_a_matter_of_settings(answer: Answer) -> None:
    error = _answered(answer)

    assert isinstance(error, ConfigError)
    assert "Qdrant" in str(error)


@pytest.mark.parametrize(
    "body", [b"<html>hello</html>", b"{", b"", {"result": None, "status": "ok"}, {"result": {"collections": 1}}]
)
def test_an_answer_that_cannot_be_read_is_not_asked_for_again(body: object) -> None:
    error = _answered(Answer(200, body))

    assert isinstance(error, Upstream)
    assert not error.retry
    assert "cannot be read" in str(error)


# ------------------------------------------------------------------------------------------------ what is away


def test_a_connection_that_breaks_is_tried_again() -> None:
    error = _answered(Answer(does="drop"))

    assert isinstance(error, Upstream)
    assert error.retry


def test_a_server_that_hangs_is_left_in_time() -> None:
    with _serving(lambda method, path, body: Answer(does="hang")) as url:
        error = _refused(url, timeout_s=0.1)

    assert isinstance(error, Upstream)
    assert error.retry
    assert "in time (ReadTimeout)" in str(error)


def test_a_port_where_nobody_listens_is_tried_again() -> None:
    error = _refused(f"http://127.0.0.1:{_free_port()}")

    assert isinstance(error, Upstream)
    assert error.retry


@pytest.mark.parametrize(
    ("number", "kind", "retry"),
    [(socket.EAI_NONAME, ConfigError, False), (socket.EAI_AGAIN, Upstream, True)],
)
def test_a_host_that_is_not_known_is_a_matter_of_settings(
    number: int, kind: type[EmbedstackError], retry: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*given: object, **named: object) -> list[object]:
        raise socket.gaierror(number, "not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = _refused("http://qdrant.invalid")

    assert (type(error), error.retry) == (kind, retry)


def test_tls_where_there_is_none_is_a_matter_of_settings() -> None:
    with _serving(lambda method, path, body: Answer()) as url:
        error = _refused(url.replace("http", "https"))

    assert isinstance(error, ConfigError)
    assert "http or https" in str(error)


@pytest.mark.parametrize("host", ["a b", "x..y"])
def test_a_host_that_cannot_be_one_is_a_matter_of_settings(host: str) -> None:
    assert isinstance(_refused(f"http://{host}"), ConfigError)


# ------------------------------------------------------------------------------------------------ how it is asked


def test_the_key_goes_with_each_request_and_warns_of_nothing() -> None:
    request = httpx.Request("GET", "http://host")
    prepared_by(KEY, 60)(request)

    assert request.headers["api-key"] == KEY


def test_to_be_connected_takes_10_s_at_most() -> None:
    long, short = httpx.Request("GET", "http://host"), httpx.Request("GET", "http://host")
    prepared_by("", 60)(long)
    prepared_by("", 2)(short)

    assert long.extensions["timeout"] == {"connect": 10, "read": 60, "write": 60, "pool": 60}
    assert short.extensions["timeout"]["connect"] == 2
    assert "api-key" not in long.headers


@pytest.mark.parametrize("key", [f"{KEY}\nx", f"{KEY}\x00", f"{KEY}ü"])
def test_a_key_that_no_header_can_have_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        QdrantDatabase("http://host", key)

    assert KEY not in str(caught.value)


def test_nothing_is_asked_when_a_database_is_made() -> None:
    asked: list[str] = []

    def rule(method: str, path: str, body: bytes) -> Answer:
        asked.append(path)
        return Answer(body={"result": {"collections": []}, "status": "ok", "time": 0})

    with _serving(rule) as url, closing(QdrantDatabase(f"{url}/proxy/")) as database:
        assert asked == []
        assert database.names() == []
        assert asked == ["/proxy/collections"]


# ------------------------------------------------------------------------------------------------ what is written


class _Small:
    """A server with one collection that takes so many bytes at once, and remembers the ids it took."""

    def __init__(self, most: int, refuses: Answer, status: str = "completed") -> None:
        self._most, self._refuses, self._status = most, refuses, status
        self.taken: list[int] = []

    def rule(self, method: str, path: str, body: bytes) -> Answer:
        if method == "GET":
            return Answer(body={"result": INFO, "status": "ok", "time": 0})
        if len(body) > self._most:
            return self._refuses
        self.taken += [point["id"] for point in json.loads(body)["points"]]
        return Answer(body={"result": {"operation_id": 1, "status": self._status}, "status": "ok", "time": 0})


INFO: Mapping[str, object] = {
    "status": "green",
    "optimizer_status": "ok",
    "segments_count": 1,
    "config": {
        "params": {"vectors": {"size": 4, "distance": "Dot"}},
        "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000},
        "optimizer_config": {
            "deleted_threshold": 0.2,
            "vacuum_min_vector_number": 1000,
            "default_segment_number": 0,
            "flush_interval_sec": 5,
        },
    },
    "payload_schema": {},
}
LIMITS = [
    Answer(413, b"<html>Request Entity Too Large</html>"),
    Answer(400, _said("JSON payload (99 bytes) is larger than allowed (limit: 9 bytes).")),
]


def _written(url: str, count: int, size: int = 100) -> None:
    payloads = [{"text": "x" * size}] * count
    points = Points(ids=range(count), vectors={"": AXES[[0] * count]}, payloads=payloads)
    with closing(QdrantDatabase(url)) as database:
        database.write("docs", points)


@pytest.mark.parametrize("refuses", LIMITS)
def test_a_batch_that_is_too_large_for_the_server_is_sent_in_halves(refuses: Answer) -> None:
    server = _Small(1_000, refuses)
    with _serving(server.rule) as url:
        _written(url, 20)

    assert server.taken == [*range(20)]


def test_a_point_that_is_too_large_for_the_server_is_refused() -> None:
    server = _Small(1_000, LIMITS[0])
    with _serving(server.rule) as url, pytest.raises(TooLong, match="413"):
        _written(url, 2, size=2_000)

    assert server.taken == []


def test_a_server_that_does_not_wait_until_it_is_written_is_asked_again() -> None:
    with _serving(_Small(10_000, LIMITS[0], "wait_timeout").rule) as url, pytest.raises(Upstream) as caught:
        _written(url, 1)

    assert caught.value.retry


def test_an_index_of_a_kind_that_we_have_no_word_for_is_not_replaced() -> None:
    text = {"text": {"data_type": "text", "points": 0}}
    answers = {
        "/aliases": {"aliases": []},
        "/collections/docs": {**INFO, "payload_schema": text},
    }

    def rule(method: str, path: str, body: bytes) -> Answer:
        assert method == "GET"
        return Answer(body={"result": answers[path], "status": "ok", "time": 0})

    said = "index 'text' of collection 'docs' is text, and keyword was wanted"
    with _serving(rule) as url, closing(QdrantDatabase(url)) as database, pytest.raises(Mismatch, match=said):
        database.create(Collection(name="docs", fields=DOCS.fields, indexes={"text": Index()}))


def test_many_vectors_of_a_point_that_are_added_get_no_graph_and_an_origin() -> None:
    asked: dict[str, object] = {}
    answers = {
        "/": {"title": "qdrant", "version": "1.18.0"},
        "/aliases": {"result": {"aliases": []}},
        "/collections/docs": {"result": INFO},
    }

    def rule(method: str, path: str, body: bytes) -> Answer:
        if method == "GET":
            return Answer(body=answers[path])
        asked[f"{method} {path}"] = json.loads(body)
        return Answer(body={"result": {"operation_id": 1, "status": "completed"} if method == "PUT" else True})

    with _serving(rule) as url, closing(QdrantDatabase(url)) as database:
        database.create(Collection(name="docs", fields={"late": Field(kind="multi", dim=3, origin=_origin())}))

    late = {"size": 3, "distance": "Cosine", "multivector_config": {"comparator": "max_sim"}}
    changes = {"late": {"hnsw_config": {"m": 0}}}
    origins = {"embedstack.origin.late": json.loads(msgspec.json.encode(_origin()))}
    assert asked == {
        "PUT /collections/docs/vectors/late?wait=true": {"dense": late},
        "PATCH /collections/docs": {"vectors": changes, "metadata": origins},
    }


def test_an_alias_is_switched_without_being_deleted() -> None:
    asked: list[object] = []
    names = [{"name": "old"}, {"name": "new"}]
    answers = {
        "/collections": {"collections": names},
        "/aliases": {"aliases": [{"alias_name": "docs", "collection_name": "old"}]},
    }

    def rule(method: str, path: str, body: bytes) -> Answer:
        if method == "GET":
            return Answer(body={"result": answers[path], "status": "ok", "time": 0})
        asked.append(json.loads(body))
        return Answer(body={"result": True, "status": "ok", "time": 0})

    with _serving(rule) as url, closing(QdrantDatabase(url)) as database:
        database.switch("docs", "new", old="old")

    assert asked == [{"actions": [{"create_alias": {"collection_name": "new", "alias_name": "docs"}}]}]


def test_half_of_a_letter_in_a_condition_is_the_callers_to_mend() -> None:
    where = Where(all=(Condition(key="a", values=("\ud800",)),))

    url, said = f"http://127.0.0.1:{_free_port()}", "cannot be sent that"
    with closing(QdrantDatabase(url)) as database, pytest.raises(BadRequest, match=said):
        database.read("docs", where=where)


# ------------------------------------------------------------------------------------------------ of a folder


@pytest.mark.parametrize(
    ("raised", "kind", "retry"),
    [
        (ValueError("Collection docs not found"), UnknownCollection, False),
        (ValueError("Wrong input: no"), BadRequest, False),
        (RuntimeError("no"), BadRequest, False),
        (KeyError(3), Upstream, True),
        (OSError(28, "No space left on device"), ConfigError, False),
        (sqlite3.OperationalError("database or disk is full"), ConfigError, False),
    ],
)
def test_what_local_mode_raises_becomes_one_of_ours(
    raised: Exception, kind: type[EmbedstackError], retry: bool
) -> None:
    with pytest.raises(EmbedstackError) as caught, from_folder("qdrant-local:/a"):
        raise raised

    assert (type(caught.value), caught.value.retry) == (kind, retry)


# ------------------------------------------------------------------------------------------------ what dies between


@pytest.fixture(scope="module")
def facade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantServer]:
    with qdrant_server(tmp_path_factory.mktemp("qdrant"), KEY) as made:
        yield made


@pytest.fixture
def database(facade: QdrantServer) -> Iterator[QdrantDatabase]:
    """Of a server whose faults are over."""
    facade.recover()
    with closing(QdrantDatabase(facade.url, KEY)) as made:
        yield made
        for name in made.names():
            made.drop(name)


def _origin() -> Origin:
    return Origin(
        identity=Identity(model="m", revision="r", space="s", fingerprint="f", dim=4, max_tokens=512), basis="proven"
    )


@pytest.mark.slow
def test_a_create_that_died_before_its_indexes_is_completed_by_the_next(
    database: QdrantDatabase, facade: QdrantServer
) -> None:
    indexes = {"owner": Index(is_tenant=True), "at": Index(kind="datetime")}
    wanted = Collection(name="docs", fields={"": Field(dim=4, origin=_origin())}, indexes=indexes)
    facade.fail("drop", method="PUT", path="/index")
    with pytest.raises(Upstream):
        database.create(wanted)
    there = database.describe("docs")
    assert there is not None
    assert (dict(there.indexes), there.fields[""].origin) == ({}, _origin())

    assert not database.create(wanted)

    assert (there := database.describe("docs")) is not None
    assert dict(there.indexes) == indexes


@pytest.mark.slow
def test_a_create_whose_answer_was_lost_is_there_with_its_origin(
    database: QdrantDatabase, facade: QdrantServer
) -> None:
    wanted = Collection(name="docs", fields={"": Field(dim=4, origin=_origin())})
    facade.fail("drop", method="PUT", path="/collections/docs", after=True)
    with pytest.raises(Upstream) as caught:
        database.create(wanted)

    assert caught.value.retry
    assert not database.create(wanted)
    assert (there := database.describe("docs")) is not None
    assert dict(there.fields) == dict(wanted.fields)


@pytest.mark.slow
def test_the_wrong_key_is_a_matter_of_settings(facade: QdrantServer) -> None:
    facade.recover()

    assert isinstance(_refused(facade.url, f"{KEY}-not"), ConfigError)


@pytest.mark.slow
def test_new_points_alone_are_left_to_the_oldest_server_and_none_are_looked_for(tmp_path: Path) -> None:
    with qdrant_server(tmp_path, version="1.16.3") as server, closing(QdrantDatabase(server.url)) as database:
        database.create(DOCS)
        database.write("docs", Points(ids=[1], vectors={"": AXES[:1]}, payloads=[{"a": 1}]))

        points = Points(ids=[1, 2, 3], vectors={"": AXES[1:]}, payloads=[{"a": 2}, {"a": 3}, {"a": 4}])
        database.write("docs", points, only_new=True)
        database.write("docs", points, only_new=True)
        database.write("docs", Points(ids=[3, 4], vectors={}, payloads=[{"a": 5}, {"a": 6}]))

        assert [point.payload["a"] for point in database.read("docs").points] == [1, 3, 5, 6]
        assert [len(point.vectors) for point in database.read("docs", vectors=[""]).points] == [1, 1, 1, 0]
        assert "POST /collections/docs/points" not in server.requests()  # who looks first replaces what comes meanwhile
        with pytest.raises(Mismatch, match=r"no vector 'more', and Qdrant adds none before 1\.18"):
            database.create(Collection(name="docs", fields={"more": Field(dim=2)}))


@pytest.mark.slow
def test_a_server_that_keeps_no_origins_and_marks_is_too_old(tmp_path: Path) -> None:
    with qdrant_server(tmp_path, version="1.15.5") as server, closing(QdrantDatabase(server.url)) as database:
        database.create(DOCS)
        signed = Collection(name="signed", fields={"": Field(dim=4, origin=_origin())})

        with pytest.raises(ConfigError, match=r"update Qdrant to 1\.16"):
            database.create(signed)
        with pytest.raises(ConfigError, match=r"update Qdrant to 1\.16"):
            database.sign("docs", "", _origin(), over=None)


@pytest.mark.slow
def test_points_are_not_replaced_by_a_server_that_is_too_old_to_leave_them_alone(tmp_path: Path) -> None:
    with qdrant_server(tmp_path, version="1.15.5") as server, closing(QdrantDatabase(server.url)) as database:
        database.create(DOCS)
        database.write("docs", Points(ids=[1], vectors={"": AXES[:1]}, payloads=[{"a": 1}]))

        with pytest.raises(ConfigError, match=r"update Qdrant to 1\.16"):
            database.write("docs", Points(ids=[1], vectors={}, payloads=[{"a": 2}]))

        assert [len(point.vectors) for point in database.read("docs", vectors=[""]).points] == [1]
