"""What the address gets that a client gave with its job."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from embedstack.emulator import webhooks
from embedstack.emulator.limits import Limits
from support.emulating import rig, turn

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Hook:
    """A server of one path that answers as it is told and keeps what came."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.bodies: list[dict[str, object]] = []
        self.came = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-le")]
        self.bodies.append(orjson.loads(await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % self.statuses.pop(0))
        await writer.drain()
        writer.close()
        self.came.set()


@asynccontextmanager
async def hooked(*statuses: int) -> AsyncIterator[tuple[Hook, str]]:
    hook = Hook(*statuses)
    server = await asyncio.start_server(hook.answer, "127.0.0.1", 0)
    async with server:
        yield hook, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"


async def test_a_job_that_ended_is_told_with_its_input() -> None:
    async with hooked(200) as (hook, url), rig() as here:
        job_id = await here.submit(webhook=url)
        await here.take()
        await here.finish(job_id)
        await asyncio.wait_for(hook.came.wait(), 20)
        for _ in range(50):
            here.clock.advance(1)
            await asyncio.sleep(0.001)

    (body,) = hook.bodies
    assert (body["id"], body["status"], body["output"]) == (job_id, "COMPLETED", "vectors")
    assert (body["input"], body["webhook"]) == ({"texts": ["a"]}, url)


async def test_an_address_that_does_not_want_it_is_asked_three_times_ten_seconds_apart() -> None:
    async with hooked(500, 500, 500) as (hook, url), rig() as here:
        job_id = await here.submit(webhook=url)
        await here.client.post(f"/cancel/{job_id}")
        times = []
        for number in range(1, 4):
            while len(hook.bodies) < number:
                here.clock.advance(1)
                await asyncio.sleep(0.001)
            times.append(here.clock.now())
        for _ in range(50):
            here.clock.advance(1)
            await asyncio.sleep(0.001)

    assert [times[1] - times[0] >= webhooks.PAUSE_S, times[2] - times[1] >= webhooks.PAUSE_S] == [True, True]
    assert len(hook.bodies) == 3


async def test_a_job_without_an_address_is_told_to_nobody() -> None:
    async with rig() as here:
        sender = webhooks.Webhooks(here.platform)
        async with sender:
            job_id = await here.submit()
            await here.client.post(f"/cancel/{job_id}")

            assert not sender._sending


async def test_many_deadlines_at_once_do_no_harm() -> None:
    async with rig(limits=Limits(rates={})) as here:
        for _ in range(300):
            await here.submit()
        await here.client.get("/job-take-batch/w?batch_size=300")
        here.clock.advance(26)
        health = (await here.client.get("/health")).json()["jobs"]

    assert (health["inQueue"], health["inProgress"], health["retried"]) == (300, 0, 300)


async def test_an_address_that_is_none_does_no_harm() -> None:
    async with rig() as here:
        job_id = await here.submit(webhook="no address")
        await here.client.post(f"/cancel/{job_id}")
        await turn()

        assert (await here.status(job_id))["status"] == "CANCELLED"
