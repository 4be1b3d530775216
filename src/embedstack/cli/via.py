"""`--via`: where a command's vectors or scores come from -> a model that is not on this machine."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from click.core import ParameterSource

from embedstack.api import open_router
from embedstack.errors import BadRequest
from embedstack.model import Model
from embedstack.modelspec import Task
from embedstack.settings import Settings, environment

if TYPE_CHECKING:
    from embedstack.client.plan import Plan

Command = TypeVar("Command", bound=Callable[..., object])
HERE = {
    "runtime", "precision", "allow_unproven", "device", "threads", "lanes", "batch_tokens", "max_text_chars",
}  # fmt: skip
"""Flags of a model on this machine."""


def via_option(command: Command) -> Command:
    """A decorator that adds `--via`."""
    option = click.option(
        "--via",
        metavar="WHERE",
        help="ask an endpoint instead of a model on this machine: a provider (runpod, tei, jina, ...), a URL, "
        "PROVIDER=URL, a router.toml, or env for what the environment says",
    )
    return option(command)


def plan_for(via: str, task: Task, model: str | None, flags: Mapping[str, object]) -> "Plan":
    """What `--via` means.

    Raises:
        BadRequest: a flag is given that would change nothing. ConfigError: see `plan_via`.
    """
    from embedstack.client.environment import plan_via  # with httpx, which takes longer to import than a command may

    plan = plan_via(via, task, variables(flags), model=model or "")
    if all(target.url for target in plan.way(task).targets):
        _refuse_idle()
    return plan


def variables(flags: Mapping[str, object]) -> Mapping[str, str]:
    """The environment with what stands in the file that `--env-file` names."""
    env_file = flags.get("env_file")
    assert env_file is None or isinstance(env_file, Path)
    return environment(env_file)


def open_via(plan: "Plan", task: Task, settings: Settings) -> Model:
    """The model of one task, wherever the plan has it."""
    return Model(open_router(plan, settings), task)


def limit_of(max_tokens: int) -> str:
    """What a text was longer than, for people; 0 where the endpoint does not say."""
    return f"the model's {max_tokens} tokens" if max_tokens else "the model takes"


def is_given(name: str) -> bool:
    """Whether a parameter stands on the command line."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def _refuse_idle() -> None:
    """A flag that changes nothing would be taken for one that did."""
    if idle := sorted(name for name in HERE if is_given(name)):
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in idle)
        raise BadRequest(f"{flags} would change nothing with --via; leave it out")
