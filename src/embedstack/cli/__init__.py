"""Words on a command line become calls; results go to stdout, everything said about them to stderr."""

import sys

import click

from embedstack import __version__
from embedstack.cli.lazy import LazyGroup
from embedstack.errors import ConfigError, EmbedstackError

COMMANDS = {
    "serve": "embedstack.cli.serve:serve",
    "embed": "embedstack.cli.embed:embed",
    "rerank": "embedstack.cli.rerank:rerank",
    "models": "embedstack.cli.models:models",
    "doctor": "embedstack.cli.doctor:doctor",
    "bench": "embedstack.cli.bench:bench",
    "worker": "embedstack.cli.worker:worker",
    "emulate": "embedstack.cli.emulate:emulate",
    "job": "embedstack.cli.job:job",
    "load": "embedstack.cli.load:load",
    "index": "embedstack.cli.index:index",
    "search": "embedstack.cli.search:search",
    "eval": "embedstack.cli.eval:evaluation",
    "identify": "embedstack.cli.identify:identify",
    "dedupe": "embedstack.cli.dedupe:dedupe",
}


@click.group(
    cls=LazyGroup, later=COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
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
      embedstack bench                                  how fast a model is here
      embedstack job plan ./docs --output ./vectors      many files become Parquet tables, in steps that survive a crash
      embedstack load ./vectors ./database -c docs      vectors of a job or of files go into a database, once
      embedstack index ./docs                           a folder becomes searchable, and stays so as it changes
      embedstack search how do I make a backup          its passages that answer best
      embedstack eval run data.csv                      how well a model, a collection or a fusion finds what it should
      embedstack identify './database#docs'             which model and which recipe made these vectors
      embedstack dedupe ./photos                        what is there more than once, or nearly so; nothing is changed

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
            _fail(f"{str(error.filename)!r} cannot be used: {error.strerror or error}", ConfigError.exit_code)
        _fail(f"stdout cannot be written: {error.strerror or error}", ConfigError.exit_code)


def _fail(message: str, exit_code: int) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(exit_code)
