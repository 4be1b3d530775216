"""What stands between the network and the door."""

import asyncio
import sys

import pytest

from embedstack.dialects.wire import BodyTooLong
from embedstack.errors import BadRequest, NotReady
from embedstack.server.guard import HungUp, read_body, unless_hung_up, with_terms
from embedstack.testing.fake import HashEncoder
from embedstack.types import Encode, Encoded

pytestmark = pytest.mark.anyio
GOOD = {"input": "a cat", "model": "hash"}


class Recorder(HashEncoder):
    """Keeps the last request."""

    async def encode(self, request: Encode) -> Encoded:
        self.request = request
        return await super().encode(request)


async def test_headers_set_deadline_priority_and_caller(serve):
    encoder = Recorder()
    headers = {"x-embedstack-timeout-s": "5", "x-embedstack-priority": "bulk", "x-embedstack-caller": "team"}
    async with serve(lambda: encoder) as client:
        await client.post("/v1/embeddings", json={**GOOD, "user": "u"}, headers=headers)

    assert encoder.request.deadline is not None
    assert (encoder.request.priority, encoder.request.caller) == ("bulk", "team")


async def test_user_is_the_caller_where_no_header_names_one(serve):
    encoder = Recorder()
    async with serve(lambda: encoder) as client:
        await client.post("/v1/embeddings", json={**GOOD, "user": "u"})

    assert encoder.request.caller == "u"


@pytest.mark.parametrize("sent", ["abc", "~!", "x" * 128])
async def test_a_sound_request_id_comes_back(serve, sent):
    async with serve() as client:
        reply = await client.get("/livez", headers={"x-request-id": sent})

    assert reply.headers["x-request-id"] == sent


@pytest.mark.parametrize("sent", ["", "two words", "x" * 129, "tab\tbed"])
async def test_an_unsound_request_id_is_replaced(serve, sent):
    async with serve() as client:
        reply = await client.get("/livez", headers={"x-request-id": sent})

    assert reply.headers["x-request-id"] != sent
    assert len(reply.headers["x-request-id"]) == 32


@pytest.mark.parametrize("path", ["/health", "/metrics", "/docs", "/nowhere", "/", "/embed"])
async def test_every_reply_has_a_request_id(serve, path):
    async with serve() as client:
        reply = await client.get(path)

    assert reply.headers["x-request-id"]


def receiving(*messages):
    left = iter(messages)

    async def receive():
        return next(left)

    return receive


async def test_a_body_in_pieces_is_put_together():
    pieces = receiving(
        {"type": "http.request", "body": b"ab", "more_body": True}, {"type": "http.request", "body": b"c"}
    )

    assert await read_body(pieces, {}, 3) == b"abc"


async def test_a_body_is_refused_by_its_declared_length_unread():
    with pytest.raises(BodyTooLong):
        await read_body(receiving(), {b"content-length": b"4"}, 3)


async def test_a_body_that_grows_over_the_limit_is_not_read_on():
    with pytest.raises(BodyTooLong):
        await read_body(receiving({"type": "http.request", "body": b"abcd", "more_body": True}), {}, 3)


async def test_a_caller_who_leaves_in_the_middle_of_the_body_is_gone():
    with pytest.raises(HungUp):
        await read_body(receiving({"type": "http.disconnect"}), {}, 3)


async def test_the_timeout_becomes_a_deadline_on_the_clock():
    request = with_terms(Encode(model="m", items=()), {b"x-embedstack-timeout-s": b"1.5"}, "", now=100.0)

    assert request.deadline == 101.5


async def test_the_peer_is_the_caller_where_nobody_is_named():
    assert with_terms(Encode(model="m", items=()), {}, "10.0.0.7", now=0.0).caller == "10.0.0.7"


@pytest.mark.parametrize("sent", [b"soon", b"0", b"-1", b"nan", b"inf", b"1e9", b"1_0", b"+1", b"1e-400"])
async def test_a_timeout_that_is_none_is_refused(sent):
    with pytest.raises(BadRequest, match="seconds above 0"):
        with_terms(Encode(model="m", items=()), {b"x-embedstack-timeout-s": sent}, "", now=0.0)


async def test_a_wrong_header_is_refused_also_where_no_model_is_needed(serve):
    async with serve() as client:
        body = {"embedding1": [1], "embedding2": [1]}
        reply = await client.post("/api/embeddings/similarity", json=body, headers={"x-embedstack-priority": "urgent"})

    assert reply.status_code == 400


async def test_a_priority_unheard_of_is_refused():
    with pytest.raises(BadRequest, match="interactive or bulk"):
        with_terms(Encode(model="m", items=()), {b"x-embedstack-priority": b"urgent"}, "", now=0.0)


# ------------------------------------------------------------------------------------------------ callers who leave


async def left():
    return {"type": "http.disconnect"}


async def never():
    await asyncio.Event().wait()


async def test_short_work_is_done_without_a_look_at_the_caller():
    looks = []

    async def receive():
        looks.append(1)
        return {"type": "http.disconnect"}

    async def work():
        await asyncio.sleep(0)
        return 7

    assert await unless_hung_up(work(), receive) == 7
    assert looks == []


async def test_long_work_ends_when_the_caller_is_gone():
    ended = []

    async def work():
        try:
            await never()
        finally:
            ended.append(1)

    with pytest.raises(HungUp):
        await unless_hung_up(work(), left, watch_s=0)

    assert ended == [1]


async def test_a_caller_who_stays_gets_the_answer_of_long_work():
    is_watched = asyncio.Event()

    async def receive():
        is_watched.set()
        await never()

    async def work():
        await is_watched.wait()
        return 7

    assert await unless_hung_up(work(), receive, watch_s=0) == 7


async def test_an_answer_that_comes_after_the_caller_left_is_for_nobody():
    async def work():
        try:
            await never()
        except asyncio.CancelledError:
            return 7

    with pytest.raises(HungUp):
        await unless_hung_up(work(), left, watch_s=0)


async def test_the_task_goes_on_after_a_caller_left():
    with pytest.raises(HungUp):
        await unless_hung_up(never(), left, watch_s=0)

    await asyncio.wait_for(asyncio.sleep(0), 1)
    assert sys.version_info < (3, 11) or not asyncio.current_task().cancelling()


async def test_work_that_cancels_itself_is_a_server_that_stops():
    async def work():
        raise asyncio.CancelledError

    with pytest.raises(NotReady):
        await unless_hung_up(work(), left)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task does not know who cancelled it")
async def test_a_server_that_cancels_the_request_is_obeyed():
    task = asyncio.create_task(unless_hung_up(never(), never))
    await asyncio.sleep(0)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
