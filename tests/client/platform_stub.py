"""A RunPod endpoint that a test scripts: what its worker gives, how long jobs take, and what goes wrong on the way."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import parse_qs

from asking import wish

from embedstack.client import Client
from embedstack.types import Encode, Encoded, Score, Scored

KEY = "rp-secret-key"
Fault: TypeAlias = str | int | tuple[int, dict[str, str]] | tuple[int, dict[str, str], bytes]
"""lost (before anything was done), lost late (after it), cut, html, or a status."""


class JobError(Exception):
    """The worker says that the job failed; its argument is what stands in `error`."""


@dataclass
class Time:
    """A clock that only pauses move."""

    now: float = 1000.0
    pauses: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def pause(self, wait_s: float) -> None:
        """Go on at once, and later by the clock."""
        self.now += wait_s
        self.pauses.append(wait_s)
        await asyncio.sleep(0)


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    route: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: dict[str, object]


@dataclass
class Job:
    """One that was accepted."""

    id: str
    given: dict[str, object]
    looks: int  # until it ends
    status: str = "IN_QUEUE"
    result: dict[str, object] = field(default_factory=dict)


def embeds(given: dict[str, object]) -> dict[str, object]:
    """A vector that says which text it is of."""
    texts = given["texts"]
    return {"embeddings": [[float(len(text)), 1.0] for text in texts], "dimensions": 2}


@dataclass
class Platform:
    """One endpoint.

    Args:
        work: the input of a job to its output; raises `JobError`.
        looks: at each job before it ends, after its sending.
        faults: by route, in turn; with `is_stuck` the last one for ever.
        raw: a status as bytes instead of what the job gave.
    """

    work: Callable[[dict[str, object]], object] = embeds
    looks: int = 0
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    is_stuck: bool = False
    raw: bytes = b""
    gone_after: int | None = None  # looks, after which a job is not known any more; the next ones are
    silent: str = ""  # the route that is not answered until `speaks` is set
    speaks: asyncio.Event = field(default_factory=asyncio.Event)
    came: asyncio.Event = field(default_factory=asyncio.Event)  # when the first request of `silent`, else any, is there
    connections: int = 0
    seen: list[Seen] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    health: dict[str, object] = field(default_factory=dict)
    wait_for_cancel: asyncio.Event = field(default_factory=asyncio.Event)

    def routes(self) -> list[str]:
        """What was asked, in order."""
        return [seen.route for seen in self.seen]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Its address."""
        server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        tasks = set()
        self._tasks = tasks
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v2/abc"
        finally:
            self.speaks.set()
            server.close()
            for task in tuple(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the test has ended
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection is kept."""
        seen = await self._read(reader)
        self.seen.append(seen)
        if self.silent in ("", seen.route):
            self.came.set()
        fault = self._fault(seen.route)
        if fault == "lost":
            return False
        reply = None if isinstance(fault, int | tuple) else await self._reply(seen)
        if fault == "lost late":
            return False
        writer.write(_written(fault, reply))
        await writer.drain()
        return fault is None

    def _fault(self, route: str) -> Fault | None:
        faults = self.faults.get(route, [])
        if not faults:
            return None
        return faults[0] if self.is_stuck and len(faults) == 1 else faults.pop(0)

    async def _read(self, reader: asyncio.StreamReader) -> Seen:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines if line}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        method, target, _ = first.split(" ")
        path, _, query = target.partition("?")
        route = path.removeprefix("/v2/abc/").partition("/")[0]
        return Seen(method, route, path, parse_qs(query), headers, json.loads(raw or b"{}"))

    async def _reply(self, seen: Seen) -> tuple[int, bytes]:
        if seen.headers.get("authorization") != f"Bearer {KEY}":
            return 401, b'{"error":"unauthorized"}'
        last = seen.path.rpartition("/")[2]
        reply = await self._said(seen, last)
        if seen.route == self.silent:
            await self.speaks.wait()
        return reply

    async def _said(self, seen: Seen, last: str) -> tuple[int, bytes]:
        match seen.route:
            case "runsync" | "run":
                return await self._submitted(seen)
            case "status":
                return self._looked_at(last)
            case "cancel":
                self.cancelled.append(last)
                self.jobs[last].status = "CANCELLED"
                self.wait_for_cancel.set()
                return 200, json.dumps({"id": last, "status": "CANCELLED"}).encode()
            case "health":
                return 200, json.dumps(self.health).encode()
            case _:
                return 404, b'{"error":"no such route"}'

    async def _submitted(self, seen: Seen) -> tuple[int, bytes]:
        job = Job(f"sync-{len(self.jobs)}-u1", seen.body["input"], self.looks)
        self.jobs[job.id] = job
        if seen.route == "runsync" and not job.looks:
            self._run(job)
        return 200, self._status(job)

    def _looked_at(self, job_id: str) -> tuple[int, bytes]:
        job = self.jobs.get(job_id)
        if job is None:
            return 404, b'{"error":"job not found"}'
        job.looks -= 1
        if self.gone_after is not None and self.looks - job.looks > self.gone_after:
            self.gone_after = None
            return 404, b'{"error":"job not found"}'
        if job.looks > 0:
            job.status = "IN_PROGRESS"
        elif job.status in ("IN_QUEUE", "IN_PROGRESS"):
            self._run(job)
        return 200, self._status(job)

    def _run(self, job: Job) -> None:
        try:
            job.result = {"output": self.work(job.given)}
            job.status = "COMPLETED"
        except JobError as error:
            job.result = {"error": error.args[0], **(error.args[1] if len(error.args) > 1 else {})}
            job.status = "FAILED"

    def _status(self, job: Job) -> bytes:
        if self.raw and job.status == "COMPLETED":
            return self.raw
        return json.dumps({"id": job.id, "status": job.status, "delayTime": 3, **job.result}).encode()


def _written(fault: Fault | None, reply: tuple[int, bytes] | None) -> bytes:
    headers: dict[str, str] = {}
    match fault:
        case int():
            status, body = fault, b'{"error":"trouble"}'
        case (int(), dict(), bytes()):
            status, headers, body = fault
        case (int(), dict()):
            (status, headers), body = fault, b'{"error":"trouble"}'
        case "html":
            status, body = 200, b"<html>a page</html>"
        case _:
            assert reply is not None
            status, body = reply
    length = len(body)
    if fault == "cut":
        body = body[: length // 2]
    lines = [f"HTTP/1.1 {status} Status", f"content-length: {length}"]
    lines += ["connection: close"] if fault is not None else []
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


# ------------------------------------------------------------------------------------------------ asking it


async def skip(seconds: float) -> None:
    """Have the loop's timers ring as if so much time had passed."""
    loop = asyncio.get_running_loop()
    now = loop.time
    loop.time = lambda: now() + seconds
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def client_of(
    platform: Platform, time: Time | None = None, step: str = "/runsync", **options
) -> AsyncIterator[Client]:
    """A client of it, whose pauses take no time."""
    time = time or Time()
    options = {"key": KEY, "pause": time.pause, "clock": time, **options}
    async with platform.running() as url, Client(f"{url}{step}", **options) as client:
        yield client


def ask_platform(
    platform: Platform, request: Encode | Score | None = None, time: Time | None = None, **options
) -> Encoded | Scored:
    """One request of it."""
    request = request or wish("rain", "a cat")

    async def run() -> Encoded | Scored:
        async with client_of(platform, time, **options) as client:
            return await (client.encode(request) if isinstance(request, Encode) else client.score(request))

    return asyncio.run(run())


def texts_of(platform: Platform) -> list[Sequence[str]]:
    """Of each job that was accepted."""
    return [job.given["texts"] for job in platform.jobs.values()]
