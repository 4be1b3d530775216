"""What holds for all of REST v2: keys, quotas, refusals, faults, and the end of v1."""

import asyncio
import json
import socket

import pytest

from embedstack.emulator.control import control_app
from embedstack.emulator.control_front import WINDOWS, Quota
from embedstack.emulator.faults import Fault
from embedstack.emulator.schema import Document
from embedstack.emulator.serve import listen
from support.controlling import ENDPOINT, KEY, POD, READ_ONLY, Control

KINDS = ("", "/pods", "/serverless", "/endpoints", "/network-volumes", "/clusters")


# ------------------------------------------------------------------------------------------------ keys


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", "control-key-0123456789", "Basic abc"])
def test_nobody_gets_in_without_a_key_behind_bearer(given: str) -> None:
    reply = Control().ask("GET", "/pods", authorization=given)

    assert reply.status_code == 401
    assert reply.json() == {"title": "Unauthorized", "status": 401, "detail": "missing bearer token"}


def test_a_key_that_may_read_may_not_change() -> None:
    control = Control()
    key = {"authorization": f"Bearer {READ_ONLY}"}

    assert control.ask("GET", "/pods", **key).status_code == 200
    assert control.ask("POST", "/pods", POD, **key).json()["detail"] == "access denied"


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("path", ["/nothing", "/pods/none", "/serverless/none/workers", "/pods/"])
def test_what_is_not_there_is_a_404_as_a_problem(path: str) -> None:
    assert Control().refused("GET", path) == (404, "resource not found")


def test_a_method_that_a_path_does_not_have_is_named_with_those_that_it_has() -> None:
    reply = Control().ask("PUT", "/pods")

    assert reply.status_code == 405
    assert {"GET", "POST"} <= set(reply.headers["allow"].replace(" ", "").split(","))


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[1,2"])
def test_a_body_that_is_no_json_is_a_400(raw: bytes) -> None:
    assert Control().ask("POST", "/pods", raw=raw).status_code == 400


@pytest.mark.parametrize("raw", [b"[]", b"null", b'"a"', b'{"name": null}'])
def test_a_body_that_is_json_of_another_kind_is_a_422_that_says_why(raw: bytes) -> None:
    reply = Control().ask("POST", "/pods", raw=raw)

    assert reply.status_code == 422
    assert reply.json()["detail"] == "Request validation failed."
    assert reply.json()["errors"][0].startswith("$")


def test_every_reply_can_be_told_from_the_others() -> None:
    control = Control()
    ids = {control.ask("GET", path).headers["x-request-id"] for path in ("/pods", "/pods", "/none")}

    assert len(ids) == 3


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_v1_has_ended(method: str) -> None:
    control = Control()

    assert control.ask(method, "/../v1/pods", authorization="").status_code == 410


# ------------------------------------------------------------------------------------------------ quotas


def test_who_asks_too_often_is_told_how_long_to_wait() -> None:
    control = Control(quota=Quota())
    control.clock.advance(48)
    for _ in range(60):
        assert control.ask("GET", "/pods").status_code == 200
    reply = control.ask("GET", "/pods")

    assert (reply.status_code, reply.headers["retry-after"]) == (429, "12")
    assert reply.json()["detail"] == "rate limit exceeded for the minute window"
    assert reply.headers["ratelimit"].startswith('"minute";r=0;t=12, "hour";r=2940;')
    control.clock.advance(12)
    assert control.ask("GET", "/pods").status_code == 200


def test_quotas_are_told_with_every_reply() -> None:
    reply = Control(quota=Quota(WINDOWS[:1])).ask("GET", "/pods")

    assert reply.headers["ratelimit"] == '"minute";r=59;t=60'
    assert reply.headers["ratelimit-policy"] == '"minute";q=60;w=60'


# ------------------------------------------------------------------------------------------------ faults


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "no longer any instances available"),
        (402, "insufficient balance"),
        (409, "not valid"),
        (429, "rate limit"),
        (503, "internal server error"),
    ],
)
def test_a_fault_looks_as_the_original_would(status: int, words: str) -> None:
    control = Control([Fault(route="create", action="status", status=status, times=1)])
    found, said = control.refused("POST", "/pods", POD)

    assert (found, words in said) == (status, True)
    assert not control.account.pods
    assert control.ask("POST", "/pods", POD).status_code == 201


