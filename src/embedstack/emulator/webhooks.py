"""Jobs that ended become POSTs to the addresses that their clients gave."""

import asyncio
import logging

import httpx
import orjson

from embedstack.emulator.job import Job
from embedstack.emulator.platform import Change, Platform
from embedstack.emulator.shown import status_of

ATTEMPTS = 3  # https://docs.runpod.io/serverless/endpoints/send-requests
PAUSE_S = 10.0  # the same page
TIMEOUT_S = 10.0
log = logging.getLogger("embedstack.emulator")


class Webhooks:
    """Sends while it is entered; what is not sent when it is left stays unsent."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._sending: set[asyncio.Task[None]] = set()
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> "Webhooks":
        self._leave = self._platform.subscribe(self._changed)
        return self

    async def __aexit__(self, *failure: object) -> None:
        self._leave()
        for task in tuple(self._sending):
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def _changed(self, change: Change) -> None:
        if change.kind != "job":
            return
        job = self._platform.endpoints[change.endpoint_id].book.look(change.subject)
        if job is not None and job.is_final and job.asked.webhook:
            task = asyncio.get_running_loop().create_task(self._told(job.asked.webhook, body_of(job)))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _told(self, url: str, body: bytes) -> None:
        self._client = self._client or httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False)
        for attempt in range(ATTEMPTS):
            if attempt:
                await self._platform.clock.sleep(PAUSE_S)
            try:
                reply = await self._client.post(url, content=body, headers={"content-type": "application/json"})
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                log.info("event=webhook_failed attempt=%d reason=%s", attempt + 1, type(error).__name__)
                continue
            if reply.is_success:
                return
            log.info("event=webhook_failed attempt=%d status=%d", attempt + 1, reply.status_code)


def body_of(job: Job) -> bytes:
    """The status object, with the input and the address beside it."""
    sent = {"input": orjson.Fragment(job.asked.input), "webhook": job.asked.webhook}
    return orjson.dumps(status_of(job) | sent)
