"""`embedstack models families`: which families of models there are, and what is proven of each."""

import json
from dataclasses import asdict

import click

from embedstack.proof.families import Proven, proven

COLUMNS = ("FAMILY", "PROVEN", "HEADS", "OFF", "RUNTIMES", "MUTATIONS", "JUDGE")
LEVELS = {
    "weights": "real weights of a published model were compared, too",
    "graph": "the graph was compared with another implementation, over drawn weights",
    "none": "nothing was recorded",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
def families(as_json: bool) -> None:
    """Families of models, by the model_type of config.json, and what test runs have proven of each.

    HEADS are the outputs that were compared, and image where vectors of pictures were. OFF is the largest difference
    from the judge in any runtime, as a share of its largest number; MUTATIONS are ways to be wrong (a gate for its
    input, a window off by one) that the comparison was shown to see.
    """
    rows = proven()
    if as_json:
        click.echo(json.dumps([{**asdict(row), "level": row.level} for row in rows], indent=2))
        return
    click.echo(_table(rows))
    click.echo("\n" + "\n".join(f"{level}: {says}" for level, says in LEVELS.items()))


def _table(rows: list[Proven]) -> str:
    lines: list[tuple[str, ...]] = [COLUMNS, *map(_line, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _line(row: Proven) -> tuple[str, ...]:
    return (
        row.family,
        row.level,
        " ".join(row.heads),
        f"{max(row.runtimes.values()):.0e}" if row.runtimes else "",
        " ".join(row.runtimes),
        str(len(row.mutations)) if row.cases else "",
        row.judge,
    )
