"""`embedstack doctor`: what this machine has, and what every setting is."""

import platform
import sys
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import click
import orjson
import psutil

from embedstack import __version__
from embedstack.catalog.catalog import entries
from embedstack.cli.flags import setting_flags, settings_from
from embedstack.errors import ConfigError
from embedstack.runtimes import RUNTIMES
from embedstack.runtimes.processor import choose_precision, usable_threads
from embedstack.settings import Settings, environment_names

PACKAGES = ("openvino", "tokenizers", "numpy", "huggingface_hub", "uvicorn", "pyarrow", "torch")


@click.command()
@click.option("--settings", "only_settings", is_flag=True, help="only the settings: name, value, variable")
@click.option("--json", "is_json", is_flag=True, help="for machines")
@setting_flags()
def doctor(only_settings: bool, is_json: bool, **flags: object) -> None:
    """Show what this machine has, and what every setting is.

    Nothing is loaded, fetched or sent. Secrets are masked, so the output can go into a bug report.
    """
    settings = settings_from(flags)
    report: dict[str, dict[str, object]] = (
        {} if only_settings else {"machine": machine(settings), "packages": packages()}
    )
    report["settings"] = {
        row.name: _shown(settings, row.name, secret=row.metadata["secret"]) for row in fields(Settings)
    }
    if is_json:
        click.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
        return
    for title, lines in report.items():
        click.echo(title)
        for name, value in lines.items():
            click.echo(f"  {name:<18}{value}")
    names = {row.name: ", ".join(environment_names(row)) for row in fields(Settings)}
    click.echo(
        "each setting is also a variable: "
        + "; ".join(f"{name} {names[name]}" for name in ("port", "hf_token"))
        + "; …"
    )


def machine(settings: Settings) -> dict[str, object]:
    """Facts that decide speed and what can be served."""
    try:
        precision = choose_precision(settings.precision)[1]
    except ConfigError as error:
        precision = str(error)
    return {
        "embedstack": __version__,
        "python": f"{platform.python_version()} at {sys.executable}",
        "system": platform.platform(),
        "threads": settings.threads or usable_threads(),
        "precision": precision,
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "free_disk_gb": round(psutil.disk_usage(str(_existing(settings))).free / 1e9, 1),
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


def _existing(settings: Settings) -> object:
    """The nearest folder above the cache that is there."""
    return next(folder for folder in (settings.cache_dir, *settings.cache_dir.absolute().parents) if folder.is_dir())


def _shown(settings: Settings, name: str, *, secret: bool) -> object:
    value = getattr(settings, name)
    if secret:
        return "***" if value else ""
    return value if isinstance(value, int | bool) else str(value)
