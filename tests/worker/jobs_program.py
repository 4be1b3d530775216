"""A worker with the fake encoder, as a program.

Its words: `plain` leaves the SDK as it is, `other` says it is of another version, `full` ends after a job, `unfit`
fails its check, `again` gets a second signal after its last job. A job with the text `wait` waits for SIGUSR1; one with
`nan` gets a vector with a number that is none.
"""

import asyncio
import signal
import sys
from dataclasses import replace

import numpy as np

from embedstack.dialects.dialect import DEFAULT_LIMITS
from embedstack.engine.links import Links
from embedstack.settings import Settings
from embedstack.testing.fake import HashEncoder
from embedstack.types import Encode, Encoded
from embedstack.worker import sdk
from embedstack.worker.answering import Answering


class Waiting(HashEncoder):
    """The fake encoder, which may be told to wait."""

    def __init__(self) -> None:
        super().__init__()
        self._told: list[asyncio.Event] = []

    async def encode(self, request: Encode) -> Encoded:
        texts = [item.text for item in request.items]
        if "wait" in texts:
            await self._released()
        made = await super().encode(request)
        if "nan" in texts:
            made.dense[texts.index("nan"), 0] = np.nan
        return made

    async def _released(self) -> None:
        told = asyncio.Event()
        self._told.append(told)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self._release)
        print("waiting for the signal", flush=True)
        try:
            await told.wait()
        except asyncio.CancelledError:
            print("given up", flush=True)
            raise

    def _release(self) -> None:
        for told in self._told:
            told.set()


def main(*words: str) -> None:
    encoder = Waiting()
    specs = {spec.name: spec for spec in encoder.models()}
    answering = Answering(encoder, DEFAULT_LIMITS, Links(Settings()), specs.get)

    async def is_fit() -> None:
        if "unfit" in words:
            raise RuntimeError("the model is unfit")

    sdk.set_variables({})
    loaded, full = sdk.load(), "full" in words
    sdk.start(
        replace(loaded, version="1.99.0") if "other" in words else loaded,
        answering.answer,
        concurrency=8,
        is_fit=is_fit,
        why_end=lambda: "full" if full else "",
        mends="plain" not in words,
    )
    if "again" in words:
        signal.raise_signal(signal.SIGTERM)
    print("ended", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
