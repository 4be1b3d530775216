"""The settings table as command line flags."""

from collections.abc import Callable
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import click

from embedstack.settings import Settings, default_text, environment_names, read_settings

Command = TypeVar("Command", bound=Callable[..., object])
MODEL = (
    "runtime",
    "precision",
    "allow_unproven",
    "device",
    "threads",
    "lanes",
    "batch_tokens",
    "truncate",
    "cache_dir",
    "offline",
    "hf_endpoint",
    "max_text_chars",
)
SECRETS = ", ".join(environment_names(row)[-1] for row in fields(Settings) if row.metadata["secret"])


def setting_flags(*names: str) -> Callable[[Command], Command]:
    """A decorator that adds a flag for each of these settings (all of them if none is named) and `--env-file`.

    Secrets get none: what stands on the command line stands in the list of processes.
    """

    def decorate(command: Command) -> Command:
        kinds = get_type_hints(Settings)
        plain = [row for row in fields(Settings) if not row.metadata["secret"]]
        for row in reversed([row for row in plain if not names or row.name in names]):
            command = _option(row, kinds[row.name])(command)
        env_file = click.option(
            "--env-file",
            type=click.Path(path_type=Path),
            help=f"read settings from this file instead of .env; secrets have no flags, only variables: {SECRETS}",
        )
        return env_file(command)

    return decorate


def _option(row: "Field[Any]", kind: Any) -> Callable[[Command], Command]:
    """Every value is text here: `settings` converts it, so that flags and variables are refused in the same words."""
    flag = f"--{row.name.replace('_', '-')}"
    default = f"default {default_text(row)}; " if default_text(row) else ""
    text = f"{row.metadata['help']} [{default}{', '.join(environment_names(row))}]"
    if kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", row.name, default=None, help=text)
    shown = {int: "NUMBER", str: "TEXT", Path: "FOLDER"}.get(kind) or "|".join(get_args(kind))
    return click.option(flag, row.name, metavar=shown, help=text)


def settings_from(flags: dict[str, object], profile: str | None = None) -> Settings:
    """The settings in force.

    Args:
        flags: what click gave for the options of `setting_flags`.
        profile: see `read_settings`.
    """
    env_file = flags.get("env_file")
    assert env_file is None or isinstance(env_file, Path)
    return read_settings(flags, env_file, profile=profile)
