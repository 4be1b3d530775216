"""What the command line asks for -> an evaluation, shown and saved."""

import asyncio
import platform
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import click

from embedstack.cli.eval_board import EvalBoard
from embedstack.cli.eval_flags import Wish
from embedstack.cli.eval_folder import check_folder
from embedstack.cli.eval_openers import EvalOpeners, parts
from embedstack.cli.eval_saving import files_of, save, show
from embedstack.cli.flags import settings_from
from embedstack.cli.via import is_given, variables
from embedstack.engine.background import wait
from embedstack.errors import BadRequest
from embedstack.evals.evaluating import EvaluateHow, evaluate
from embedstack.evals.limits import Ceiling, Limit
from embedstack.evals.outcome import Report
from embedstack.evals.reports.reporting import to_json, to_text
from embedstack.evals.sets.halves import half_of
from embedstack.evals.sets.labelled import Labelled
from embedstack.evals.sets.opening import open_labelled
from embedstack.evals.systems.naming import (
    FusedName,
    LexicalName,
    RankingName,
    RerankedName,
    SearchedName,
    SystemName,
    parse_systems,
)
from embedstack.evals.systems.opening import open_systems
from embedstack.evals.timing import P99_SAMPLES
from embedstack.loading.stopping import Stop, Stopped, heard
from embedstack.runtimes.library import library_of
from embedstack.runtimes.processor import usable_threads
from embedstack.settings import Settings

SAMPLES = 200  # enough for the median; a 99th percentile takes P99_SAMPLES
Kinds: TypeAlias = tuple[type[SystemName], ...]
FUSED: tuple[Kinds, str] = (FusedName, SearchedName), "is fused (A+B, or DATABASE#COLLECTION/*)"
RERANKED: tuple[Kinds, str] = (RerankedName,), "is reranked (A~B)"
IDLE: Mapping[str, tuple[Kinds, str]] = {
    "fusion": FUSED,
    "rrf_k": FUSED,
    "weights": FUSED,
    "rerank_top": RERANKED,
    "skip_settled": RERANKED,
    "language": ((LexicalName,), "is bm25"),
}
"""Flags that change nothing unless a system has such a part."""


def evaluated(
    data: Path, systems: Sequence[str], wish: Wish, flags: dict[str, object], limits: Sequence[Limit] = ()
) -> Report:
    """Evaluate, write the folder if one is wanted, and show the report.

    Args:
        flags: what click gave for `setting_flags(*EVAL_MODEL)`.
    Raises:
        BadRequest, Mismatch, Upstream, ConfigError: as the data, the models and the databases say.
    """
    settings = replace(settings_from(flags), vector_cache_mb=0)  # a vector from a cache would be timed, too
    names = parse_systems(list(systems), language=wish.systems.language)
    _refuse_idle([part for name in names for part in parts(name)])
    check_folder(wish.said.out)
    with stoppable() as stop:
        with EvalBoard(is_quiet=wish.said.is_quiet) as board:
            labelled = open_labelled(data, split=wish.split, documents=wish.documents, queries=wish.queries)
            if wish.half is not None:
                labelled = half_of(labelled, wish.half, wish.drawing.seed)
            how = how_of(wish, limits, names, labelled)
            with EvalOpeners(names, settings, variables(flags), board.say) as openers, ExitStack() as opened:
                ready = open_systems(systems, openers, wish.systems)
                for system in ready:
                    opened.callback(system.close)
                made = evaluate(labelled, ready, how, progress=board, machine=machine(settings))
        if wish.said.out is not None:
            with stop.busy():
                save(wish.said.out, wish.said, *files_of(made))
    show(wish.said, to_json(made.report), to_text(made.report))
    return made.report


def how_of(wish: Wish, limits: Sequence[Limit], names: Sequence[SystemName], labelled: Labelled) -> EvaluateHow:
    """What is measured: also what limits need; and timed only where time means something.

    Raises:
        BadRequest: a file of rankings shall keep a limit of time, or a system reads queries that have no texts.
    """
    reads = (part.name for name in names for part in parts(name) if not isinstance(part, FusedName | RankingName))
    if not labelled.queries and (reader := next(reads, "")):
        raise BadRequest(
            f"system {reader!r} reads queries, and {labelled.name!r} has only their ids; give their texts with "
            "--queries, or name files of rankings"
        )
    ceilings = [limit.quantile for limit in limits if isinstance(limit, Ceiling)]
    wanted = [limit.measure for limit in limits if not isinstance(limit, Ceiling)]
    if ceilings and (file := _ranking_in(names[1])):
        raise BadRequest(
            f"candidate {file!r} is a file of rankings, and nobody knows the time that they took, so no limit of "
            f"{ceilings[0]} can be held against it; leave the limit out, or name the system itself"
        )
    if wish.samples is not None:
        samples = wish.samples
    elif ceilings:
        samples = P99_SAMPLES if "p99" in ceilings else SAMPLES
    else:
        samples = 0 if any(map(_ranking_in, names)) or not labelled.queries else SAMPLES
    return EvaluateHow(
        measures=tuple(dict.fromkeys((*wish.measures, *wanted))),
        depth=wish.depth,
        samples=samples,
        confidence=wish.drawing.confidence,
        resamples=wish.drawing.resamples,
        seed=wish.drawing.seed,
        limits=limits,
    )


def _ranking_in(name: SystemName) -> str:
    """A file of rankings that a system is, or is made of."""
    return next((part.name for part in parts(name) if isinstance(part, RankingName)), "")


def _refuse_idle(there: Sequence[SystemName]) -> None:
    """A flag that changes nothing would be taken for one that did."""
    for flag, (kinds, what) in IDLE.items():
        if is_given(flag) and not any(isinstance(part, kinds) for part in there):
            raise BadRequest(f"--{flag.replace('_', '-')} would change nothing, as no system {what}; leave it out")


def machine(settings: Settings) -> str:
    """For people: what decides speed."""
    threads = settings.threads or usable_threads()
    return f"{platform.system()} {platform.machine()}, {threads} threads, {library_of(settings.runtime)}"


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Within it Ctrl-C and SIGTERM are the end, with the exit code that shells give them."""
    wait(asyncio.sleep(0))  # a loop that is half made when a signal comes says so when Python lets go of it
    stop = Stop()
    try:
        with heard(stop):
            yield stop
            stop.check()
    except Stopped:
        # a request that was made and not yet sent: Python says so when it lets go of it, and nobody can mend it
        warnings.filterwarnings("ignore", message="coroutine .* was never awaited", category=RuntimeWarning)
        click.echo(f"error: {signal.Signals(stop.number).name} came before the end", err=True)
        sys.exit(128 + stop.number)
