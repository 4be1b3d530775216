"""An account at the emulated RunPod and one way to ask it: REST v2 in this process, at a time that tests set.

Where RunPod's OpenAPI document is here, every request and reply of a test is checked against it, but not
what a fault rule spoils; what it does not allow is a 500.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from functools import cache

import httpx

from embedstack.emulator.billing import Ledger, Meter
from embedstack.emulator.clock import ManualClock
from embedstack.emulator.control import control_app
from embedstack.emulator.control_account import Account, new_ids
from embedstack.emulator.control_front import Quota
from embedstack.emulator.faults import Fault, Faults
from embedstack.emulator.platform import Platform
from embedstack.emulator.schema import Document
from support.described import document_path

KEY, READ_ONLY = "control-key-0123456789", "reading-key-0123456789"
DATA_URL = "http://127.0.0.1:8001"
START = 1_780_315_200.0  # 2026-06-01T12:00:00Z

ENDPOINT = {
    "name": "image-generator",
    "image": "runpod/pytorch:1.0.2-cu1281-torch280-ubuntu2404",
    "type": "QUEUE",
    "gpu": {"pools": ["ADA_24"], "count": 1},
    "workers": {"min": 0, "max": 5, "idleTimeout": 5},
    "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
    "dataCenterIds": ["US-KS-2"],
    "timeout": 300_000,
}
CPU_ENDPOINT = {
    "name": "cpu-inference",
    "image": "python:3.11-slim",
    "type": "QUEUE",
    "cpu": [{"id": "cpu5c", "vcpuCount": 4}, {"id": "cpu5g", "vcpuCount": 8}],
    "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
}
BALANCED = {**ENDPOINT, "type": "LOAD_BALANCER", "scaling": {"type": "REQUEST_COUNT", "requestCount": 4}}
POD = {
    "name": "pytorch-training",
    "image": "runpod/pytorch:1.0.2-cu1281-torch280-ubuntu2404",
    "gpu": {"id": "NVIDIA GeForce RTX 4090", "count": 1},
    "disk": 50,
}
CPU_POD = {"name": "small", "image": "python:3.11-slim", "cpu": {"id": "cpu5c", "vcpuCount": 4}}


@cache
def document() -> Document | None:
    """The same, read once; None where it is not here."""
    path = document_path()
    return None if path is None else Document.read(path)


class Control:
    """REST v2 over one account.

    Args:
        faults: what shall go wrong.
        quota: of requests; none if None.
    """

    def __init__(self, faults: Iterable[Fault] = (), quota: Quota | None = None, **account: object) -> None:
        self.clock = ManualClock(START)
        self.platform = Platform(self.clock, faults=Faults(faults))
        given = {"new_id": new_ids(seed=0), **account}
        self.account = Account(self.platform, Ledger(), DATA_URL, **given)
        Meter(self.platform, self.account.ledger, self.account.rate_of)
        self.app = control_app(
            self.account, [KEY], read_only=[READ_ONLY], quota=quota or Quota(windows=()), document=document()
        )

    def ask(
        self, method: str, path: str, body: object = None, *, raw: bytes | None = None, **headers: str
    ) -> httpx.Response:
        """One request; its body is JSON, or these bytes."""
        given: Mapping[str, str] = {"authorization": f"Bearer {KEY}", **headers}
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()

        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://control") as client:
                return await client.request(method, f"/v2{path}", content=content, headers=given)

        return asyncio.run(run())

    def good(self, method: str, path: str, body: object = None) -> dict[str, object]:
        """The body of a reply that must be one of success."""
        reply = self.ask(method, path, body)
        assert reply.status_code in (200, 201), reply.text
        return reply.json()

    def refused(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        """Status and words of a refusal."""
        reply = self.ask(method, path, body)
        assert reply.headers["content-type"] == "application/problem+json", reply.text
        told = reply.json()
        assert told["status"] == reply.status_code
        return reply.status_code, " ".join([told["detail"], *told.get("errors", [])])
