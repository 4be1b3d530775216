"""The pages that are made, not written: docs/reference.md, .env.example, and the README's table of measurements.

python tests/support/reference.py      # writes them; a test says when they are out of date
"""

import json
from dataclasses import fields
from pathlib import Path

import click

from embedstack import errors
from embedstack.cli import COMMANDS, cli
from embedstack.dialects import open_dialects
from embedstack.dialects.dialect import Page
from embedstack.server.table import OWN_PAGES, places
from embedstack.settings import Settings, environment_names, example

ROOT = Path(__file__).parents[2]
MARKS = "<!-- measured -->\n", "<!-- /measured -->"


def pages() -> dict[Path, str]:
    """Every made file with the text that it should have."""
    return {
        ROOT / "docs/reference.md": reference(),
        ROOT / ".env.example": example(),
        ROOT / "README.md": with_measurements((ROOT / "README.md").read_text()),
    }


def reference() -> str:
    parts = ["# Reference", "This page is made from the code by `python tests/support/reference.py`."]
    return "\n\n".join([*parts, *settings(), *commands(), *routes(), *error_table()]) + "\n"


def settings() -> list[str]:
    rows = ["| setting | default | variable | |", "|---|---|---|---|"]
    for row in fields(Settings):
        default = (
            "the user's cache folder" if row.name == "cache_dir" else f"`{row.default}`" if row.default != "" else ""
        )
        names = ", ".join(f"`{name}`" for name in environment_names(row))
        rows.append(f"| `--{row.name.replace('_', '-')}` | {default} | {names} | {row.metadata['help']} |")
    about = "A flag beats the environment, which beats `.env` (or the file that `--env-file` names)."
    return ["## Settings", about, "\n".join(rows)]


def commands() -> list[str]:
    made = ["## Commands"]
    with click.Context(cli, info_name="embedstack") as top:
        for name in COMMANDS:
            command = cli.get_command(top, name)
            assert command is not None
            made += _command(command, f"embedstack {name}", top)
    return made


def _command(command: click.Command, path: str, parent: click.Context) -> list[str]:
    context = click.Context(command, info_name=path.split()[-1], parent=parent)
    own = {f"--{row.name.replace('_', '-')}" for row in fields(Settings)}
    options = [p for p in command.params if isinstance(p, click.Option) and not own & set(p.opts)]
    rows = [f"| `{', '.join([*p.opts, *p.secondary_opts])}` | {p.help or ''} |" for p in options]
    table = ["\n".join(["| option | |", "|---|---|", *rows])] if rows else []
    made = [
        f"### `{' '.join([path, *command.collect_usage_pieces(context)])}`",
        command.get_short_help_str(200),
        *table,
    ]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            made += _command(below, f"{path} {name}", context)
    return made


def routes() -> list[str]:
    rows = ["| at the root | under its prefix | |", "|---|---|---|"]
    table = places(open_dialects())
    winners = {(place.method, place.path): place.dialect.name for place in table if place.at_root}
    for place in table:
        if not place.at_root:
            path = place.serves.path
            short = (
                f"`{place.method} {path}`"
                if winners[place.method, path] == place.dialect.name
                else f"({winners[place.method, path]})"
            )
            about = place.serves.summary
            rows.append(
                f"| {short} | `{place.path}` | {about}{' ' if isinstance(place.serves, Page) else ''} |".replace(
                    "  |", " |"
                )
            )
    own = ", ".join(f"`GET {page}`" for page in OWN_PAGES)
    return ["## Routes", "\n".join(rows), f"And the server's own: {own}."]


def error_table() -> list[str]:
    rows = ["| error | HTTP status | code | worth a retry | exit code | |", "|---|---|---|---|---|---|"]
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.EmbedstackError) and kind is not errors.EmbedstackError:
            about = (kind.__doc__ or "").splitlines()[0]
            rows.append(
                f"| `{kind.__name__}` | {kind.status} | `{kind.code}` | {'yes' if kind.retry else 'no'} | {kind.exit_code} | {about} |"
            )
    return ["## Errors", "A dialect may send the status and the words of its original instead.", "\n".join(rows)]


def with_measurements(readme: str) -> str:
    """The README with its table made anew from bench/results."""
    start, end = readme.index(MARKS[0]) + len(MARKS[0]), readme.index(MARKS[1])
    return readme[:start] + measurements() + readme[end:]


def measurements() -> str:
    path, quality_path = ROOT / "bench/results/minilm.json", ROOT / "bench/results/quality.json"
    if not path.exists() or not quality_path.exists():
        return ""
    made, scored = json.loads(path.read_text()), json.loads(quality_path.read_text())
    machine, speed, start = made["machine"], made["speed"], made["start"]
    theirs, ours = speed["texts_per_s"].values()
    scores = scored["scores"]
    judge = scores.pop("sentence-transformers")
    rows = [
        f"all-MiniLM-L6-v2, {machine['threads']} threads of {machine['processor']}, {machine['precision'].split(',')[0]}, beside "
        f"{made['peer']}, in one run ({machine['date']}, commit {machine['commit']}):",
        "",
        "| | embedstack | sentence-transformers | |",
        "|---|---|---|---|",
        f"| texts/s (512 texts, mean 81 tokens), median of 5 rounds | {ours['median']:.0f} | {theirs['median']:.0f} | {speed['ratio']} x |",
        f"| share of the processor's own matrix product limit ({made['matmul']['limit_gflops']:.0f} GFLOP/s), measured in the same run | {made['matmul']['share']:.0%} | | |",
        f"| start of the process to the first vector | {start['first_vector_s']['median']:.2f} s | | {start['ratio']} x the bare imports |",
        f"| anonymous memory of the server | {made['memory']['anonymous_mb']:.0f} MB | | and {made['memory']['file_backed_mb']:.0f} MB of file pages |",
        f"| cosine to float64, least of {made['fidelity']['texts']} | {made['fidelity']['cosine_to_float64']['min']:.7f} | | |",
    ]
    for name, row in scores.items():
        precision = name.removeprefix("embedstack ")
        rows += [f"| {metric}, {precision} | {value:.4f} | {judge[metric]:.4f} | |" for metric, value in row.items()]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
