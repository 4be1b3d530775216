"""What an evaluation found -> files in a folder, and the report on stdout."""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import click

from embedstack.catalog.network import to_stderr
from embedstack.cli.eval_flags import Said
from embedstack.cli.eval_folder import file_names, write_files
from embedstack.evals.evaluating import Evaluated
from embedstack.evals.reports.reporting import to_html, to_json, to_markdown
from embedstack.evals.sets.rankings import write_run


def files_of(made: Evaluated) -> tuple[dict[str, Callable[[Path], object]], str]:
    """Path within a folder -> who writes it, and what is left out. The JSON is last: where it is, all is."""
    report, rankings, left_out = made.report, made.rankings, ""
    if (odd := _odd_id(made)) is not None:
        rankings, left_out = {}, f"no rankings, as the id {odd!r} has white space"
    runs = {
        f"runs/{file}.run": partial(write_run, rankings=rankings[system], tag=system)
        for system, file in file_names(rankings).items()
    }
    texts = {
        "report.html": partial(write_text, text=to_html(report)),
        "report.md": partial(write_text, text=to_markdown(report)),
        "report.json": partial(write_text, text=to_json(report).decode()),
    }
    return {**runs, **texts}, left_out


def save(folder: Path, said: Said, files: Mapping[str, Callable[[Path], object]], left_out: str = "") -> None:
    """Into the folder, and say so.

    Raises:
        ConfigError: it cannot be written.
    """
    write_files(folder, files)
    if not said.is_quiet:
        to_stderr("; ".join(part for part in (f"{folder}: {', '.join(files)}", left_out) if part))


def show(said: Said, for_machines: bytes, for_people: str) -> None:
    """On stdout; a sign that its encoding lacks becomes a question mark."""
    encoding = sys.stdout.encoding or "utf-8"
    click.echo(for_machines if said.is_json else for_people.encode(encoding, "replace").decode(encoding), nl=False)


def write_text(path: Path, text: str) -> None:
    """UTF-8."""
    path.write_text(text, encoding="utf-8")


def _odd_id(made: Evaluated) -> str | None:
    """An id that a file of rankings cannot hold."""
    ids = (
        one
        for rankings in made.rankings.values()
        for query, hits in rankings.items()
        for one in (query, *(hit.document for hit in hits))
    )
    return next((one for one in ids if one.split() != [one]), None)
