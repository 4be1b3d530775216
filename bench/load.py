"""The real server at twice its capacity: goodput, latency, fairness, memory, and a SIGTERM in the middle.

    python bench/load.py --out bench/results/load.json                     a minute of overload
    python bench/load.py --seconds 1800 --out bench/results/load.json      half an hour

The generator is this process, the server another one with its default settings and two API keys. First the capacity
is measured, as tokens per second of vectors, by callers who each wait for their reply; then requests of the same mix
are sent at random times, whatever the server does, at twice that rate. Beside the JSON a page (.md) of the same name
is written. The exit code is 1 if a criterion is missed, by a short run more than noise explains; see load_verdict.py.
"""

import argparse
import asyncio
import gc
import json
import math
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from embedstack.catalog import find
from embedstack.settings import DEFAULT_MODEL, read_settings
from load_caller import Caller
from load_page import page
from load_server import COMMAND, Server, Used
from load_stats import (
    OVER,
    answered,
    endings,
    growth,
    latencies_ms,
    longest_ms,
    looks,
    offered,
    percentile,
    shares,
    spread_ms,
)
from load_traffic import INTERACTIVE, ITEMS, KEYS, Ask, Texts, Traffic, texts_for
from load_verdict import criteria, has_failed
from load_wire import Wire
from machine import machine

OVERLOAD = 2.0  # times the capacity
CALLERS = 6  # while the capacity is measured: some bulk request always waits
UNLOADED_S, CAPACITY_S = 6.0, 20.0
SETTLE_S = 3.0  # of overload before anything is counted
END_AFTER_S = 6.0  # of load before SIGTERM
REFUSED_S = 0.05  # a caller who is refused waits so long
FILL_PAUSE_S, FILL_MOST = 0.02, 500
OUTSIDE = ("refused", "raced")  # after SIGTERM these requests never reached the server
SAMPLE_S = 0.5


