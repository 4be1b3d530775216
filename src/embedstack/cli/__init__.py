"""Words on a command line become calls; results go to stdout, everything said about them to stderr."""

import sys
from importlib import import_module

import click

from embedstack import __version__
from embedstack.errors import ConfigError, EmbedstackError

COMMANDS = {
    "serve": "embedstack.cli.serve:serve",
    "embed": "embedstack.cli.embed:embed",
    "rerank": "embedstack.cli.rerank:rerank",
    "models": "embedstack.cli.models:models",
    "doctor": "embedstack.cli.doctor:doctor",
}


class Commands(click.Group):
    """Commands that are imported when they are called, so that `--help` and `--version` answer at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="embedstack")
def cli() -> None:
    """Own your embedding stack: serve and run open embedding and reranking models.

    \b
    Try:
      embedstack serve                                  an OpenAI-compatible server on http://127.0.0.1:8080
      embedstack embed "a text" "another text"          vectors on stdout
      embedstack embed --file texts.txt --format npy --output vectors.npy
      embedstack rerank "a question" "one answer" "another answer"
      embedstack models list                            what can be served, and what is already here
      embedstack doctor                                 what this machine has, and what every setting is

    Settings come from flags, then the environment (EMBEDSTACK_...), then .env.
    """


def main() -> None:
    """The `embedstack` command: an error is one line on stderr and its class's exit code.

    A reader that has seen enough (`| head`) ends it quietly: click takes care of that.
    """
    try:
        cli()
    except EmbedstackError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        if error.filename is not None:
            raise
        _fail(f"stdout cannot be written: {error.strerror or error}", ConfigError.exit_code)


def _fail(message: str, exit_code: int) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(exit_code)
