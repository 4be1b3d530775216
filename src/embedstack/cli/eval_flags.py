"""Words on the command line of `embedstack eval` -> what is judged, how, and where the report goes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TypeAlias, get_args

import click

from embedstack.cli.flags import MODEL
from embedstack.evals.evaluating import EvaluateHow
from embedstack.evals.measures import DEFAULT
from embedstack.evals.sets.halves import Half
from embedstack.evals.systems.fused import Fusion
from embedstack.evals.systems.indexes import Similarity
from embedstack.evals.systems.opening import SystemHow
from embedstack.search.analysis import Language

Command: TypeAlias = Callable[..., None]
Decorator: TypeAlias = Callable[[Command], Command]
EVAL_MODEL = tuple(name for name in MODEL if name != "truncate")  # what is cut is counted, and nothing refused
PATH = click.Path(path_type=Path)  # whether it is there, who reads it says


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Where the report goes, and what is said meanwhile."""

    out: Path | None
    is_json: bool
    is_quiet: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How intervals are made."""

    confidence: float
    resamples: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is judged and how; the models have flags of their own."""

    split: str
    half: Half | None  # None: all queries
    documents: Path | None
    queries: Path | None
    systems: SystemHow
    measures: tuple[str, ...]
    depth: int
    samples: int | None  # None: as many as make sense
    drawing: Drawing
    said: Said


def weights_of(context: click.Context, param: click.Parameter, given: str | None) -> tuple[float, ...]:
    """Numbers with commas between."""
    try:
        return tuple(float(one) for one in given.split(",")) if given else ()
    except ValueError:
        raise click.BadParameter(f"{given!r} are no numbers; example: 2,1", context, param) from None


DATA = (
    click.option("--split", default="", help="of a BEIR folder [default: test, or the only one]"),
    click.option(
        "--half", type=click.Choice(get_args(Half)),
        help="only half of the queries, by --seed: choose by one, and judge by the other",
    ),
    click.option("--documents", type=PATH, metavar="FILE", help="the texts that a file of judgements names by id"),
    click.option("--queries", type=PATH, metavar="FILE", help="the queries, likewise"),
)  # fmt: skip
SYSTEMS = (
    click.option(
        "--fusion", type=click.Choice(get_args(Fusion)), default=SystemHow().fusion, show_default=True,
        help="how A+B becomes one ranking: by ranks, or by scores",
    ),
    click.option("--rrf-k", type=int, default=SystemHow().rrf_k, show_default=True, help="of rrf; 1 to 5: one answer"),
    click.option("--weights", callback=weights_of, metavar="N,N", help="of what is fused; rrf: none are equal ones"),
    click.option(
        "--rerank-top", type=click.IntRange(min=1), default=SystemHow().rerank_top, show_default=True,
        help="documents that a reranker scores of each query",
    ),
    click.option("--skip-settled", is_flag=True, help="do not rerank where the first ranking is sure"),
    click.option(
        "--language", type=click.Choice(get_args(Language)), default=SystemHow().language, show_default=True,
        help="of a bm25 that names none",
    ),
    click.option("--dim", type=int, help="a shorter width, for models trained for it (Matryoshka)"),
    click.option(
        "--similarity", type=click.Choice(get_args(Similarity)), default=SystemHow().similarity, show_default=True,
        help="how vectors are compared",
    ),
    click.option(
        "--query-role", default=SystemHow().query_role, show_default=True,
        help="whose prompt stands in front of queries; none: no prompt",
    ),
    click.option("--document-role", default=SystemHow().document_role, show_default=True, help="and of documents"),
)  # fmt: skip
MEASURES = (
    click.option(
        "--measure", "measures", multiple=True, default=DEFAULT, show_default=True, metavar="NAME",
        help="ndcg, mrr, recall, precision, hit, map, judged, with @10 or another cut; may be repeated",
    ),
    click.option(
        "--depth", type=click.IntRange(min=1), default=EvaluateHow().depth, show_default=True,
        help="documents of each ranking",
    ),
    click.option(
        "--samples", type=click.IntRange(min=0),
        help="queries that are sent alone and timed [default: 200; 1000 where a gate has a limit of p99]",
    ),
)  # fmt: skip
SAID = (
    click.option("--out", type=PATH, metavar="FOLDER", help="write JSON, Markdown and HTML there, and rankings"),
    click.option("--json", "is_json", is_flag=True, help="the report as JSON, for machines"),
    click.option("-q", "--quiet", "is_quiet", is_flag=True, help="no progress, only the report"),
)


def drawing_flags(resamples: int) -> Sequence[Decorator]:
    """Args: resamples: unless the user says another number."""
    return (
        click.option("--confidence", type=float, default=0.95, show_default=True, help="of intervals, below 1"),
        click.option("--resamples", type=int, default=resamples, show_default=True, help="draws of each interval"),
        click.option("--seed", type=int, default=0, show_default=True, help="another one, other draws"),
    )


def said_options(command: Command) -> Command:
    """A decorator that adds the flags of a report; the command is given `said`."""

    @wraps(command)
    def called(*, out: Path | None, is_json: bool, is_quiet: bool, **rest: object) -> None:
        command(said=Said(out=out, is_json=is_json, is_quiet=is_quiet), **rest)

    return _with(SAID, called)


def drawing_options(resamples: int) -> Decorator:
    """A decorator that adds the flags of intervals; the command is given `drawing`."""

    def decorate(command: Command) -> Command:
        @wraps(command)
        def called(*, confidence: float, resamples: int, seed: int, **rest: object) -> None:
            command(drawing=Drawing(confidence=confidence, resamples=resamples, seed=seed), **rest)

        return _with(drawing_flags(resamples), called)

    return decorate


def evaluation_options(command: Command) -> Command:
    """A decorator that adds all flags of an evaluation; the command is given `wish`."""

    @wraps(command)
    def called(
        *, split: str, half: Half | None, documents: Path | None, queries: Path | None, fusion: Fusion, rrf_k: int,
        weights: tuple[float, ...], rerank_top: int, skip_settled: bool, language: Language, dim: int | None,
        similarity: Similarity, query_role: str, document_role: str, measures: tuple[str, ...], depth: int,
        samples: int | None, drawing: Drawing, said: Said, **rest: object,
    ) -> None:  # fmt: skip
        systems = SystemHow(
            fusion=fusion, rrf_k=rrf_k, weights=weights, depth=depth, rerank_top=rerank_top,
            skips_settled=skip_settled, dim=dim, similarity=similarity, query_role=query_role,
            document_role=document_role, language=language,
        )  # fmt: skip
        wish = Wish(
            split=split, half=half, documents=documents, queries=queries, systems=systems, measures=measures,
            depth=depth, samples=samples, drawing=drawing, said=said,
        )  # fmt: skip
        command(wish=wish, **rest)

    drawn = drawing_options(EvaluateHow().resamples)(said_options(called))
    return _with((*DATA, *SYSTEMS, *MEASURES), drawn)


def _with(options: Sequence[Decorator], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