class Load:
    """The phases in order."""

    def __init__(self, given: argparse.Namespace, texts: Texts) -> None:
        self.given = given
        self.secrets = {key: secrets.token_urlsafe(32) for key in KEYS}
        self.traffic = Traffic(texts, self.secrets, interactive=given.interactive)
        self.known: dict[int, np.ndarray] = {}
        self.callers: list[Caller] = []
        self.made: dict[str, object] = {
            "machine": machine(),
            "processors": os.cpu_count(),
            "command": f"python bench/load.py --seconds {given.seconds:g} --out bench/results/load.json",
            "model": DEFAULT_MODEL,
            "texts": "XQuAD-en questions and paragraphs" if given.data else "our own words, questions and paragraphs",
            "mix": f"{given.interactive:.0%} in interactive requests of one query "
            f"({self.traffic.mean_tokens['interactive']:.0f} tokens), the others in bulk requests of {ITEMS[0]} to "
            f"{ITEMS[1]} paragraphs ({self.traffic.mean_tokens['bulk']:.0f} tokens), from two keys 9:1",
        }

    async def run(self) -> dict[str, object]:
        with Server(self.secrets, self.given.serve) as server:
            wire = Wire("127.0.0.1", server.port)
            await self._learn(self._caller(wire))
            self.made["unloaded_ms"] = await self._unloaded(self._caller(wire))
            rate = await self._capacity(server, self._caller(wire))
            self.made["overload"] = await self._overload(server, self._caller(wire), OVERLOAD * rate)
            wire.close()
        self._count()
        with Server(self.secrets, self.given.serve) as server:
            wire = Wire("127.0.0.1", server.port)
            await self._learn(self._caller(wire))
            self.made["term"] = await self._term(server, self._caller(wire), wire, OVERLOAD * rate)
            wire.close()
        return self.made

    def _caller(self, wire: Wire) -> Caller:
        self.callers.append(Caller(wire, self.known))
        return self.callers[-1]

    def _count(self) -> None:
        everything = [one for caller in self.callers for one in caller.seen]
        self.made["requests"] = len(everything)
        self.made["unanswered"] = sum(not one.is_answered for one in everything)
        self.made["refused"] = sum(caller.refused for caller in self.callers)
        self.made["refused_without_retry_after"] = sum(caller.refused_without_retry_after for caller in self.callers)

    # ------------------------------------------------------------------ phases

    async def _learn(self, caller: Caller) -> None:
        """Each text once, so that its vector is known and the server is warm."""
        for ask in self.traffic.each_text_once():
            seen = await caller.send(ask)
            if not seen.is_good:
                raise RuntimeError(f"the server does not answer: {seen.ending}")

    async def _unloaded(self, caller: Caller) -> dict[str, float | int]:
        say("unloaded: one interactive query after the other")
        while caller.now() < UNLOADED_S:
            await caller.send(self.traffic.of("heavy", "interactive"))
        return spread_ms(latencies_ms(caller.seen, "interactive"))

    async def _capacity(self, server: Server, caller: Caller) -> float:
        """Tokens per second, until the last request that was begun has ended: so no edge cuts a large one in two."""
        say(f"capacity: {CALLERS} callers who each wait for their reply")
        before, length_s = server.clock(), CAPACITY_S * (9 if self.given.seconds >= 600 else 1)  # minutes differ by 2 %

        async def one() -> None:
            while caller.now() < length_s:
                if not (await caller.send(self.traffic.draw())).is_good:
                    await asyncio.sleep(REFUSED_S)

        await asyncio.gather(*(one() for _ in range(CALLERS)))
        took_s = max(seen.ended for seen in caller.seen)
        rate = sum(answered(caller.seen, 0, math.inf).values()) / took_s
        self.made["capacity"] = {
            "tokens_per_s": round(rate, 1),
            "seconds": round(took_s, 2),
            "callers": CALLERS,
            "requests": len(caller.seen),
            "endings": endings(caller.seen),
            "used": server.since(before).stated(),
        }
        return rate

    async def _overload(self, server: Server, caller: Caller, rate: float) -> dict[str, object]:
        say(f"overload: {rate:.0f} tokens/s for {self.given.seconds:g} s")
        metrics_before = server.metrics()
        await self._fill(caller)
        start = caller.now() + SETTLE_S
        stop = start + self.given.seconds
        memory: list[tuple[float, float]] = []
        used: list[Used] = []

        async def watch() -> None:
            await asyncio.sleep(start - caller.now())
            before = server.clock()
            while (at := caller.now()) < stop:
                memory.append((at - start, server.anonymous_mb()))
                await asyncio.sleep(min(SAMPLE_S, stop - at))
            used.append(server.since(before))

        longest: list[dict[str, float]] = []

        async def look() -> None:
            """Each answer is of the minute before it: all together are of the window."""
            for at in looks(self.given.seconds):
                await asyncio.sleep(start + at - caller.now())
                longest.append(await asyncio.to_thread(server.metrics))

        watching = asyncio.gather(watch(), look())
        await self._offer(caller, rate, lambda: caller.now() >= stop)
        await watching
        say(f"draining: {len(caller.in_flight)} requests in flight")
        await self._drain(caller)
        over = [metrics.get(OVER) for metrics in (metrics_before, server.metrics())]
        return self._seen(caller, start, stop, memory, used[0]) | {
            "longest_batch_ms": longest_ms(longest),
            "bulk_batches_over_limit": None if over[1] is None else over[1] - (over[0] or 0.0),
        }

    def _seen(
        self, caller: Caller, start: float, stop: float, memory: Sequence[tuple[float, float]], used: Used
    ) -> dict[str, object]:
        length_s = stop - start
        given, wanted = (sum(count(caller.seen, start, stop).values()) for count in (answered, offered))
        late = [(one.sent - one.due) * 1000 for one in caller.seen if start <= one.sent < stop]
        early_mb, last_mb = growth(memory, length_s)
        return {
            "seconds": length_s,
            "tokens_per_s": round(given / length_s, 1),
            "offered_tokens_per_s": round(wanted / length_s, 1),
            "interactive_ms": spread_ms(latencies_ms(caller.seen, "interactive", start, stop)),
            "bulk_ms": spread_ms(latencies_ms(caller.seen, "bulk", start, stop)),
            "shares": {key: asdict(share) for key, share in sorted(shares(caller.seen, start, stop).items())},
            "memory": {"early_mb": round(early_mb, 1), "last_mb": round(last_mb, 1)},
            "late_ms": {"p50": round(percentile(late, 0.5), 2), "p99": round(percentile(late, 0.99), 2)},
            "longest_retry_after_s": caller.longest_retry_s,
            "used": used.stated(),
            "endings": endings(caller.seen),
        }

    async def _term(self, server: Server, caller: Caller, wire: Wire, rate: float) -> dict[str, object]:
        say("SIGTERM under the same load")
        is_full = self.given.seconds >= 600
        if is_full:
            await self._fill(caller)
        ended: list[float] = []
        in_flight: list[Ask] = []

        async def end() -> None:
            await asyncio.sleep(END_AFTER_S)
            in_flight.extend(caller.in_flight.values())
            ended.append(caller.now())
            server.end()

        ending = asyncio.create_task(end())
        await self._offer(caller, rate, lambda: server.process.poll() is not None)
        await ending
        took_s = caller.now() - ended[0]
        await self._drain(caller)
        after = [one for one in caller.seen if one.sent > ended[0]]
        lost = [one for one in caller.seen if not one.is_answered and not (one.sent > ended[0] and one.fate in OUTSIDE)]
        return {
            "in_flight": len(in_flight),
            "in_flight_tokens": sum(ask.tokens for ask in in_flight),
            "after": len(after),
            "seconds": round(took_s, 2),
            "lost": len(lost),
            "lost_at_s": [[round(at - ended[0], 3) for at in (one.sent, one.ended)] for one in lost[:50]],
            "unserved": sum(one.status == 503 for one in caller.seen if one.sent <= ended[0]),
            "raced": sum(one.fate == "raced" for one in after),
            "found_closed": wire.found_closed,
            "endings_after": endings(after),
            "endings": endings(caller.seen),
            "exit_code": server.process.wait(),
        }

    # ------------------------------------------------------------------ parts of phases

    async def _fill(self, caller: Caller) -> None:
        """Bulk requests until one is refused, so that all that follows is measured with a full line."""
        tasks = []
        for _ in range(FILL_MOST):
            tasks.append(asyncio.create_task(caller.send(self.traffic.of("heavy", "bulk"))))
            await asyncio.sleep(FILL_PAUSE_S)
            if any(task.done() and task.result().status == 429 for task in tasks):
                return

    async def _offer(self, caller: Caller, rate: float, is_over: Callable[[], bool]) -> None:
        """Requests at random times, whatever became of those before."""
        gap, tasks = self.traffic.due_after(rate), set()
        due = caller.now()
        while not is_over():
            due += gap()
            if (wait_s := due - caller.now()) > 0:
                await asyncio.sleep(wait_s)
            task = asyncio.create_task(caller.send(self.traffic.draw(), due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _drain(self, caller: Caller) -> None:
        while caller.in_flight:  # noqa: ASYNC110  # the last ones take half a minute
            await asyncio.sleep(0.05)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of overload")
    parser.add_argument("--out", type=Path, help="a .json; a .md comes beside it")
    parser.add_argument("--data", type=Path, default=os.environ.get("EMBEDSTACK_TEST_DATA"), help="holds xquad/")
    parser.add_argument("--interactive", type=float, default=INTERACTIVE, help="share of the tokens")
    parser.add_argument("--serve", default=COMMAND, help="what starts the server")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    texts = texts_for(
        Path(given.data) if given.data else None, find(DEFAULT_MODEL, cache_dir=read_settings().cache_dir)
    )
    gc.freeze()  # what is there now stays; a walk over it would delay requests
    load = Load(given, texts)
    made = asyncio.run(load.run())
    made["criteria"] = [
        {"what": one.what, "value": one.value, "limit": one.limit, "verdict": one.verdict} for one in criteria(made)
    ]
    print(page(made))
    if given.out:
        given.out.write_text(json.dumps(made, indent=1) + "\n")
        given.out.with_suffix(".md").write_text(page(made))
    return int(has_failed(made))


if __name__ == "__main__":
    sys.exit(main())
