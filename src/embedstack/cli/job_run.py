"""`embedstack job run`: a plan is done, in processes that are started again where they die, until all is committed."""

import asyncio
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from embedstack.catalog.network import to_stderr
from embedstack.cli.flags import setting_flags
from embedstack.cli.job_board import Board, say_end
from embedstack.cli.job_flags import JOB_MODEL, options_from, placed, run_options, storage_of, words_of
from embedstack.cli.job_look import out_argument, print_json, put_report, stands, told
from embedstack.documents.source import open_source
from embedstack.errors import BadRequest, Mismatch, TooManyDead
from embedstack.jobs.checking import InputChanges, check_input, check_versions
from embedstack.jobs.events import Ended
from embedstack.jobs.layout import MANIFEST, SUCCESS
from embedstack.jobs.ledger import Ledger
from embedstack.jobs.plan import Plan
from embedstack.jobs.planning import load_plan, write_plan
from embedstack.jobs.progress import Done
from embedstack.jobs.sampling import sample as sample_of
from embedstack.jobs.shards import Shards, shards_of
from embedstack.jobs.spooling import default_folder
from embedstack.jobs.supervising import Careful, Supervisor
from embedstack.jobs.working import ended_by, failed, work_here
from embedstack.storage.opening import open_storage
from embedstack.storage.storage import Storage

if TYPE_CHECKING:
    from embedstack.jobs.finishing import Looked

PASSWORD = re.compile(r"//[^/?#]*@")


