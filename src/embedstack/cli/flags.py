"""The settings table as command line flags."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TypeVar, get_type_hints

import click

from embedstack.settings import Settings, environment_names, read_settings

Command = TypeVar("Command", bound=Callable[..., object])
MODEL = (
    "runtime",
    "precision",
    "threads",
    "batch_tokens",
    "cache_dir",
    "offline",
    "hf_endpoint",
    "hf_token",
    "max_text_chars",
)


def setting_flags(*names: str) -> Callable[[Command], Command]:
    """A decorator that adds a flag for each of these settings (all of them if none is named) and `--env-file`."""

    def decorate(command: Command) -> Command:
        kinds = get_type_hints(Settings)
        for row in reversed([row for row in fields(Settings) if not names or row.name in names]):
            flag = f"--{row.name.replace('_', '-')}"
            default = "" if row.metadata["secret"] or row.name == "cache_dir" else f"default {row.default!s}; "
            text = f"{row.metadata['help']} [{default}{environment_names(row)[0]}]"
            spelled = f"{flag}/--no-{flag[2:]}" if kinds[row.name] is bool else flag
            command = click.option(spelled, row.name, default=None, help=text)(command)
        env_file = click.option(
            "--env-file", type=click.Path(path_type=Path), help="read settings from this file instead of .env"
        )
        return env_file(command)

    return decorate


def settings_from(flags: dict[str, object]) -> Settings:
    """The settings in force; `flags` is what click gave for the options of `setting_flags`."""
    env_file = flags.pop("env_file", None)
    assert env_file is None or isinstance(env_file, Path)
    return read_settings(flags, env_file)
