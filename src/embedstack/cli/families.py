"""`embedstack models families`: which families of models there are, and what is proven of each."""

import json
from dataclasses import asdict

import click

from embedstack.proof.families import Proven, proven

LEVELS = {
    "weights": "real weights of a published model were compared, too",
    "graph": "the graph was compared with another implementation, over drawn weights",
    "none": "nothing was recorded",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
def families(as_json: bool) -> None:
    """Families of models, by the model_type of config.json, and what test runs have proven of each.

    OFF is the largest difference from the judge in any runtime, as a share of its largest number; MUTATIONS are ways to
    be wrong (a gate for its input, a window off by one) that the comparison was shown to see.
    """
    rows = proven()
    if as_json:
        click.echo(json.dumps([{**asdict(row), "level": row.level} for row in rows], indent=2))
        return
    click.echo(_table(rows))
    click.echo("\n" + "\n".join(f"{level}: {says}" for level, says in LEVELS.items()))


def _table(rows: list[Proven]) -> str:
    lines = [("FAMILY", "PROVEN", "OFF", "RUNTIMES", "MUTATIONS", "JUDGE")]
    for row in rows:
        off = f"{max(row.runtimes.values()):.0e}" if row.runtimes else ""
        lines.append(
            (
                row.family,
                row.level,
                off,
                " ".join(row.runtimes),
                str(len(row.mutations)) if row.cases else "",
                row.judge,
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, [*widths, 0], strict=True)).rstrip() for line in lines)
