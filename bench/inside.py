"""The engine that the server has, without a server: commands on stdin, one JSON line for each on stdout.

    python inside.py FOLDER QUERIES

A command is {"callers": 64, "seconds": 4}: so many coroutines of one event loop, each asking for its next vector when
it has the last one, as connections of `sender.py` do.
"""

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path

import uvloop

from embedstack.api import open_pool
from embedstack.engine.pool import Pool
from embedstack.errors import Overloaded
from embedstack.settings import read_settings
from embedstack.types import Encode, Text


class Inside:
    """A closed loop over the queries."""

    def __init__(self, pool: Pool, queries: list[str]) -> None:
        self._pool, self._queries = pool, queries
        self._name = pool.models()[0].name
        self._sent = 0

    async def run(self, callers: int, seconds: float) -> dict[str, object]:
        took: list[float] = []
        wrong: dict[str, int] = {}
        before, began = self._seen(), time.perf_counter()

        async def one() -> None:
            while (sent := time.perf_counter()) < began + seconds:
                text = self._queries[self._sent % len(self._queries)]
                self._sent += 1
                try:
                    await self._pool.encode(Encode(model=self._name, items=(Text(text),), caller="127.0.0.1"))
                except Overloaded as error:
                    wrong[error.code] = wrong.get(error.code, 0) + 1
                    await asyncio.sleep(0)
                    continue
                took.append(time.perf_counter() - sent)

        await asyncio.gather(*(one() for _ in range(callers)))
        wall_s = time.perf_counter() - began
        used_s, batches, items = (after - old for after, old in zip(self._seen(), before, strict=True))
        return {
            "s": wall_s,
            "took_ms": [round(t * 1000, 3) for t in took],
            "wrong": wrong,
            "used_s": used_s,
            "batch_items": items / max(1, batches),
        }

    def _seen(self) -> tuple[float, int, int]:
        used, load = resource.getrusage(resource.RUSAGE_SELF), self._pool.load()
        return used.ru_utime + used.ru_stime, load.batches, load.batch_items


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    inside = Inside(open_pool(read_settings(), [sys.argv[1]]), json.loads(Path(sys.argv[2]).read_text()))
    loop = uvloop.new_event_loop()
    answers.write(json.dumps({"ready": True}) + "\n")
    for line in sys.stdin:
        answers.write(json.dumps(loop.run_until_complete(inside.run(**json.loads(line)))) + "\n")


if __name__ == "__main__":
    main()
