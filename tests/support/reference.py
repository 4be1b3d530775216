"""What is made, not written: docs/reference.md, .env.example, tables of the README and of pages of docs/.

python tests/support/reference.py      # writes them; a test says when they are out of date
"""

import json
import re
import sys
from dataclasses import fields
from pathlib import Path

import click

from embedstack import errors
from embedstack.cli import COMMANDS, cli
from embedstack.dialects import open_dialects
from embedstack.proof.families import HEADS, Proven, proven
from embedstack.server.table import OWN_PAGES, OWN_POSTS, places
from embedstack.settings import Settings, environment_names, example

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
MARKS = "<!-- measured -->\n", "<!-- /measured -->"
CONFUSION = "<!-- confusion -->\n", "<!-- /confusion -->"
LANGUAGES = {"python": "python", "node": "js"}
CLIENTS = "<!-- clients -->\n", "<!-- /clients -->"
PROVEN = "<!-- families -->\n", "<!-- /families -->"


def pages() -> dict[Path, str]:
    """Every made file with the text that it should have."""
    return {
        ROOT / "docs/reference.md": reference(),
        ROOT / ".env.example": example(),
        ROOT / "README.md": with_measurements((ROOT / "README.md").read_text()),
        ROOT / "docs/proof.md": with_confusion((ROOT / "docs/proof.md").read_text()),
        ROOT / "docs/clients.md": with_clients((ROOT / "docs/clients.md").read_text()),
        ROOT / "docs/models.md": with_families((ROOT / "docs/models.md").read_text()),
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
    with click.Context(cli, info_name="embedstack", **cli.context_settings) as top:
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
            made += [] if below.hidden else _command(below, f"{path} {name}", context)
    return made


def routes() -> list[str]:
    root = ["| at the root | dialects, the first one first |", "|---|---|"]
    under = ["| under its prefix | |", "|---|---|"]
    prefixes = tuple(dialect.prefix for dialect in open_dialects())
    for place in places(open_dialects()):
        if place.path.startswith(prefixes):
            about = " Or: ".join(dict.fromkeys(one.what.summary for one in place.servings))
            under.append(f"| `{place.method} {place.path}` | {about} |")
        else:
            names = ", ".join(dict.fromkeys(one.dialect.name for one in place.servings))
            root.append(f"| `{place.method} {place.path}` | {names} |")
    own = ", ".join([*(f"`GET {page}`" for page in OWN_PAGES), *(f"`POST {path}`" for path in OWN_POSTS)])
    rule = (
        "Where several dialects have one path at the root, the first in this order answers whose shape the body has; "
        "`--dialect` puts others first. A reply of a shape that others share also holds the keys that theirs have more."
    )
    return ["## Routes", rule, "\n".join(root), "\n".join(under), f"And the server's own: {own}."]


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
    """The README with its table made anew from bench/results, or as it is where there is none."""
    start, end = readme.index(MARKS[0]) + len(MARKS[0]), readme.index(MARKS[1])
    return readme[:start] + (measurements() or readme[start:end]) + readme[end:]


def measurements() -> str:
    path, quality_path = ROOT / "bench/results/compare.json", ROOT / "bench/results/quality.json"
    if not path.exists() or not quality_path.exists():
        return ""
    made, scores = json.loads(path.read_text()), json.loads(quality_path.read_text())["scores"]
    machine, mixed = made["machine"], made["sets"]["mixed"]
    rows = [
        f"{made['model']}, {made['threads']} threads of {machine['processor']}, everyone with the same weights and "
        f"each peer at its best batch size, {made['rounds']} interleaved rounds over {mixed['texts']} texts of "
        f"{mixed['mean_tokens']:.0f} tokens on average ({machine['date']}, commit {machine['commit']}):",
        "",
        "![texts per second](bench/results/compare.svg)",
        "",
        "| | texts/s | one query, p50 | start to first vector | anonymous memory | least cosine to float64 |",
        "|---|---|---|---|---|---|",
        *map(_contender, *zip(*_fastest_first(made["contenders"]), strict=True)),
        "",
    ]
    judge = scores.pop("sentence-transformers")
    rows += [
        "| quality | " + " | ".join(["sentence-transformers", *scores]) + " |",
        "|---|" + "---|" * (len(scores) + 1),
    ]
    for metric, value in judge.items():
        rows.append(
            "| " + " | ".join([metric, f"{value:.4f}", *(f"{row[metric]:.4f}" for row in scores.values())]) + " |"
        )
    server, bare = made["server"], made["bare_imports_s"]["median"]
    rows += [
        "",
        f"The server holds {server['anonymous_mb']:.0f} MB of anonymous memory and {server['file_backed_mb']:.0f} MB of file "
        f"pages; importing the libraries alone takes {bare:.2f} s. All aims, other texts and what was skipped: "
        "[the whole table](bench/results/compare.md).",
    ]
    return "\n".join(rows) + "\n"


def _fastest_first(contenders: dict) -> list[tuple[str, dict]]:
    return sorted(contenders.items(), key=lambda pair: -pair[1]["speed"]["mixed"]["texts_per_s"]["median"])


def _contender(name: str, one: dict) -> str:
    cells = [
        f"**{name}**" if name.startswith("embedstack") else name,
        f"{one['speed']['mixed']['texts_per_s']['median']:.0f}",
        f"{one['latency_ms']['p50']:.1f} ms",
        f"{one['start_s']['median']:.1f} s",
        f"{one['memory']['anonymous_mb']:.0f} MB",
        f"{one['fidelity']['cosine_to_float64']['min']:.7f}",
    ]
    return f"| {' | '.join(cells)} |"


def with_confusion(page: str) -> str:
    """What tests/support/confusion.py recorded: one table for each model, a row for each fault."""
    recorded = json.loads((ROOT / "tests/golden/confusion.json").read_text())
    start, end = page.index(CONFUSION[0]) + len(CONFUSION[0]), page.index(CONFUSION[1])
    return page[:start] + "\n".join(_confusion(name, rows) for name, rows in recorded.items()) + page[end:]


def _confusion(name: str, rows: dict[str, dict[str, str]]) -> str:
    precisions = list(rows["right"])
    lines = [f"| {name} | {' | '.join(precisions)} |", f"|---|{'---|' * len(precisions)}"]
    lines += [f"| {fault} | {' | '.join(cells[each] for each in precisions)} |" for fault, cells in rows.items()]
    return "\n".join(lines) + "\n"


def with_families(page: str) -> str:
    """The table of families, its last column as test runs wrote it: how far each is proven, in what, and by whom."""
    start, end = page.index(PROVEN[0]) + len(PROVEN[0]), page.index(PROVEN[1])
    head, rule, *rows = page[start:end].splitlines()
    return page[:start] + "\n".join([head, rule, *map(_family, rows)]) + "\n" + page[end:]


def _family(row: str) -> str:
    cells = row.split("|")[1:4]
    told = _told_of([one for one in proven() if f"`{one.family}`" in cells[0]])
    return f"|{'|'.join(cells)}| {told} |"


def _told_of(families: list[Proven]) -> str:
    levels = [" ".join([one.level, *(f"({model})" for model in one.weights)]) for one in families]
    heads = [head for head in HEADS if any(head in one.heads for one in families)]
    packages = [one.partition(" ")[0] for family in families for one in family.judge.split(", ")]
    judges = [package for package in packages if package not in ("", "torch")]
    parts = (levels, heads, judges)
    return "; ".join(", ".join(dict.fromkeys(part)) for part in parts if part)


def with_clients(page: str) -> str:
    """The table of foreign clients, its last column as the last run of each wrote it, and what a user writes for each."""
    table = tomllib.loads((ROOT / "tests/clients/environments.toml").read_text())
    results = json.loads((ROOT / "tests/clients/results.json").read_text())
    rows = [
        "| client | tried | base URL: server address + | nothing else changes | what is called | proof |",
        "|---|---|---|---|---|---|",
    ]
    rows += [_client(row, results.get(name)) for name, row in table.items()]
    parts = ["\n".join(rows), *(_lines(row) for row in table.values())]
    start, end = page.index(CLIENTS[0]) + len(CLIENTS[0]), page.index(CLIENTS[1])
    return page[:start] + "\n\n".join(parts) + "\n" + page[end:]


def _client(row: dict, result: dict | None) -> str:
    versions = [re.sub("==|(?<=.)@", " ", name) for name in row.get("packages", ())]
    base = ", ".join(f"`{one}`" for one in row["base"].split(", "))
    return f"| {row['shown']} | {', '.join(versions)} | {base} | {'no' if row.get('limits') else 'yes'} | {row['calls']} | {_proof(result)} |"


def _proof(result: dict | None) -> str:
    if result is None:
        return "not run"
    failed = {check: why for check, why in result["checks"].items() if why != "passed"}
    count = len(result["checks"])
    said = f"{count - len(failed)} of {count} checks passed, {result['date']}, embedstack {result['embedstack']}"
    return "; ".join([said, *(f"**{check}** {why[:160]}" for check, why in failed.items())]).replace("|", "\\|")


def _lines(row: dict) -> str:
    code = f"```{LANGUAGES[row.get('language', 'python')]}\n{row['lines'].strip()}\n```"
    return "\n\n".join([f"### {row['shown']}", code, *filter(None, [row.get("note"), *row.get("limits", ())])])


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
