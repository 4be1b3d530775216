"""`embedstack eval gate`: a baseline, a candidate and limits become an exit code."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from embedstack.cli.eval_flags import EVAL_MODEL, PATH, Wish, evaluation_options
from embedstack.cli.eval_work import evaluated
from embedstack.cli.flags import setting_flags
from embedstack.errors import BadRequest
from embedstack.evals.gate import EXIT_CODES
from embedstack.evals.limits import PRESETS, Ceiling, Limit, Margin, Share, parse_limit

DEFAULT = "default"  # of PRESETS


@click.command()
@click.argument("data", type=PATH)
@click.argument("baseline")
@click.argument("candidate")
@click.option("--preset", type=click.Choice(list(PRESETS)), help=f"limits by name [default: {DEFAULT}, without limits]")
@click.option("--at-least", multiple=True, metavar="MEASURE=SHARE", help="of the baseline's; may be repeated")
@click.option("--margin", multiple=True, metavar="MEASURE=LOSS", help="that is allowed; may be repeated")
@click.option("--p50-ms", type=float, metavar="MS", help="most milliseconds of the median query")
@click.option("--p99-ms", type=float, metavar="MS", help="most milliseconds of the 99th percentile")
@evaluation_options
@setting_flags(*EVAL_MODEL)
def gate(
    data: Path, baseline: str, candidate: str, preset: str | None, at_least: tuple[str, ...], margin: tuple[str, ...],
    p50_ms: float | None, p99_ms: float | None, wish: Wish, **flags: object,
) -> None:  # fmt: skip
    """Say whether CANDIDATE may take the place of BASELINE: no worse than is allowed, and not by luck.

    \b
    embedstack eval gate questions.csv all-MiniLM-L6-v2 bge-m3                nDCG@10 less than 0.02 below
    embedstack eval gate questions.csv bge-m3 bge-m3@onnx:int8 --at-least ndcg@10=0.98 --margin mrr@10=0.01
    embedstack eval gate questions.csv bge-m3 http://localhost:6333#docs --p50-ms 100 --p99-ms 500
    embedstack eval gate questions.csv old.run new.run --margin recall@100=0.01

    --preset d15: 0.90 of the baseline's ndcg@10 and mrr@10, 0.95 of its recall@100, p50 100 ms, p99 500 ms. Limits that
    are given beside a preset take the place of its own of the same kind.
    Exit codes: 0 PASS, 10 FAIL, 11 INCONCLUSIVE: too few queries to say, and it says how many would do; 2 bad input,
    3 another space, 5 an endpoint or a database is away, 130 Ctrl-C.
    """
    given: list[Limit] = [*map(share, at_least), *map(margin_of, margin), *ceilings(p50_ms, p99_ms)]
    report = evaluated(data, (baseline, candidate), wish, flags, limits_of(preset, given))
    assert report.verdict is not None
    sys.exit(EXIT_CODES[report.verdict])


def limits_of(preset: str | None, given: Sequence[Limit]) -> tuple[Limit, ...]:
    """Those of the preset, but for kinds that are given.

    Raises:
        BadRequest: two of one kind are given.
    """
    kinds = [_kind(limit) for limit in given]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise BadRequest(f"two limits of {kind[1]} are given, and only one can hold; leave one out")
    there = PRESETS[preset] if preset else () if given else PRESETS[DEFAULT]
    return (*(limit for limit in there if _kind(limit) not in kinds), *given)


def share(text: str) -> Share:
    """MEASURE=SHARE."""
    limit = parse_limit(text)
    if not isinstance(limit, Share):
        raise BadRequest(f"--at-least {text!r} is no share of the baseline's; write for example ndcg@10=0.98")
    return limit


def margin_of(text: str) -> Margin:
    """MEASURE=LOSS."""
    measure, equals, loss = text.partition("=")
    if not equals or loss.strip().startswith("-") or measure.strip().lower() in ("p50", "p99"):
        raise BadRequest(f"--margin {text!r} is no loss of a measure; write for example mrr@10=0.01")
    limit = parse_limit(f"{measure}=-{loss.strip()}")
    assert isinstance(limit, Margin)
    return limit


def ceilings(p50_ms: float | None, p99_ms: float | None) -> Iterable[Ceiling]:
    """Those that are given."""
    if p50_ms is not None:
        yield Ceiling("p50", p50_ms)
    if p99_ms is not None:
        yield Ceiling("p99", p99_ms)


def _kind(limit: Limit) -> tuple[type, str]:
    return type(limit), limit.quantile if isinstance(limit, Ceiling) else limit.measure