def test_a_reply_can_be_lost_after_all_was_done() -> None:
    control = Control([Fault(route="create", action="status", status=500, after_commit=True, times=1)])

    assert control.refused("POST", "/pods", POD)[0] == 500
    assert len(control.account.pods) == 1


def test_a_connection_can_break() -> None:
    control = Control([Fault(route="delete", action="reset")])

    with pytest.raises(ConnectionResetError):
        control.ask("DELETE", "/pods/none")


def test_a_proxy_can_answer_in_between() -> None:
    control = Control([Fault(route="read", action="html", times=1)])

    assert control.ask("GET", "/pods").headers["content-type"].startswith("text/html")


# ------------------------------------------------------------------------------------------------ the port


def test_a_reply_of_two_parts_does_not_wait_for_the_client_to_acknowledge_the_first() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()[:2]):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


# ------------------------------------------------------------------------------------------------ billing


@pytest.mark.parametrize("kind", KINDS)
def test_every_billing_page_is_there(kind: str) -> None:
    control = Control()
    control.good("POST", "/pods", POD)
    control.good("POST", "/serverless", ENDPOINT)
    control.clock.advance(60)
    told = control.good("GET", f"/billing{kind}?lastN=2&bucketSize=hour")

    assert told["metadata"]["recordCount"] == len(told["records"])


def test_a_time_that_cannot_be_read_is_refused() -> None:
    assert Control().refused("GET", "/billing?startTime=today")[0] == 400


def test_a_thing_whose_maker_hangs_up_during_a_delay_is_made_and_nothing_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    control, sent = Control([Fault(route="create", action="delay", seconds=5)]), [json.dumps(POD).encode()]

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": sent.pop()} if sent else {"type": "http.disconnect"}

    async def send(message: object) -> None:
        """Nobody is there."""

    async def run() -> None:
        headers = [(b"authorization", f"Bearer {KEY}".encode())]
        scope = {"type": "http", "method": "POST", "path": "/v2/pods", "query_string": b"", "headers": headers}
        asked = asyncio.create_task(control.app(scope, receive, send))
        for _ in range(10):
            await asyncio.sleep(0)
        sent.clear()
        control.clock.advance(5)
        await asked

    asyncio.run(run())
    assert (len(control.account.pods), caplog.records) == (1, [])


def test_a_body_that_breaks_off_does_nothing() -> None:
    control = Control()
    messages = [{"type": "http.disconnect"}, {"type": "http.request", "body": b"{", "more_body": True}]
    answers: list[object] = []

    async def receive() -> dict[str, object]:
        return messages.pop()

    async def send(message: object) -> None:
        answers.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v2/pods", "query_string": b"", "headers": []}
    asyncio.run(control.app(scope, receive, send))

    assert answers == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": f"Bearer {READ_ONLY}"}, 403),
        ({}, 429),
    ],
)
def test_refusals_are_checked_against_the_document_too(given: dict[str, str], told: int) -> None:
    pytest.importorskip("jsonschema")
    small = {"openapi": "3.1.0", "paths": {"/v2/pods": {"post": {"responses": {"201": {"description": "made"}}}}}}
    control = Control([Fault(route="create", action="status", status=429)] if not given else [])
    control.app = control_app(control.account, [KEY], read_only=[READ_ONLY], document=Document(small))
    reply = control.ask("POST", "/pods", POD, **given)

    assert (reply.status_code, reply.json()["detail"]) == (500, f"status {told} is not documented")


def test_what_a_fault_rule_spoils_is_not_checked() -> None:
    pytest.importorskip("jsonschema")
    small = {"openapi": "3.1.0", "paths": {"/v2/pods": {"get": {"responses": {}}}}}
    control = Control([Fault(route="read", action="html", after_commit=True)])
    control.app = control_app(control.account, [KEY], document=Document(small))

    assert control.ask("GET", "/pods").headers["content-type"].startswith("text/html")
