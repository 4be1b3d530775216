"""Ten thousand bodies against a live server: what does not fit is refused in its dialect, and what fits is answered.

    python bench/fuzz.py --schemathesis ENVIRONMENT/bin/schemathesis --out bench/results/fuzz.json

Three runs against `embedstack serve`: our own seeded requests with small models for every path and a collection, the
same with the default settings and model, and schemathesis with the small models. Every server needs a key. What is
judged, and by whom: fuzz_judge.py and fuzz_schemathesis.py; what may be refused though it fits, and why:
fuzz_stated.py. Beside the JSON a page (.md) of the same name is written. The exit status is 1 if a criterion is missed.
`--quick` is for trying the script. Five minutes on two cores.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fuzz_models import command
from fuzz_page import criteria, page
from fuzz_run import Good, fuzz
from fuzz_schemathesis import EXCEPTIONS, schemathesis
from fuzz_server import Server, serving
from fuzz_tally import GOOD, merged
from machine import machine

Json = Any  # a result is JSON, and JSON is not typed
DEFAULT = ("-m", "embedstack", "serve")
OWN, OF_DEFAULT, EXAMPLES = 9000, 1000, 10
SHOWN = 10  # faults on the screen; the file has all


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--schemathesis", type=Path, help="its program; without it that run is left out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    return parser.parse_args()


def runs(given: argparse.Namespace, folder: Path) -> dict[str, Json]:
    """Each by its name."""
    share = 20 if given.quick else 1
    cache = folder / "cache"
    every = command(folder, cache)
    made: dict[str, Json] = {}
    with serving(every, cache) as server:
        made["own, small models for every path"] = fuzz(server, given.seed, OWN // share, has_all=True).shown()
    with serving(DEFAULT) as server:
        made["own, the default model"] = fuzz(server, given.seed + 1, OF_DEFAULT // share).shown()
    if given.schemathesis:
        with serving(every, cache) as server:
            examples = 1 if given.quick else EXAMPLES
            model = Good(server.url).model
            found = schemathesis(given.schemathesis, server, model, seed=given.seed, examples=examples)
            found["faults"] += unanswered(server, found["valid_by_path"])
            made["schemathesis, small models for every path"] = found
    return made


def unanswered(server: Server, valid: dict[str, dict[str, int]]) -> list[Json]:
    """Paths of which no body that fits was answered, though there is a model for each."""
    paths = [path for path, methods in server.description()["paths"].items() if "post" in methods]
    silent = [path for path in paths if GOOD not in valid.get(path, {}) and not path.startswith("/admin/")]
    return [{"fault": "no body that fits was answered", "path": path} for path in silent]


def main() -> int:
    given = arguments()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        made = runs(given, Path(folder))
    result = {
        "machine": machine(),
        "command": "python bench/fuzz.py --schemathesis ENVIRONMENT/bin/schemathesis --out bench/results/fuzz.json",
        "seed": given.seed,
        "seconds": round(time.monotonic() - began),
        "requests": sum(run["requests"] for run in made.values()),
        "faults": sum(len(run["faults"]) for run in made.values()),
        "slowest_s": max(run["slowest_s"] for run in made.values()),
        "by_path": merged(run["by_path"] for run in made.values()),
        "valid_by_path": merged(run["valid_by_path"] for run in made.values()),
        "exceptions": list(EXCEPTIONS.values()),
        "runs": made,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    given.out.with_suffix(".md").write_text(page(result))
    for name, run in made.items():
        print(f"{name}: {run['requests']} requests, {len(run['faults'])} faults, slowest {run['slowest_s']} s")
        for fault in run["faults"][:SHOWN]:
            print(f"  {str(fault)[:500]}")
    return int(not all(one.is_reached for one in criteria(result)))


if __name__ == "__main__":
    sys.exit(main())
