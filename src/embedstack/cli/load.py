"""`embedstack load`: the vectors of a job, of Parquet files or of JSON lines go into a database, once."""

import signal
import sys
from collections.abc import Mapping
from contextlib import closing
from typing import get_args

import click

from embedstack.cli.flags import Command, setting_flags, settings_from
from embedstack.cli.job_flags import JOB_MODEL
from embedstack.cli.load_board import LoadBoard, say_end, told
from embedstack.databases.bound import Bound
from embedstack.databases.database import Distance, Index, IndexKind, Quantization, Storing
from embedstack.databases.opening import open_database
from embedstack.errors import BadRequest, EmbedstackError, Mismatch
from embedstack.loading.loading import load as load_table
from embedstack.loading.opening import open_table
from embedstack.loading.source import DENSE, SPARSE, How, Source
from embedstack.loading.stopping import Stop, Stopped, heard
from embedstack.loading.wish import PATIENCE_S, Summary, Wish
from embedstack.origin import Origin
from embedstack.settings import Settings

NONE = "none"  # as --sparse: leave them out
STOPPED = "stopped"


def index_of(context: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, Index]:
    """KEY or KEY:KIND."""
    found = {}
    for one in given:
        key, colon, kind = one.rpartition(":")
        if not colon:
            key, kind = one, "keyword"
        if not key or kind not in get_args(IndexKind):
            raise click.BadParameter(
                f"{one!r} is no KEY or KEY:KIND; kinds: {', '.join(get_args(IndexKind))}", context, param
            )
        found[key] = Index(kind=kind)  # type: ignore[arg-type]
    return found


LOAD = (
    click.argument("source"),
    click.argument("database"),
    click.option("--collection", "-c", required=True, metavar="NAME", help="where to; made if it is not there"),
    click.option("--model", "-m", default="", help="whose vectors these are, where the files do not say it"),
    click.option("--vector", default=DENSE, metavar="NAME", help="of the field for vectors [default: it has no name]"),
    click.option(
        "--sparse", default=SPARSE, show_default=True, metavar="NAME",
        help="of the field for sparse vectors, where there are any; none: leave them out",
    ),
    click.option(
        "--distance", type=click.Choice(get_args(Distance)), default="cosine", show_default=True,
        help="how vectors are compared",
    ),
    click.option(
        "--storing", type=click.Choice(get_args(Storing)), default="float32", show_default=True,
        help="what the database keeps of each number",
    ),
    click.option(
        "--text-key", default="text", show_default=True, metavar="KEY",
        help="of the text in the payload, and of the one that is embedded again with --model",
    ),
    click.option("--flat", is_flag=True, help="the keys of the metadata stand at the top of the payload"),
    click.option(
        "--quantize", "quantization", type=click.Choice(get_args(Quantization)), default="none", show_default=True,
        help="small copies that are searched first",
    ),
    click.option(
        "--index", "indexes", multiple=True, callback=index_of, metavar="KEY[:KIND]",
        help=f"over a key of the payload: {', '.join(get_args(IndexKind))}; may be repeated",
    ),
    click.option("--tenant", multiple=True, metavar="KEY", help="an index over the key that says whose a point is"),
    click.option("--alias", default="", metavar="NAME", help="stands for the collection once all is there"),
    click.option("--claim", is_flag=True, help="points there that nobody has signed are of the same space: I know it"),
    click.option("--batch", type=click.IntRange(32, 256), default=128, show_default=True, help="rows of one call"),
    click.option("--streams", type=click.IntRange(1, 8), default=2, show_default=True, help="calls at a time"),
    click.option(
        "--patience", type=click.FloatRange(min=0), default=PATIENCE_S, show_default=True, metavar="SECONDS",
        help="with a database that is away",
    ),
    click.option("--again", is_flag=True, help="write all rows, also where they are there"),
    click.option("--prune", is_flag=True, help="afterwards delete every point that SOURCE has not"),
    click.option("--yes", is_flag=True, help="do not ask before that"),
    click.option(
        "--keep-gone", is_flag=True, help="delete nothing, whatever a job planned with --since lists as gone"
    ),
    click.option("--dry-run", is_flag=True, help="say what would be done, and write nothing"),
    click.option("--json", "is_json", is_flag=True, help="what happens, as JSON lines; the last one sums it up"),
)  # fmt: skip


def load_options(command: Command) -> Command:
    """A decorator that adds all of these."""
    for option in reversed(LOAD):
        command = option(command)
    return command


