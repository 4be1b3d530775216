"""Jobs on a disk and in a bucket are killed, doubled, starved, lied to: after each fault the same table, no more work.

    python bench/faults.py --out bench/results/faults.json                          the long form
    python bench/faults.py --kills 4 --line-megabytes 64 --writes 0.2 --no-steps    a glance

Each job is planned and run in a process of its own (vectors from hashes, so that what is looked at is the job), is
disturbed, and goes on in another process. Then its table, its digests, the bytes of its files and its dead letters are
compared with those of a run that nobody disturbed. The bucket is moto's, behind a door that counts, refuses and kills.
Beside the JSON a page (.md) of the same name is written. The exit code is 1 if anything differs.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from faults_page import page
from machine import machine
from support import faults
from support.buckets import Bucket, moto
from support.cases import Disk, Place
from support.commanded import Commanded, crashing, killed_child, killed_supervisor
from support.faults import Outcome, Stage
from support.runs import variables

AT_ONCE = 3
PAGES = 150  # of the library whose jobs are killed at random: some twenty shards
RUN_S = 0.02  # that each request of those keeps the device, so that a run is long enough to be hit anywhere
SMALL_KB = {"output": 120, "spool": 32}  # less than all that is written, and than what lies there at a time
GROWN_KB = 65_536
Work = Callable[[], Outcome]


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def together(works: list[Work], at_once: int = AT_ONCE) -> list[Outcome]:
    """Some at a time; each tells how it ended."""

    def one(work: Work) -> Outcome:
        outcome = work()
        say(f"{outcome.place}: {outcome.fault}: {'; '.join(outcome.wrong) or 'as if nothing had been'}")
        return outcome

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(one, works))


def every_write(stage: Stage, place: Place, share: float) -> list[Outcome]:
    """Before and after each write to storage, or an evenly drawn share of these moments."""
    moments = faults.every_write(stage, place)
    some = moments[:: max(1, round(1 / share))]
    return together([lambda at=at: faults.killed_at(stage, place, at) for at in some])


def every_step(stage: Stage, place: Place) -> list[Outcome]:
    """Before and after each call of the system that names a file, renames it or makes it last."""
    return together([
        lambda at=at: faults.killed_at(stage, place, at, in_steps=True) for at in faults.every_step(stage, place)
    ])  # fmt: skip


def random_kills(folder: Path, place: Place, kills: int, seed: int) -> list[Outcome]:
    """At moments drawn from all of an undisturbed run, planning among it."""
    stage = Stage(folder, pages=PAGES, run_s=RUN_S)
    stage.truth(place)
    took_s, draw = timed(stage, place), random.Random(seed)
    moments = [draw.uniform(0, took_s) for _ in range(kills)]
    return together([lambda at_s=at_s: faults.killed_after(stage, place, at_s) for at_s in moments], at_once=1)


def timed(stage: Stage, place: Place) -> float:
    """How long an undisturbed run takes."""
    with stage.case(place) as case:
        began = time.monotonic()
        case.run()
        return time.monotonic() - began


def others(stage: Stage, place: Place) -> list[Work]:
    """Whatever can happen on a disk and in a bucket."""
    return [
        *[lambda: faults.two_runners(stage, place)] * 5,
        *[lambda: faults.zombie(stage, place)] * 3,
        lambda: faults.truncated_part(stage, place),
        lambda: faults.truncated_part(stage, place, is_gone=True),
        lambda: faults.jumping_clock(stage, place),
        lambda: faults.changed_input(stage, place),
        lambda: faults.changed_input(stage, place, is_gone=True),
        lambda: faults.changed_model(stage, place),
        lambda: faults.poison(stage, place, "fails"),
        lambda: faults.poison(stage, place, "panics"),
    ]


def on_bucket(stage: Stage, bucket: Bucket) -> list[Work]:
    """What only buckets do."""
    return [
        lambda: faults.refusing_bucket(stage, bucket, 403, "s3://"),
        lambda: faults.refusing_bucket(stage, bucket, 404, "s3://"),
        lambda: faults.stumbling_bucket(stage, bucket, 500),
        lambda: faults.stumbling_bucket(stage, bucket, 503),
    ]


def on_disk(stage: Stage, disk: Disk, line_megabytes: int) -> list[Work]:
    """What only disks do, and what takes long."""
    return [lambda: faults.disk_full(stage, disk), lambda: faults.long_line(stage, disk, line_megabytes)]


def full_disks(stage: Stage, folder: Path) -> list[Outcome]:
    """File systems of their own; none of it where this user may not mount one."""
    outcomes = []
    for name, size_kb in SMALL_KB.items():
        with small_disk(folder / name, size_kb) as grow:
            if grow is None:
                say("no tmpfs can be mounted here, so no disk was full but by a limit of its files")
                return []
            place = Disk(folder / name) if name == "output" else Disk(folder / "roomy")
            outcomes.append(faults.full_disk(stage, place, grow, spool=folder / name if name == "spool" else None))
    return outcomes


@contextmanager
def small_disk(folder: Path, size_kb: int) -> Iterator[Callable[[], object] | None]:
    """A tmpfs with hardly any room; what is yielded makes some."""
    folder.mkdir(parents=True)

    def mount(options: str) -> int:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode

    if mount(f"size={size_kb}k"):
        yield None
        return
    try:
        yield lambda: mount(f"remount,size={GROWN_KB}k")
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def all_of(given: argparse.Namespace, folder: Path) -> list[Outcome]:
    """The matrix."""
    stage, disk = Stage(folder / "stage"), Disk(folder / "disk")
    with moto() as bucket, variables(**bucket.variables()):
        places: tuple[Place, ...] = (disk, bucket)
        outcomes = []
        for place in places:
            say(f"== {place.name}")
            outcomes += every_write(stage, place, given.writes)
            outcomes += together(others(stage, place))
            outcomes += random_kills(folder / f"random-{place.name}", place, given.kills, given.seed)
        outcomes += together([*on_bucket(stage, bucket), *on_disk(stage, disk, given.line_megabytes)])
        outcomes += every_step(stage, disk) if given.steps else []
        outcomes += full_disks(stage, folder / "small")
        commanded = Commanded(folder / "commanded")
        outcomes += [work(commanded) for work in (killed_supervisor, killed_child, crashing)]
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40, help="at random, on the disk and in the bucket each")
    parser.add_argument("--writes", type=float, default=1.0, help="share of the moments around writes")
    parser.add_argument("--steps", action=argparse.BooleanOptionalAction, default=True, help="calls of the system, too")
    parser.add_argument("--line-megabytes", type=int, default=faults.LINE_MB)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a .json; a .md comes beside it")
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        outcomes = all_of(given, Path(name))
    made = {
        "machine": machine(),
        "command": f"python bench/faults.py --kills {given.kills} --out bench/results/faults.json",
        "seed": given.seed,
        "seconds": round(time.monotonic() - began, 1),
        "outcomes": [asdict(one) for one in outcomes],
    }
    print(page(made))
    if given.out:
        given.out.write_text(json.dumps(made, indent=1) + "\n")
        given.out.with_suffix(".md").write_text(page(made))
    return int(any(one.wrong for one in outcomes))


if __name__ == "__main__":
    sys.exit(main())
