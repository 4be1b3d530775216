"""`embedstack index`: folders and files become a collection that can be searched, and stay one as they change."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import get_args

import click

from embedstack.chunks.chunk import Strategy
from embedstack.cli.flags import Command, setting_flags, settings_from
from embedstack.cli.index_board import IndexBoard, say_end, told
from embedstack.cli.index_flags import collection_options, model_for, pair_of, signed_by
from embedstack.cli.job_flags import CHILD_TOKENS, JOB_MODEL, OVERLAP, TOKENS
from embedstack.cli.job_plan import USUAL, Cut
from embedstack.databases.checks import check_name
from embedstack.databases.opening import open_database
from embedstack.documents.document import Form, Reading
from embedstack.documents.source import open_source
from embedstack.errors import EmbedstackError
from embedstack.indexing.indexing import Ends, Hands, Model
from embedstack.indexing.indexing import index as index_documents
from embedstack.indexing.target import dense_in
from embedstack.indexing.wish import IndexWish, Lexical, Summary, Tenant
from embedstack.jobs.opened import Opened
from embedstack.jobs.opening import open_here
from embedstack.jobs.plan import Wish
from embedstack.jobs.working import on_signals
from embedstack.loading.retrying import Retrying
from embedstack.loading.stopping import Stop, Stopped, heard
from embedstack.loading.wish import PATIENCE_S
from embedstack.search.analysis import Language
from embedstack.settings import Settings

STOPPED = "stopped"
AGAIN = "run the same command again to go on"


def tenant_of(context: click.Context, param: click.Parameter, given: str | None) -> Tenant | None:
    """KEY=VALUE."""
    return Tenant(*pair_of(given, "KEY=VALUE such as org=acme")) if given else None


INDEX = (
    click.argument("sources", nargs=-1, required=True, metavar="SOURCE..."),
    collection_options,
    click.option(
        "--model", "-m",
        help="catalog name, Hugging Face id or folder [default: the collection's, else the first of EMBEDSTACK_MODELS]",
    ),
    click.option("--dim", type=int, help="a shorter width, for models trained for it (Matryoshka)"),
    click.option(
        "--sparse", "lexical", type=click.Choice(get_args(Lexical)),
        help="beside dense vectors: BM25's, the model's own (bge-m3), or none [default: as the collection has it, else "
        "bm25]",
    ),
    click.option(
        "--multi", is_flag=True,
        help="beside them a vector for each token (bge-m3), for search --rerank multi; each takes half the space of a "
        "dense one. A collection that began with them keeps to it",
    ),
    click.option(
        "--language", type=click.Choice(get_args(Language)),
        help="of BM25; ru reads English words, too [default: as the collection has it, else en, or ru where a fifth of "
        "the letters are Cyrillic]",
    ),
    click.option("--late-chunking", is_flag=True, help="each chunk is read with all of its document around it"),
    click.option("--form", type=click.Choice(get_args(Form)), help="of all files; default: by the ending of each"),
    click.option("--text-field", default="text", show_default=True, help="column of the text, in rows"),
    click.option(
        "--id-field", default="",
        help="column of the id, taken as it is, in rows [default: FILE#doc_id=... or FILE#id=..., else FILE#ROW]",
    ),
    click.option(
        "--chunker", type=click.Choice(get_args(Strategy)), default="semantic", show_default=True,
        help="where texts are cut, see docs/batch.md",
    ),
    click.option(
        "--chunk-tokens", type=click.IntRange(min=1),
        help=f"most of one chunk [default: {TOKENS}, for parent {CHILD_TOKENS}; or what the model takes]",
    ),
    click.option(
        "--overlap", type=click.IntRange(min=0),
        help=f"tokens that neighbours share, with --chunker window and parent [default: {OVERLAP}]",
    ),
    click.option(
        "--parent-tokens", type=click.IntRange(min=1), default=USUAL.chunking.parent_tokens, show_default=True,
        help="of what chunks lie in, with --chunker parent",
    ),
    click.option("--skip-index", is_flag=True, help="leave out pages that are lists of links"),
    click.option(
        "--max-document-mb", type=click.IntRange(min=1), default=USUAL.reading.max_document_bytes >> 20,
        show_default=True, help="a larger document is left out, and never in memory",
    ),
    click.option("--tenant", callback=tenant_of, metavar="KEY=VALUE", help="whose documents these are"),
    click.option(
        "--prune/--keep-gone", "is_pruned", default=True, show_default=True,
        help="delete documents that these sources had and have no more, or leave them there",
    ),
    click.option("--claim", is_flag=True, help="points there that nobody has signed are of the same space: I know it"),
    click.option("--dry-run", is_flag=True, help="say what would be done, and write nothing"),
    click.option("--json", "is_json", is_flag=True, help="what happens, as JSON lines; the last one sums it up"),
)  # fmt: skip


def index_options(command: Command) -> Command:
    """A decorator that adds all of these."""
    for option in reversed(INDEX):
        command = option(command)
    return command


@click.command()
@index_options
@setting_flags(*JOB_MODEL)
def index(
    sources: tuple[str, ...], database: str, collection: str, model: str | None, dim: int | None,
    lexical: Lexical | None, multi: bool, language: Language | None, late_chunking: bool, form: Form | None,
    text_field: str, id_field: str, chunker: Strategy, chunk_tokens: int | None, overlap: int | None,
    parent_tokens: int, skip_index: bool, max_document_mb: int, tenant: Tenant | None, is_pruned: bool, claim: bool,
    dry_run: bool, is_json: bool, **flags: object,
) -> None:  # fmt: skip
    """Make SOURCEs searchable: folders and files of Markdown, text, HTML, JSON lines, CSV; once more after a change.

    \b
    embedstack index ./docs
    embedstack search how do I make a backup
    embedstack index ./docs ./notes --model bge-m3 --sparse model
    embedstack index ./docs --model bge-m3 --multi -c tokens
    embedstack index articles.jsonl --text-field body --id-field url -d http://localhost:6333 -c articles
    embedstack index ./acme -d ./store --tenant org=acme

    What did not change is left alone, what changed is embedded again, what is gone is deleted; killed at any moment,
    the same command goes on. Files end in .md .txt .html .jsonl .csv .tsv, each also with .gz.
    Exit codes: 0 all is there, 2 nothing can be read or a bad setting, 3 another space, 5 the database is away, 130
    Ctrl-C.
    """
    cut = Cut(
        strategy=chunker, tokens=chunk_tokens, overlap=overlap, parent_tokens=parent_tokens, skip_index=skip_index,
        is_late=late_chunking,
    )  # fmt: skip
    reading = Reading(form=form, text_field=text_field, id_field=id_field, max_document_bytes=max_document_mb << 20)
    wish = IndexWish(
        chunking=USUAL.chunking, reading=reading, dim=dim, late_chunking=late_chunking, lexical=lexical,
        multi=multi, language=language, tenant=tenant, keep_gone=not is_pruned, claim=claim, dry_run=dry_run,
    )  # fmt: skip
    call = Call(
        sources=sources, database=database, collection=collection, model=model, cut=cut, wish=wish,
        settings=settings_from(flags),
    )  # fmt: skip
    stop = Stop()
    with IndexBoard(is_json=is_json) as board:
        try:
            with heard(stop):
                done = call.run(board, stop)
        except EmbedstackError as error:
            if is_json:
                say_end(None, error=error.message, code=error.code, exit_code=error.exit_code)
            raise
        except Stopped:
            done = None
    say_done(done, stop, is_json=is_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What was asked for.

    Args:
        cut: what was said of chunks; how many tokens they may have depends on the model.
    """

    sources: tuple[str, ...]
    database: str
    collection: str
    model: str | None
    cut: Cut
    wish: IndexWish
    settings: Settings

    def run(self, board: IndexBoard, stop: Stop) -> Summary:
        """All of it; what needs no model is refused before one is fetched."""
        check_name(self.collection)
        retry = Retrying(PATIENCE_S, clock=time.monotonic, pause=stop.pause, stop=stop, say=board.note)
        hands = Hands(board, retry, lambda: stop.is_wanted)
        with closing(open_database(self.database, api_key=self.settings.qdrant_api_key)) as database:
            source = open_source(self.sources, self.wish.reading)
            next(source.entries(), None)
            found = retry(partial(database.describe, self.collection))
            name, spec = model_for(self.model, signed_by(found, dense_in(found)), self.settings, board.note)
            wish = replace(self.wish, chunking=self.cut.for_model(spec.max_tokens))

            def opened(encoding: Wish) -> AbstractAsyncContextManager[Opened]:
                return open_here(encoding, self.settings, name, say=board.note)

            work = index_documents(Ends(source, database, self.collection), wish, Model(spec, opened), hands)
            return asyncio.run(until_told(work, stop))


async def until_told(work: Coroutine[object, object, Summary], stop: Stop) -> Summary:
    """What it gives; the first signal ends it after what is being read or written, the second at once.

    Raises:
        Stopped: a signal came.
    """
    running = asyncio.ensure_future(work)

    def told(number: int) -> None:
        if stop.number:
            os._exit(128 + number)
        stop.ask(number)
        running.cancel()

    with on_signals(told):
        try:
            return await running
        except (asyncio.CancelledError, EmbedstackError):
            if not stop.number:
                raise
            raise Stopped from None


def say_done(done: Summary | None, stop: Stop, *, is_json: bool) -> None:
    """The last line; a signal has the exit code that shells give it."""
    exit_code = 128 + stop.number if done is None else 0
    error = f"{signal.Signals(stop.number).name} came; {AGAIN}" if done is None else ""
    if is_json:
        say_end(done, error=error, code=STOPPED if error else "", exit_code=exit_code)
    elif done is not None:
        click.echo(told(done))
    if error:
        click.echo(f"error: {error}", err=True)
        sys.exit(exit_code)
