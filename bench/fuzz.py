"""Ten thousand bodies against a live server: what does not fit is refused in its dialect, and what fits is answered.

    python bench/fuzz.py --schemathesis ENVIRONMENT/bin/schemathesis --out bench/results/fuzz.json

Three runs: our own seeded requests against a server without a model (fast, and it has a model for every path), the same
against the default model, and schemathesis against the first. Every server needs a key. What is judged, and by whom:
fuzz_judge.py and fuzz_schemathesis.py. The exit status is 1 if a fault was found. `--quick` is for trying the script.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from fuzz_run import fuzz, merged
from fuzz_schemathesis import EXCEPTIONS, schemathesis
from fuzz_server import FAKE, serving
from machine import machine

FAKE_COMMAND = (str(FAKE), "--every-kind")
REAL_COMMAND = ("-m", "embedstack", "serve")
FAKE_MODEL = "hash"
OWN, REAL, EXAMPLES = 9000, 1000, 10
SHOWN = 10  # faults on the screen; the file has all


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--schemathesis", type=Path, help="its program; without it that run is left out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    return parser.parse_args()


def runs(given: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Each by its name."""
    share = 20 if given.quick else 1
    made: dict[str, dict[str, object]] = {}
    with serving(FAKE_COMMAND) as server:
        made["own, without a model"] = fuzz(server, given.seed, OWN // share).shown()
    with serving(REAL_COMMAND) as server:
        made["own, the default model"] = fuzz(server, given.seed + 1, REAL // share).shown()
    if given.schemathesis:
        with serving(FAKE_COMMAND) as server:
            examples = 1 if given.quick else EXAMPLES
            made["schemathesis"] = schemathesis(
                given.schemathesis, server, FAKE_MODEL, seed=given.seed, examples=examples
            )
    return made


def main() -> int:
    given = arguments()
    began = time.monotonic()
    made = runs(given)
    faults = sum(len(run["faults"]) for run in made.values())  # type: ignore[arg-type]
    result = {
        "machine": machine(),
        "seed": given.seed,
        "seconds": round(time.monotonic() - began),
        "requests": sum(run["requests"] for run in made.values()),  # type: ignore[misc]
        "faults": faults,
        "slowest_s": max(run["slowest_s"] for run in made.values()),  # type: ignore[type-var]
        "by_path": merged(run["by_path"] for run in made.values()),  # type: ignore[misc]
        "exceptions": list(EXCEPTIONS.values()),
        "runs": made,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    for name, run in made.items():
        print(f"{name}: {run['requests']} requests, {len(run['faults'])} faults, slowest {run['slowest_s']} s")  # type: ignore[arg-type]
        for fault in run["faults"][:SHOWN]:  # type: ignore[index]
            print(f"  {str(fault)[:500]}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
