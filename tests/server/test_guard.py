"""What stands between the network and the door."""

import pytest

from embedstack.dialects.wire import BodyTooLong
from embedstack.errors import BadRequest
from embedstack.server.guard import HungUp, read_body, with_terms
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
