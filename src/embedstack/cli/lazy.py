"""A table of commands becomes a group that imports a command when it is called, and all of them for its `--help`."""

import signal
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group with commands of its own and others that are imported later, so that no command waits for the others.

    Args:
        later: name -> `module:attribute`.
    """

    def __init__(self, *given: Any, later: Mapping[str, str], **named: Any) -> None:  # click's own arguments
        super().__init__(*given, **named)
        self._later = later

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the tables."""
        return [*self.commands, *self._later]

    def invoke(self, ctx: click.Context) -> object:
        """As click does it, but that Ctrl-C has the exit code that shells give it, also where no command hears it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("error: SIGINT came before the end", err=True)
            ctx.exit(128 + signal.SIGINT)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        if cmd_name not in self._later:
            return super().get_command(ctx, cmd_name)
        module, _, name = self._later[cmd_name].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command
