"""`embedstack job status|gc|report|export`: what a job has made is looked at, tidied up and carried away."""

import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn, TypeVar, cast, get_args

import click
import msgspec
import orjson
from tqdm import tqdm

from embedstack.catalog.network import to_stderr
from embedstack.errors import ConfigError
from embedstack.jobs import layout
from embedstack.jobs.collecting import GRACE_S, collect
from embedstack.jobs.ledger import Ledger
from embedstack.jobs.planning import load_plan
from embedstack.jobs.standing import Standing, standing
from embedstack.storage.opening import open_storage
from embedstack.storage.storage import Missing, Storage

REPORT = "report.html"
ESTIMATE = "_plan/estimate.json"  # what `job plan --estimate` said
FORMS = ("npy", "jsonl")
STATES = {"finished": "finished", "not_finished": "not finished", "all_committed": "all committed, and no manifest"}
SHOWN = 20  # problems and orphans that are listed for people
Command = TypeVar("Command", bound=Callable[..., object])

out_argument = click.argument("out", metavar="OUT")
json_option = click.option("--json", "is_json", is_flag=True, help="for machines")


def print_json(value: object) -> None:
    """One object, indented; numbers as they are."""
    click.echo(orjson.dumps(msgspec.to_builtins(value), option=orjson.OPT_INDENT_2).decode())


# ------------------------------------------------------------------------------------------------ status


@click.command()
@out_argument
@json_option
def status(out: str, is_json: bool) -> None:
    """How far the job in OUT is; nothing is changed, and nobody need be at work.

    \b
    embedstack job status ./vectors
    embedstack job status s3://bucket/vectors --json
    """
    storage = open_storage(out)
    found = stands(storage)
    if is_json:
        print_json(found)
    else:
        click.echo(told(found))
        if found.state == "not_finished":
            click.echo(f"go on with: {shlex.join(['embedstack', 'job', 'run', out])}")


def stands(storage: Storage) -> Standing:
    """Read from its records."""
    plan = load_plan(storage)
    is_finished = storage.entry(layout.MANIFEST) is not None
    return standing(plan, Ledger(storage, plan).records(), is_finished=is_finished)


def told(found: Standing) -> str:
    """For people."""
    share = found.shards_done / found.shards if found.shards else 1.0
    lines = [
        f"plan {found.plan[:12]}, model {found.identity.model}, fingerprint {found.identity.fingerprint or 'unknown'}",
        f"{STATES[found.state]}: {found.shards_done:,} of {found.shards:,} shards ({share:.1%}), "
        f"{found.docs_done:,} of {found.docs:,} documents",
        f"{found.rows:,} vectors of {found.docs_out:,} documents, {found.tokens:,} tokens, "
        f"{found.part_bytes / 1e6:,.1f} MB",
    ]
    if found.reused:
        lines.append(f"{found.reused:,} vectors came from the job before")
    if found.docs_dead:
        reasons = ", ".join(f"{code} {count:,}" for code, count in found.reasons.items())
        lines.append(f"{found.docs_dead:,} documents left out, {found.docs_failed:,} of them failed: {reasons}")
    if found.state == "all_committed":
        lines.append(
            "run it again for the manifest, or for what stands in its way: two documents with one id, or more of them "
            f"failed than --max-dead allows ({found.docs_failed:,}); then mend the input and plan again, or allow more"
        )
    return "\n".join(lines)


# ------------------------------------------------------------------------------------------------ gc


@click.command()
@out_argument
@click.option(
    "--older-than", "hours", type=click.FloatRange(min=0), default=GRACE_S / 3600, show_default=True, metavar="HOURS",
    help="leave what is younger: a runner may be about to commit it",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="only say what would be deleted")
@json_option
def gc(out: str, hours: float, dry_run: bool, is_json: bool) -> None:
    """Delete files in OUT that no record names: of processes that died, or came second.

    \b
    embedstack job gc ./vectors --dry-run
    """
    found = collect(open_storage(out), hours * 3600, dry_run=dry_run)
    if is_json:
        print_json(asdict(found))
        return
    done = "would be deleted" if dry_run else "deleted"
    young = f"; {found.young} more are too young" if found.young else ""
    click.echo(f"{done}: {found.orphans} files, {found.bytes / 1e6:,.1f} MB{young}")
    for key in found.first[:SHOWN]:
        click.echo(key)


# ------------------------------------------------------------------------------------------------ report


@click.command()
@out_argument
@click.option("--output", "-o", type=click.Path(path_type=Path), help=f"a file; OUT/{REPORT} if left out")
def report(out: str, output: Path | None) -> None:
    """A page of HTML about the job in OUT: how long texts are, how fast it went, what was left out.

    \b
    embedstack job report ./vectors
    embedstack job report s3://bucket/vectors --output report.html
    """
    storage = open_storage(out)
    if output is None:
        to_stderr(f"written: {put_report(storage)}")
        return
    made = page(storage)
    try:
        output.write_text(made, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{str(output)!r} cannot be written: {error.strerror or error}; choose another place with --output"
        ) from error
    to_stderr(f"written: {output}")


def page(storage: Storage) -> str:
    """The report."""
    from embedstack.jobs.estimated import Estimate
    from embedstack.jobs.reporting import report as report_of

    plan = load_plan(storage)
    expected: Estimate | None = None
    with suppress(Missing):
        expected = msgspec.json.decode(storage.get(ESTIMATE), type=Estimate)
    return report_of(Ledger(storage, plan).records(), plan, expected)


def put_report(storage: Storage) -> str:
    """Into the job's own place; where that is."""
    storage.put(REPORT, page(storage).encode())
    return f"{storage.url.rstrip('/')}/{REPORT}"


# ------------------------------------------------------------------------------------------------ export


@click.command()
@out_argument
@click.option("--format", "form", type=click.Choice(FORMS), required=True, help="npy: the matrix, ids beside it")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="where to write; stdout if left out (jsonl)")
def export(out: str, form: str, output: Path | None) -> None:
    """The table of a finished job as one file. Parquet readers need none: they read what OUT/_manifest.json names.

    \b
    embedstack job export ./vectors --format npy --output vectors.npy
    embedstack job export ./vectors --format jsonl | head
    """
    from embedstack.jobs.exporting import ExportForm  # with pyarrow
    from embedstack.jobs.exporting import export as export_job

    assert form in get_args(ExportForm)
    with tqdm(unit=" rows", disable=None, delay=1, file=sys.stderr) as bar:
        made = export_job(open_storage(out), cast("ExportForm", form), output, on(bar))
    for path in made.files:
        to_stderr(f"{path}: {made.rows:,} rows")


def on(bar: "tqdm[NoReturn]") -> Callable[[int, int], None]:
    """What is told how much is done, and of how much."""

    def say(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return say
