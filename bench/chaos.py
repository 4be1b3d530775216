"""Real workers behind the emulator, faults in 5 % of all calls, workers killed in mid-job: nothing may be lost or hang.

    python bench/chaos.py --count 10000 --out bench/results/chaos.json

Each submission has a deadline, and some are cancelled. Each must end once: with vectors that are those of the engine in
this process, or with an error that has a name. Beside the JSON a page (.md) of the same name is written. The exit code
is 1 if a criterion is missed; see chaos_count.py.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from chaos_count import criteria, has_failed
from chaos_page import page
from chaos_plan import asks
from chaos_run import Storm, known_of, run
from machine import machine


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="of submissions")
    parser.add_argument("--share", type=float, default=0.05, help="of all calls that go wrong")
    parser.add_argument(
        "--kill-every", type=int, default=100, help="jobs handed out from one killed worker to the next"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    say("the vectors that must come back")
    wanted = asks(given.count, given.seed)
    known = known_of(wanted)
    storm = Storm(share=given.share, kill_every=given.kill_every, seed=given.seed)
    made = asyncio.run(run(wanted, known, storm, say))
    made["machine"] = machine()
    made["command"] = f"python bench/chaos.py --count {given.count} --out bench/results/chaos.json"
    if given.out:
        given.out.write_text(json.dumps(made, indent=1) + "\n")
        given.out.with_suffix(".md").write_text(page(made))
    for one in criteria(made):
        say(f"{one.what}: {one.value} (limit {one.limit}): {one.verdict}")
    return int(has_failed(made))


if __name__ == "__main__":
    sys.exit(main())
