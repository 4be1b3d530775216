"""The emulator's data plane in this process under a clock that a test moves, and what its workers and clients send."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from embedstack.emulator.app import data_app
from embedstack.emulator.clock import ManualClock
from embedstack.emulator.endpoint import Endpoint, EndpointKind
from embedstack.emulator.faults import Fault, Faults
from embedstack.emulator.limits import Limits
from embedstack.emulator.platform import Platform
from embedstack.emulator.unknowns import Unknowns

KEY = "a key of the tests"
TURNS = 200  # of the event loop, after which whatever can happen without time passing has happened


@dataclass
class Rig:
    """An endpoint `ep`, reached by `client` as `/run`, `/job-take/w` and so on."""

    clock: ManualClock
    platform: Platform
    endpoint: Endpoint
    client: httpx.AsyncClient

    async def submit(self, **beside: object) -> str:
        """The id of a new job."""
        reply = await self.client.post("/run", json={"input": {"texts": ["a"]}, **beside})
        assert reply.status_code == 200, reply.text
        return str(reply.json()["id"])

    async def take(self, worker: str = "w") -> str:
        """The id of the next job, which this worker has now."""
        reply = await self.client.get(f"/job-take/{worker}")
        assert reply.status_code == 200
        return str(reply.json()["id"])

    async def finish(self, job_id: str, body: bytes = b'{"output": "vectors"}', worker: str = "w") -> httpx.Response:
        """What the emulator says to a result."""
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return await self.client.post(f"/job-done/{worker}/{job_id}?isStream=false", content=body, headers=headers)

    async def status(self, job_id: str) -> dict[str, object]:
        """The status object."""
        reply = await self.client.get(f"/status/{job_id}")
        assert reply.status_code == 200
        found = reply.json()
        assert isinstance(found, dict)
        return found

    async def begin(self, method: str, path: str, **given: object) -> "asyncio.Task[httpx.Response]":
        """A request that has come as far as it can without time passing."""
        task = asyncio.create_task(self.client.request(method, path, **given))  # type: ignore[arg-type]
        await turn()
        return task


async def turn() -> None:
    """Let everything happen that needs no time."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


@asynccontextmanager
async def rig(
    *faults: Fault,
    unknowns: Unknowns | None = None,
    limits: Limits | None = None,
    kind: EndpointKind = "QUEUE",
) -> AsyncIterator[Rig]:
    """Within it the endpoint is there."""
    clock = ManualClock()
    platform = Platform(clock, faults=Faults(faults), unknowns=unknowns, limits=limits)
    endpoint = platform.add_endpoint("ep", kind=kind)
    app = data_app(platform, [KEY])
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=transport, base_url="http://runpod/v2/ep", headers={"authorization": f"Bearer {KEY}"}
        ) as client,
    ):
        yield Rig(clock, platform, endpoint, client)