@click.command()
@load_options
@setting_flags(*JOB_MODEL)
def load(
    source: str, database: str, collection: str, model: str, vector: str, sparse: str, distance: Distance,
    storing: Storing, text_key: str, flat: bool, quantization: Quantization, indexes: Mapping[str, Index],
    tenant: tuple[str, ...], alias: str, claim: bool, batch: int, streams: int, patience: float, again: bool,
    prune: bool, yes: bool, keep_gone: bool, dry_run: bool, is_json: bool, **flags: object,
) -> None:  # fmt: skip
    """Load SOURCE into a collection of DATABASE: each row once, also if it is killed and called again.

    \b
    embedstack load ./vectors ./database --collection docs                       a finished job, into a folder
    embedstack load ./vectors http://localhost:6333 -c docs --tenant org         Qdrant; its key is in QDRANT_API_KEY
    embedstack load ./vectors postgresql://me@localhost/app -c docs_vectors      PostgreSQL with pgvector
    embedstack load rows.jsonl ./database -c docs --model bge-m3                 lines with id, vector, text
    embedstack load ./vectors-2 ./database -c docs --alias live                  what is gone since ./vectors goes, too

    SOURCE: a job's folder or URL, Parquet files, or .jsonl (.gz, .zst). What is written is never a mix of two models.
    Exit codes: 0 all is there, 2 a bad row or setting, 3 another space or table, 5 the database is away, 130 Ctrl-C.
    """
    if prune and keep_gone:
        raise BadRequest("--prune deletes what this table has not, and --keep-gone nothing; leave one out")
    if prune and not (yes or dry_run or (sys.stdin and sys.stdin.isatty())):
        raise BadRequest("--prune deletes points, and nobody is here to be asked; add --yes, or look with --dry-run")
    how = How(
        vector=vector, sparse=None if sparse == NONE else sparse, distance=distance, storing=storing,
        text_key=text_key, is_flat=flat,
    )  # fmt: skip
    wish = Wish(
        batch=batch, streams=streams, patience_s=patience, again=again, prune=prune, keep_gone=keep_gone, alias=alias,
        claim=claim, dry_run=dry_run, indexes=with_tenants(indexes, tenant), quantization=quantization,
    )  # fmt: skip
    settings = settings_from(flags)
    with LoadBoard(is_json=is_json, is_sure=yes) as board:
        try:
            done = loaded((source, model), (database, collection), how, wish, settings, board)
        except EmbedstackError as error:
            if is_json:
                say_end(None, error=error.message, code=error.code, exit_code=error.exit_code)
            raise
    say_done(done, is_json=is_json)


def with_tenants(indexes: Mapping[str, Index], tenants: tuple[str, ...]) -> dict[str, Index]:
    """Both; a key of both keeps its kind."""
    kinds = {key: indexes[key].kind if key in indexes else "keyword" for key in tenants}
    return {**indexes, **{key: Index(kind=kind, is_tenant=True) for key, kind in kinds.items()}}


def loaded(
    given: tuple[str, str], to: tuple[str, str], how: How, wish: Wish, settings: Settings, board: LoadBoard
) -> Summary:
    """What was done, or that a signal came before anything was.

    Args:
        given: the table and the model's name.
        to: the database and the collection.
    """
    stop = Stop()
    try:
        with heard(stop), closing(open_database(to[0], api_key=settings.qdrant_api_key)) as database:
            table = open_table(given[0], how, model=given[1], settings=settings, say=board.note)
            with closing(table):
                return load_table(table, Bound(database, to[1], origins_of(table)), wish, progress=board, stop=stop)
    except Stopped:
        return Summary(collection=to[1], stopped=stop.number)


def origins_of(table: Source) -> dict[str, Origin]:
    """Whose vectors go to which field."""
    return {name: field.origin for name, field in table.fields.items() if field.origin is not None}


def say_done(done: Summary, *, is_json: bool) -> None:
    """The last line; a signal has the exit code that shells give it."""
    exit_code, error, code = 0, "", ""
    if done.stopped:
        exit_code, error, code = 128 + done.stopped, ended_early(done), STOPPED
    elif done.is_contested:
        exit_code, error, code = Mismatch.exit_code, contested(done), Mismatch.code
    if is_json:
        say_end(done, error=error, code=code, exit_code=exit_code)
    elif not error:
        click.echo(told(done))
    if error:
        click.echo(f"error: {error}", err=True)
        sys.exit(exit_code)


def contested(done: Summary) -> str:
    """By somebody else's load."""
    return (
        f"something else was loaded into collection {done.collection!r} at the same time, so nobody can say what is "
        "there; nothing was deleted and no alias switched: load again what shall be there"
    )


def ended_early(done: Summary) -> str:
    """By a signal."""
    there = f"{done.rows:,} rows are there; " if done.rows else ""
    return f"{signal.Signals(done.stopped).name} came; {there}run the same command again to go on"
