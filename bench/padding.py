"""The engine under more work than it can do: how many places attention computes that hold no token.

    python bench/padding.py --data DATA --out bench/results/padding.json

The default model; the sets of texts.py, each asked for by many callers with one text a request, who ask again as soon
as they have an answer, and as one request. All products run over tokens alone; only attention spreads a batch's texts
to the longest one. Beside the JSON a table (.md) of the same name is written. `--quick` is for trying the script.
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from embedstack.api import open_engine
from embedstack.engine.engine import Engine
from embedstack.modelspec import Architecture
from embedstack.settings import DEFAULT_MODEL, read_settings
from embedstack.types import Encode, Text, Tokenize
from embedstack.watching import BatchRun
from machine import hold_to, machine, work_flop
from texts import text_sets

AIM = 0.05
CALLERS = (64, 256)
SECONDS = 4.0  # of each set with so many callers
Made = dict


@dataclass
class Seen:
    """What a saturated engine ran."""

    batches: list[BatchRun] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)  # tokens of the texts that were answered

    def shares(self, architecture: Architecture) -> Made:
        """Of places, of the squares that attention computes, and of all products: what is there for no token."""
        tokens, padded = sum(b.tokens for b in self.batches), sum(b.padded for b in self.batches)
        squares = sum(b.padded**2 / b.items for b in self.batches)
        real = sum(length**2 for length in self.lengths)
        work = work_flop(architecture, self.lengths)
        added = 4 * architecture.layers * architecture.hidden * (squares - real)
        return {
            "texts": len(self.lengths),
            "batches": len(self.batches),
            "batch_tokens": round(tokens / len(self.batches)),
            "places": round(padded / tokens - 1, 4),
            "squares": round(squares / real - 1, 4),
            "work": round(added / work, 4),
        }


class Saturated:
    """One engine, and what its batches were while it had more than it could do."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._seen = engine, Seen()
        self.spec = engine.models()[0]
        engine.on_batch.append(lambda run: self._seen.batches.append(run))

    def whole(self, texts: list[str]) -> Made:
        """All of them in one request."""
        return self._run(self._all(texts))

    def callers(self, texts: list[str], count: int, seconds: float) -> Made:
        """So many, each with one text at a time."""
        return self._run(self._loops(texts, count, seconds))

    def _run(self, work) -> Made:
        self._seen.batches, self._seen.lengths = [], []
        before = self._engine.load().batches
        asyncio.run(work)
        while self._engine.load().batches - before > len(self._seen.batches):
            time.sleep(0.01)  # a batch is told of after its callers have their answers
        return self._seen.shares(self.spec.architecture)

    async def _ask(self, texts: list[str], caller: str = "") -> int:
        request = Encode(model=self.spec.name, items=tuple(map(Text, texts)), caller=caller)
        return (await self._engine.encode(request)).usage.tokens

    async def _all(self, texts: list[str]) -> None:
        items = tuple(map(Text, texts))
        read = await self._engine.tokens(Tokenize(model=self.spec.name, items=items))
        self._seen.lengths = [sum(not piece.is_cut for piece in pieces) for pieces in read.items]
        await self._ask(texts)

    async def _loops(self, texts: list[str], count: int, seconds: float) -> None:
        until = time.monotonic() + seconds
        # each text is another one: the same one, asked for twice at a time, is run once
        following = (f"{number} {text}" for number, text in enumerate(cycle(texts)))

        async def loop(number: int) -> None:
            while time.monotonic() < until:
                self._seen.lengths.append(await self._ask([next(following)], f"caller {number}"))

        await asyncio.gather(*(loop(number) for number in range(count)))


def table(made: Made) -> str:
    """The page."""
    about = made["machine"]
    rows = [
        "| texts | asked | batches of tokens | places | squares | work |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | {how} | {one['batches']} of {one['batch_tokens']} "
            f"| {one['places']:.1%} | {one['squares']:.1%} | {one['work']:.1%} |"
            for name, ways in made["sets"].items()
            for how, one in ways.items()
        ),
    ]
    work = max(one["work"] for ways in made["sets"].values() for one in ways.values())
    places = max(one["places"] for ways in made["sets"].values() for one in ways.values())
    verdict = (
        f"The aim is {AIM:.0%} of padding where the scheduler is saturated. Of all products at most {work:.1%} are for "
        f"no token ({_reached(work)}); of the places inside attention at most {places:.1%} ({_reached(places)})."
    )
    return (
        "# Padding\n\n"
        f"{made['model']}, {about['threads']} threads of {about['processor']}, {about['date']}, commit "
        f"{about['commit']}; batches of up to {made['budget']} tokens. Made by `{made['command']}`.\n\n"
        "*Places* are what attention's rows are spread to, *squares* the products inside attention, *work* all "
        "products of the model: how much more of each than there would be without padding.\n\n"
        + "\n".join(rows)
        + f"\n\n{verdict}\n"
    )


def _reached(share: float) -> str:
    return "reached" if share <= AIM else "not reached"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="holds xquad/xquad.en.json and xquad.ru.json; else our own words")
    parser.add_argument("--out", type=Path, help="where to write the JSON; stdout if left out")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--quick", action="store_true", help="few texts, one second, to try the script")
    given = parser.parse_args()
    settings, seconds = read_settings(), 1.0 if given.quick else given.seconds
    hold_to(machine()["threads"])
    engine = open_engine(settings, [DEFAULT_MODEL])
    saturated, sets = Saturated(engine), {}
    for name, texts in text_sets(given.data, quick=given.quick).items():
        sets[name] = {"one request": saturated.whole(texts)}
        for count in CALLERS:
            sets[name][f"{count} callers"] = saturated.callers(texts, count, seconds)
        print(name, sets[name], file=sys.stderr, flush=True)
    result = {
        "machine": machine(),
        "command": "python bench/padding.py --data DATA --out bench/results/padding.json",
        "model": saturated.spec.name,
        "budget": settings.batch_tokens,
        "quick": given.quick,
        "sets": sets,
    }
    text = json.dumps(result, indent=2) + "\n"
    if given.out is None:
        print(text)
        return
    given.out.write_text(text)
    given.out.with_suffix(".md").write_text(table(result))


if __name__ == "__main__":
    main()