@click.command()
@out_argument
@click.option(
    "--processes",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="that share the processor; 0: in this process, where nobody starts it again if it dies",
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="DOCUMENTS",
    help="a small job of its own over so many documents, in OUT/_sample-DOCUMENTS; 1000 is usual",
)
@click.option("--dry-run", is_flag=True, help="only compare the input with the plan and say what is left to do")
@click.option("--metrics-port", type=click.IntRange(0, 65535), help="answer Prometheus there; 0 takes a free one")
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="address to answer it on")
@click.option("--price", type=click.FloatRange(min=0), metavar="DOLLARS", help="per hour, for the metric of costs")
@click.option("--json", "is_json", is_flag=True, help="what happens, as JSON lines on stdout")
@run_options
@setting_flags(*JOB_MODEL)
def run(
    out: str, processes: int, sample: int | None, dry_run: bool, metrics_port: int | None, metrics_host: str,
    price: float | None, is_json: bool, **given: object,
) -> None:  # fmt: skip
    """Do the job in OUT, or go on with it: what is committed is never done again.

    \b
    embedstack job run ./vectors
    embedstack job run ./vectors --sample 1000               first see what comes out of some documents
    embedstack job run s3://bucket/vectors --processes 4
    embedstack job run ./vectors --via https://my-endpoint   vectors from elsewhere, see docs/router.md

    Ctrl-C loses nothing but what is in hand. Several machines may run the same job, each with this command.
    Exit codes: 0 all done, 3 input or model are not the plan's, 7 more failed documents than --max-dead.
    """
    if given["single_writer"] and processes > 1:
        raise BadRequest(f"--single-writer is for one process, and --processes asks for {processes}; leave one out")
    if processes and PASSWORD.search(str(given["via"])):
        raise BadRequest(
            "a password in --via would stand in the list of processes once more for each that is started; write the "
            "URL into a router.toml, or give --processes 0"
        )
    if dry_run:
        look_ahead(place_of(out, sample, given), is_json=is_json, is_sample=bool(sample))
        return
    told_how = Running(
        processes=processes,
        sample=sample,
        metrics=None if metrics_port is None else (metrics_host, metrics_port),
        price=price,
        is_json=is_json,
    )
    ended = ended_by(partial(done, out, told_how, given))
    if is_json:
        say_end(ended)
    if ended.exit_code:
        click.echo(f"error: {ended.error}", err=True)
        sys.exit(ended.exit_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What the watching process alone is told."""

    processes: int
    sample: int | None
    metrics: tuple[str, int] | None
    price: float | None
    is_json: bool


def done(out: str, how: Running, given: Mapping[str, object]) -> Ended:
    """All that is left of it. Where nothing is, no model is loaded."""
    out = place_of(out, how.sample, given)
    storage = open_storage(out)
    plan = load_plan(storage)
    shards = shards_of(storage, plan)
    is_marked = None not in (storage.entry(MANIFEST), storage.entry(SUCCESS))
    seen = present(storage, plan, is_marked=is_marked)
    is_done = is_marked and len(seen.done) == plan.shards
    is_checked = how.processes > 1 or is_done  # once for all processes; else by the one that reads
    changes = input_as_planned(plan, shards, storage.url) if is_checked else InputChanges()
    with Board(plan, done_of(shards, seen.done), is_json=how.is_json, is_sample=bool(how.sample)) as board:
        board.new_files(changes.new.count)
        if seen.torn:
            board.note(f"files of {len(seen.torn):,} shards are missing or torn; these shards are done again")
        left = partial(left_done, out, how, given, board, shards)
        ended = board.counted(ended_by(partial(in_budget, seen, plan, given) if is_done else left))
    if ended.exit_code in (0, TooManyDead.exit_code):
        _finished(storage, is_json=how.is_json)
    return ended


def place_of(out: str, sample: int | None, given: Mapping[str, object]) -> str:
    """Of the job, or of its sample, which is planned there."""
    return sampled(out, sample, is_single=bool(given["single_writer"])) if sample else placed(out)


def present(storage: Storage, plan: Plan, *, is_marked: bool) -> "Looked":
    """The shards that are done, of which every file is there.

    Of a bucket whose table is not said to be done nobody asks here: the runner lists it, and says so when it starts.
    """
    from embedstack.jobs.finishing import Looked, look  # with what compares tables

    is_near = storage.url.startswith("file:")
    return look(storage, Ledger(storage, plan)) if is_marked or is_near else Looked()


def in_budget(seen: "Looked", plan: Plan, given: Mapping[str, object]) -> Ended:
    """The end of a job of which nothing is left to do."""
    from embedstack.jobs.finishing import check_failed

    check_failed(seen.failed, options_from(given).max_dead, plan)
    return Ended(done=0, lost=0)


def left_done(out: str, how: Running, given: Mapping[str, object], board: Board, shards: Shards) -> Ended:
    """By processes, while the board shows it."""
    if how.metrics is not None:
        host, port = how.metrics
        board.note(f"metrics: http://{host}:{board.serve(host, port, how.price)}/metrics")
    storage = open_storage(out)
    board.watch(Ledger(storage, load_plan(storage)).committed, partial(done_of, shards))
    ended = supervised(out, how.processes, board, given) if how.processes else here(out, board, given)
    if how.processes > 1 and not ended.exit_code:
        ended = whole(out, how.processes, board, given, ended)
    return ended


def supervised(out: str, processes: int, board: Board, given: Mapping[str, object]) -> Ended:
    """In processes of their own."""
    rest = [*options_from(given).words(), *words_of(given)]

    def words(seat: int, careful: Careful) -> Sequence[str]:
        program = (sys.executable, "-m", "embedstack", "job", "work", out)
        part = ("--part", f"{seat}/{processes}", *(("--checked",) if processes > 1 else ()))
        return [*program, *part, "--careful", careful_words(careful), *rest]

    supervisor = Supervisor(words, processes, told=board.told, gone=board.gone, note=board.note)
    return asyncio.run(supervisor.run())


def whole(out: str, processes: int, board: Board, given: Mapping[str, object], ended: Ended) -> Ended:
    """The manifest, once all parts are done; what is torn is done again before.

    Several processes do a part each, so none of them sees the end.

    Args:
        ended: how they ended.
    """
    from embedstack.jobs.finishing import ROUNDS, finish  # with what compares tables
    from embedstack.jobs.since import drop_index

    options = options_from(given)
    storage = storage_of(out, is_single=options.single_writer)
    plan = load_plan(storage)
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="embedstack-finish-", dir=options.spool) as folder:
            if finish(storage, plan, error_budget=options.max_dead, folder=Path(folder)) is not None:
                if plan.wish.since:
                    drop_index(plan, options.spool or default_folder(storage))
                return ended
        ended = supervised(out, processes, board, given)
        if ended.exit_code:
            return ended
    gone = f"files in {storage.url!r} went missing {ROUNDS} times while it ran; look what deletes them there"
    return failed(Mismatch(gone))


def here(out: str, board: Board, given: Mapping[str, object]) -> Ended:
    """In this process, which nobody watches."""
    from embedstack.cli.job_work import do, doing_of  # loads a model's runtime, which a watching process does without

    doing = doing_of(out, given)
    return work_here(lambda: do(doing, lambda event: board.told(0, event)))


def careful_words(careful: Careful) -> str:
    """As `--careful` takes it."""
    return msgspec.json.encode({shard: sorted(places) for shard, places in sorted(careful.items())}).decode()


def done_of(shards: Shards, committed: Set[int]) -> Done:
    """What is done before this run."""
    return Done(
        shards=len(committed),
        docs=sum(shards.docs_of(number) for number in committed),
        bytes=sum(shards.bytes_of(number) for number in committed),
    )


def input_as_planned(plan: Plan, shards: Shards, url: str) -> InputChanges:
    """What is new in the input of the job in `url`.

    Raises:
        Mismatch: files changed or are gone, or this package reads them otherwise than the one that planned.
    """
    check_versions(plan)
    entries = open_source(plan.wish.inputs, plan.wish.reading).entries()
    return check_input(shards.segments(), entries, url if plan.wish.can_lend else "")


def look_ahead(out: str, *, is_json: bool, is_sample: bool) -> None:
    """Say what a run would do.

    Raises:
        Mismatch: the input is not the plan's, or this package reads it otherwise.
    """
    storage = open_storage(out)
    plan = load_plan(storage)
    shards = shards_of(storage, plan)
    changes = input_as_planned(plan, shards, storage.url)
    behind = done_of(shards, Ledger(storage, plan).committed())
    left = {
        "shards": plan.shards - behind.shards,
        "docs": plan.docs - behind.docs,
        "bytes": plan.bytes - behind.bytes,
        "new_files": changes.new.count,
    }
    if is_json:
        print_json(left)
        return
    click.echo(f"left to do: {left['shards']:,} shards, {left['docs']:,} documents, {left['bytes'] / 1e6:,.1f} MB")
    if changes.new.count and not is_sample:
        click.echo(f"not in the plan: {changes.new.count:,} new files; for these plan again with --since")


def _finished(storage: Storage, *, is_json: bool) -> None:
    """The report, and for people the numbers."""
    place = put_report(storage)
    if not is_json:
        to_stderr(told(stands(storage)))
        to_stderr(f"report: {place}")


def sampled(out: str, docs: int, *, is_single: bool = False) -> str:
    """The place of a small job over documents that lie evenly over those of the plan in `out`; it is planned there."""
    storage = open_storage(out)
    plan = load_plan(storage)
    small, taken = sample_of(plan, shards_of(storage, plan), docs)
    place = f"{storage.url.rstrip('/')}/_sample-{docs}"
    below = storage_of(place, is_single=is_single)
    write_plan(below, small, taken)
    return below.url
