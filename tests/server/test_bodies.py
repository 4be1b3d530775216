"""Bodies that are too large, too slow, packed, or not as long as they say."""

import asyncio
import gzip

import pytest

from embedstack.dialects.wire import BodyTooLong, BodyTooSlow, PackedBody
from embedstack.server.guard import read_body

pytestmark = pytest.mark.anyio


def piece(body: bytes, *, more: bool = True):
    return {"type": "http.request", "body": body, "more_body": more}


def sending(*pieces, then_stall: bool = False):
    """What a server would receive; it fails the test when more is asked for."""
    left = iter(pieces)

    async def receive():
        if (message := next(left, None)) is not None:
            return message
        assert then_stall, "read on"
        await asyncio.Event().wait()
        raise AssertionError

    return receive


# ------------------------------------------------------------------------------------------------ length


async def test_a_body_in_pieces_may_be_as_long_as_the_limit():
    pieces = [piece(b"x" * 10) for _ in range(9)]

    assert len(await read_body(sending(*pieces, piece(b"x" * 10, more=False)), {}, 100)) == 100


async def test_a_body_in_pieces_is_not_read_past_the_limit():
    pieces = [piece(b"x" * 10) for _ in range(11)]

    with pytest.raises(BodyTooLong):
        await read_body(sending(*pieces), {}, 100)


async def test_a_length_that_is_too_small_does_not_let_more_through():
    with pytest.raises(BodyTooLong):
        await read_body(sending(piece(b"x" * 101)), {b"content-length": b"1"}, 100)


@pytest.mark.parametrize("declared", [b"101", b"9" * 30, b"1" * 5000])
async def test_a_length_over_the_limit_is_refused_unread(declared):
    with pytest.raises(BodyTooLong):
        await read_body(sending(), {b"content-length": declared}, 100)


@pytest.mark.parametrize("declared", [b"-1", b"ten", b"", b"1e9", "²".encode()])
async def test_a_length_that_is_no_number_is_counted_while_reading(declared):
    with pytest.raises(BodyTooLong):
        await read_body(sending(piece(b"x" * 101)), {b"content-length": declared}, 100)


async def test_empty_pieces_take_no_memory_and_end():
    assert await read_body(sending(*[piece(b"")] * 1000, piece(b"a", more=False)), {}, 100) == b"a"


# ------------------------------------------------------------------------------------------------ time


@pytest.mark.parametrize("before", [(), (piece(b"half"),)])
async def test_a_body_that_stops_coming_is_given_up(before):
    with pytest.raises(BodyTooSlow, match="stopped coming"):
        await read_body(sending(*before, then_stall=True), {}, 100, stall_s=0.001)


async def test_a_body_that_drips_is_given_up_as_a_whole():
    async def drip():
        await asyncio.sleep(0)
        return piece(b"")

    with pytest.raises(BodyTooSlow):
        await read_body(drip, {}, 100, stall_s=60, whole_s=0.001)


async def test_the_task_goes_on_after_a_body_was_given_up():
    with pytest.raises(BodyTooSlow):
        await read_body(sending(then_stall=True), {}, 100, stall_s=0.001)

    await asyncio.sleep(0)


async def test_a_server_that_stops_is_no_slow_body():
    reading = asyncio.ensure_future(read_body(sending(then_stall=True), {}, 100))
    await asyncio.sleep(0)
    reading.cancel()

    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_no_timer_is_left_behind():
    await read_body(sending(piece(b"a", more=False)), {}, 100, stall_s=0.001)

    await asyncio.sleep(0.005)  # a timer that was left would cancel this


# ------------------------------------------------------------------------------------------------ packed


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"zstd", b"identity, gzip", b"GZIP"])
async def test_a_packed_body_is_refused_unread(coding):
    with pytest.raises(PackedBody, match="send it as it is"):
        await read_body(sending(), {b"content-encoding": coding}, 100)


@pytest.mark.parametrize("coding", [b"identity", b"", b" Identity "])
async def test_a_body_that_says_it_is_not_packed_is_read(coding):
    assert await read_body(sending(piece(b"a", more=False)), {b"content-encoding": coding}, 100) == b"a"


# ------------------------------------------------------------------------------------------------ as callers see it


async def test_a_packed_body_gets_a_415_with_the_reason(serve):
    async with serve() as client:
        headers = {"content-encoding": "gzip"}
        reply = await client.post("/v1/embeddings", content=gzip.compress(b"{}"), headers=headers)

    assert reply.status_code == 415
    assert "compressed" in reply.json()["error"]["message"]


async def test_the_connection_of_half_a_body_is_closed_since_nothing_else_can_be_read_from_it(serve):
    async def half():
        yield b"half"
        raise BodyTooSlow("the body stopped coming")

    async with serve() as client:
        reply = await client.post("/v1/embeddings", content=half())

    assert (reply.status_code, reply.headers["connection"]) == (408, "close")
