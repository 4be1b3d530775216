"""`embedstack job work`: one process's part of a job, which says what it does line by line; `job run` starts it."""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from embedstack.cli.flags import setting_flags, settings_from
from embedstack.cli.job_flags import JOB_MODEL, asked_for, endpoints_of, options_from, run_options, storage_of
from embedstack.cli.job_look import out_argument
from embedstack.documents.source import open_source
from embedstack.errors import BadRequest
from embedstack.jobs.events import Ended, Event
from embedstack.jobs.opening import as_planned, open_elsewhere, open_here
from embedstack.jobs.plan import Plan
from embedstack.jobs.planning import load_plan
from embedstack.jobs.spooling import default_folder
from embedstack.jobs.working import Say, end_with_parent, speaking, work_here
from embedstack.settings import Settings
from embedstack.storage.opening import open_storage

if TYPE_CHECKING:
    from embedstack.client.plan import Plan as Endpoints
    from embedstack.jobs.opened import Opened

REQUEST_ITEMS = 64  # of one request to an endpoint: two of its batches of 32, the usual size
Part = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """What one process does.

    Args:
        given: names of the settings that somebody asked for.
        model: where it is called otherwise here than in the plan; empty where not.
        endpoints: that are asked for vectors; None for a model in this process.
        part: which one of how many.
        careful: by shard: places of documents that are left out; what stands here is worked on document by document.
    """

    out: str
    settings: Settings
    given: frozenset[str]
    model: str = ""
    endpoints: "Endpoints | None" = None
    part: Part = (0, 1)
    careful: Mapping[int, frozenset[int]]
    budget: int | float
    spool: Path | None = None
    spool_mb: int
    requests: int
    is_single: bool = False
    checks_input: bool = True


async def do(doing: Doing, say: Say) -> Ended:
    """All of its part; what it says comes from this thread and others.

    Raises:
        EmbedstackError: the message says what to do; what is committed stays.
    """
    from embedstack.jobs.running import Runner  # with pyarrow, which no help text needs

    storage = storage_of(doing.out, is_single=doing.is_single)
    plan = await asyncio.to_thread(load_plan, storage)
    source = open_source(plan.wish.inputs, plan.wish.reading)
    async with _opened(doing, plan) as opened:
        runner = Runner(
            plan,
            source,
            storage,
            opened,
            spool=doing.spool or default_folder(storage),
            spool_bytes=doing.spool_mb * 1_000_000,
            part=doing.part,
            error_budget=doing.budget,
            say=say,
            careful=doing.careful,
            items_per_request=REQUEST_ITEMS if doing.endpoints else None,
            requests_at_once=doing.requests,
            check_input=doing.checks_input,
        )
        return await runner.run()


def _opened(doing: Doing, plan: Plan) -> "AbstractAsyncContextManager[Opened]":
    if doing.endpoints is not None:
        return open_elsewhere(plan.wish, doing.endpoints, doing.settings, doing.model)
    settings = as_planned(doing.settings, plan.exact, doing.given, doing.part[1])
    return open_here(plan.wish, settings, doing.model)


@click.command(hidden=True)
@out_argument
@click.option("--part", default="0/1", help="which one of how many, from 0")
@click.option("--careful", default="{}", help="by shard: documents that are left out, as JSON")
@click.option("--checked", is_flag=True, help="the input was compared with the plan already")
@run_options
@setting_flags(*JOB_MODEL)
def work(out: str, part: str, careful: str, checked: bool, **given: object) -> None:
    """Do one part of the job in OUT and say on stdout what is done, as JSON lines.

    \b
    embedstack job work ./vectors --part 0/2

    `embedstack job run` starts as many of these as it is told to, and starts those again that die.
    """
    doing = doing_of(out, given, part=part_of(part), careful=careful_of(careful), checks_input=not checked)
    with speaking() as say:
        end_with_parent()
        told = _Last(say)
        ended = work_here(lambda: do(doing, told))
        if not told.has_ended:
            say(ended)
    sys.exit(ended.exit_code)


def doing_of(
    out: str,
    given: Mapping[str, object],
    *,
    part: Part = (0, 1),
    careful: Mapping[int, frozenset[int]] | None = None,
    checks_input: bool = True,
) -> Doing:
    """What the options of `run_options` and those of the settings mean."""
    options = options_from(given)
    return Doing(
        out=out,
        settings=settings_from(dict(given)),
        given=asked_for(given),
        model=options.model or "",
        endpoints=endpoints_of(options.via, options.model or load_plan(open_storage(out)).wish.model, given)
        if options.via
        else None,
        part=part,
        careful=careful or {},
        budget=options.max_dead,
        spool=options.spool,
        spool_mb=options.spool_mb,
        requests=options.requests,
        is_single=options.single_writer,
        checks_input=checks_input,
    )


def part_of(text: str) -> Part:
    """`1/4` is the second of four."""
    number, _, parts = text.partition("/")
    if not (number.isdecimal() and parts.isdecimal() and int(number) < int(parts)):
        raise BadRequest(f"--part {text!r} is none; example: 0/4")
    return int(number), int(parts)


def careful_of(text: str) -> dict[int, frozenset[int]]:
    """As `careful_words` wrote it."""
    try:
        return msgspec.json.decode(text, type=dict[int, frozenset[int]])
    except msgspec.DecodeError as error:
        raise BadRequest(f"--careful {text!r} is none ({error})") from error


class _Last:
    """Passes on what is said and remembers whether the end was."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self.has_ended = False

    def __call__(self, event: Event) -> None:
        self.has_ended = self.has_ended or isinstance(event, Ended)
        self._say(event)
