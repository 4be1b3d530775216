"""`embedstack doctor`: what this machine has, and what every setting is."""

import platform
import re
import sys
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import click
import orjson
import psutil

from embedstack import __version__
from embedstack.catalog import entries
from embedstack.cli.flags import setting_flags, settings_from
from embedstack.runtimes import RUNTIMES
from embedstack.runtimes.processor import choose_precision, usable_threads
from embedstack.settings import Settings, environment_names

PACKAGES = (
    "openvino",
    "onnxruntime",
    "torch",
    "sentence_transformers",
    "tokenizers",
    "numpy",
    "huggingface_hub",
    "uvicorn",
    "pyarrow",
)
Report = dict[str, dict[str, object]]

PASSWORD = re.compile(r"((?:ssl)?password)=[^&#,]*", re.IGNORECASE)  # as PostgreSQL's URLs may have it


@click.command()
@click.option("--settings", "only_settings", is_flag=True, help="only the settings: name, value, variables")
@click.option("--json", "is_json", is_flag=True, help="for machines")
@setting_flags()
def doctor(only_settings: bool, is_json: bool, **flags: object) -> None:
    """Show what this machine has, and what every setting is.

    \b
    embedstack doctor
    embedstack doctor --settings --port 9000            what the settings are, and the variable of each
    embedstack doctor --json

    Nothing is loaded, fetched or sent. Secrets are masked, so the output can go into a bug report.
    """
    settings = settings_from(flags)
    report: Report = {} if only_settings else {"machine": machine(settings), "packages": packages()}
    report["settings"] = {row.name: shown(settings, row.name) for row in fields(Settings)}
    if is_json:
        click.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
    else:
        click.echo("\n\n".join(_table(title, lines) for title, lines in report.items()))


def _table(title: str, lines: dict[str, object]) -> str:
    """Name and value, and for a setting its variables."""
    variables = {row.name: ", ".join(environment_names(row)) for row in fields(Settings)} if title == "settings" else {}
    wide = max(len(str(value)) for value in lines.values())
    rows = (f"  {name:<21} {value!s:<{wide}}  {variables.get(name, '')}".rstrip() for name, value in lines.items())
    return "\n".join((title, *rows))


def machine(settings: Settings) -> dict[str, object]:
    """Facts that decide speed and what can be served."""
    return {
        "embedstack": __version__,
        "python": f"{platform.python_version()} at {sys.executable}",
        "system": platform.platform(),
        "threads": settings.threads or usable_threads(),
        "auto_precision": choose_precision("auto")[1],
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "free_disk_gb": round(psutil.disk_usage(str(_existing(settings.cache_dir))).free / 1e9, 1),
        "runtimes": ", ".join(RUNTIMES),
        "catalog": ", ".join(entry.name for entry in entries()),
    }


def packages() -> dict[str, object]:
    """Versions of the packages that matter; absent ones are said to be absent."""
    return {name: _version(name) if find_spec(name) else "not installed" for name in PACKAGES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "installed, version unknown"


def _existing(folder: Path) -> Path:
    """The nearest folder above that is there."""
    return next(place for place in (folder, *folder.absolute().parents) if place.is_dir())


def shown(settings: Settings, name: str) -> int | str:
    """A setting's value; a secret, also one inside a URL, is masked."""
    value = getattr(settings, name)
    (row,) = (row for row in fields(Settings) if row.name == name)
    if row.metadata["secret"]:
        return "***" if value else ""
    if isinstance(value, int):
        return value
    return PASSWORD.sub(r"\1=***", re.sub(r"//[^/]*@", "//***@", str(value)))
