"""`embedstack job verify`: whether all that a job's records say is borne out by its files, and by its model."""

import asyncio
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from tqdm import tqdm

from embedstack.catalog.network import to_stderr
from embedstack.cli.flags import setting_flags, settings_from
from embedstack.cli.job_flags import JOB_MODEL, asked_for
from embedstack.cli.job_look import SHOWN, json_option, on, out_argument, print_json
from embedstack.errors import BadRequest, Mismatch
from embedstack.jobs.planning import load_plan
from embedstack.settings import Settings
from embedstack.storage.opening import open_storage
from embedstack.storage.storage import Storage

if TYPE_CHECKING:
    from embedstack.jobs.verifying import Verified


@click.command()
@out_argument
@click.option("--deep", is_flag=True, help="read every part: digests, rows, each vector, ids over the whole job")
@click.option("--repair", is_flag=True, help="withdraw shards that have a problem, so that `job run` does them again")
@click.option("--probes", "with_probes", is_flag=True, help="open the model: does it still make the plan's vectors?")
@click.option("--model", "-m", help="with --probes: the plan's model, where it is called otherwise here")
@click.option("--spool", type=click.Path(path_type=Path), metavar="FOLDER", help="where parts lie while they are read")
@json_option
@setting_flags(*JOB_MODEL)
def verify(
    out: str, deep: bool, repair: bool, with_probes: bool, model: str | None, spool: Path | None, is_json: bool,
    **flags: object,
) -> None:  # fmt: skip
    """Whether all that the records of OUT say is borne out by the files; exit code 3 if not.

    \b
    embedstack job verify ./vectors                          numbers and sizes
    embedstack job verify ./vectors --deep                   every byte
    embedstack job verify ./vectors --deep --repair          and what is wrong is done again by the next run
    embedstack job verify ./vectors --probes                 and whether queries would be embedded in the same space
    """
    from embedstack.jobs.verifying import verify as verify_job  # with pyarrow, which no help text needs

    if model and not with_probes:
        raise BadRequest(f"--model {model!r} is for --probes; add it, or leave the model out")
    storage = open_storage(out)
    with tqdm(unit=" shards", disable=None, delay=1) as bar:
        found = verify_job(storage, deep=deep, repair=repair, folder=spool, say=on(bar))
    faults = asyncio.run(probed(storage, model or "", settings_from(flags), asked_for(flags))) if with_probes else []
    if is_json:
        print_json({**asdict(found), "probes": faults})
    else:
        fine = ["the model gives the plan's vectors for its probes"] if with_probes and not faults else []
        click.echo("\n".join([told(found), *faults, *fine]))
    judge(found, faults, out)


async def probed(storage: Storage, model: str, settings: Settings, given: Collection[str]) -> list[str]:
    """What is wrong with the plan's probes, as the model here makes them now; `given` as `as_planned` takes it."""
    from embedstack.jobs.opened import reprobed
    from embedstack.jobs.opening import as_planned, open_here  # loads a model's runtime
    from embedstack.jobs.probing import probe_faults

    plan = load_plan(storage)
    async with open_here(plan.wish, as_planned(settings, plan.exact, given), model) as opened:
        return probe_faults(plan, await reprobed(plan.probes, opened, plan.wish))


def told(found: "Verified") -> str:
    """For people."""
    depth = "deep" if found.deep else "numbers and sizes only; --deep reads every part"
    head = (
        f"{found.committed:,} of {found.shards:,} shards, {found.docs:,} documents, {found.rows:,} vectors, "
        f"{found.bytes / 1e6:,.1f} MB ({depth})"
    )
    problems = [f"{one.code}: {one.message}" for one in found.problems[:SHOWN]]
    more = len(found.problems) - len(problems)
    return "\n".join([head, *problems, *([f"and {more} problems more; --json lists all"] if more else [])])


def judge(found: "Verified", faults: list[str], out: str) -> None:
    """Raises: Mismatch: something is wrong, and was not withdrawn."""
    left = found.left
    if len(left) < len(found.problems):
        to_stderr(f"withdrawn: {len(found.withdrawn)} shards; go on with: embedstack job run {out}")
    if faults:
        raise Mismatch(f"the model here gives other vectors for {len(faults)} probes than when the plan was made")
    if left and any(one.is_mendable for one in left):
        raise Mismatch(f"{len(left)} problems in {out!r}; --repair withdraws the shards that can be done again")
    if left:
        raise Mismatch(f"{len(left)} problems in {out!r} that doing shards again does not mend; see above")
