"""`embedstack search`: a question becomes the passages of a collection that answer it best."""

import asyncio
import re
import shutil
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import get_args

import click
import orjson

from embedstack.api import open_engine
from embedstack.catalog.network import to_stderr
from embedstack.cli.flags import MODEL, Command, setting_flags, settings_from
from embedstack.cli.index_flags import DATABASE, collection_options, model_for, pair_of
from embedstack.cli.search_shown import as_json, lines_of
from embedstack.databases.checks import unknown
from embedstack.databases.database import Collection, Condition, Database, Where
from embedstack.databases.fields import shown_names
from embedstack.databases.opening import open_database
from embedstack.errors import BadRequest, ConfigError, UnknownModel
from embedstack.model import SMALL_RERANKER
from embedstack.search.found import LIMIT, RERANKED, TEXT, Found, Fusion, How
from embedstack.search.hybrid import Searcher, models_of
from embedstack.search.legs import reranking_field
from embedstack.settings import Settings

SEARCH_MODEL = tuple(name for name in MODEL if name not in ("truncate", "max_text_chars"))
WHOLE_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
TRUTHS = {"true": True, "false": False}


def numbers_of(context: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, float]:
    """FIELD=NUMBER, each field once."""
    found: dict[str, float] = {}
    for one in given:
        name, number = pair_of(one, "FIELD=NUMBER such as bm25=0.5")
        if name in found:
            raise click.BadParameter(f"{name!r} is there twice")
        try:
            found[name] = float(number)
        except ValueError as error:
            raise click.BadParameter(f"{number!r} is no number") from error
    return found


def where_of(context: click.Context, param: click.Parameter, given: tuple[str, ...]) -> Where:
    """KEY=VALUE; of one key that is there more than once, one of its values."""
    wanted: dict[str, list[str | int | bool]] = {}
    for one in given:
        key, value = pair_of(one, "KEY=VALUE such as metadata.author=Lind")
        wanted.setdefault(key, []).extend(meanings_of(value))
    return Where(all=tuple(Condition(key=key, values=tuple(values)) for key, values in wanted.items()))


def meanings_of(value: str) -> list[str | int | bool]:
    """What may stand in a payload where somebody types this: 2019 is a text, or a number."""
    meanings: list[str | int | bool] = [value]
    if WHOLE_NUMBER.fullmatch(value):
        meanings.append(int(value))
    if value in TRUTHS:
        meanings.append(TRUTHS[value])
    return meanings


def names_of(context: click.Context, param: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...] | None:
    """Names, also several with commas between them."""
    names = tuple(name.strip() for one in given for name in one.split(",") if name.strip())
    return names or None


SEARCH = (
    click.argument("question", nargs=-1, metavar="QUESTION..."),
    collection_options,
    click.option("--limit", "-n", type=click.IntRange(min=1), default=LIMIT, show_default=True, help="passages"),
    click.option(
        "--fields", multiple=True, callback=names_of, metavar="FIELD",
        help="vectors that are asked: dense, bm25, ...; may be repeated [default: all that can be, but multi vectors]",
    ),
    click.option(
        "--fusion", type=click.Choice(get_args(Fusion)), default="rrf", show_default=True,
        help="how the rankings of several vectors become one",
    ),
    click.option(
        "--rrf-k", type=click.IntRange(min=0), default=How().rrf_k, show_default=True,
        help="of rrf: the smaller, the more the first ranks count",
    ),
    click.option(
        "--weight", "weights", multiple=True, callback=numbers_of, metavar="FIELD=NUMBER",
        help="of a ranking, with rrf and weighted; may be repeated [default: 1]",
    ),
    click.option(
        "--least", multiple=True, callback=numbers_of, metavar="FIELD=SCORE",
        help="a vector's own score must be so high, before rankings are fused; may be repeated",
    ),
    click.option(
        "--where", multiple=True, callback=where_of, metavar="KEY=VALUE",
        help="only these points; may be repeated: other keys must hold too, of one key one of its values",
    ),
    click.option(
        "--rerank", "reranker", is_flag=False, flag_value=SMALL_RERANKER, default="", metavar="[MODEL|FIELD]",
        help="a model reads the first passages beside the question, and orders them anew; without a name "
        f"{SMALL_RERANKER}, which reads English. Or a multi vector of the collection, which compares tokens. It stands "
        "behind the question",
    ),
    click.option(
        "--rerank-top", type=click.IntRange(min=1), default=RERANKED, show_default=True, help="passages that it reads"
    ),
    click.option("--adaptive", is_flag=True, help="it reads none where the first passage is sure without it"),
    click.option("--exact", is_flag=True, help="compare every point, whatever index the database has"),
    click.option(
        "--text-key", metavar="KEY", default=TEXT, show_default=True,
        help="of the passage in the payload; of a nested one with dots",
    ),
    click.option("--model", "-m", help="the collection's, where it is called otherwise here: a folder, say"),
    click.option("--json", "is_json", is_flag=True, help="one object with payloads and all scores"),
)  # fmt: skip


def search_options(command: Command) -> Command:
    """A decorator that adds all of these."""
    for option in reversed(SEARCH):
        command = option(command)
    return command


@click.command()
@search_options
@setting_flags(*SEARCH_MODEL)
def search(
    question: tuple[str, ...], database: str, collection: str, limit: int, fields: tuple[str, ...] | None,
    fusion: Fusion, rrf_k: int, weights: Mapping[str, float], least: Mapping[str, float], where: Where, reranker: str,
    rerank_top: int, adaptive: bool, exact: bool, text_key: str, model: str | None, is_json: bool, **flags: object,
) -> None:  # fmt: skip
    """Find what answers QUESTION in a collection: rank, score, document and headings, and the passage.

    \b
    embedstack search how do I make a backup
    embedstack search "restore a backup" -n 3 --rerank
    embedstack search "restore a backup" --rerank multi
    embedstack search "error 0x80070057" --fields bm25
    embedstack search backup --where org=acme --where metadata.author=Lind
    embedstack search backup -d http://localhost:6333 -c articles --json

    Every vector of a collection is asked that can be, but those of tokens, and the rankings are fused; what cannot be
    asked is said on stderr.
    Scores of several vectors only say the order. Exit codes: 0, also where nothing is found; 2 no such collection or a
    bad setting; 3 no vector can be asked; 5 the database is away.
    """
    if not question:
        taken = f"; {reranker!r} was taken for the model of --rerank, which stands behind it" if reranker else ""
        raise BadRequest(f"no question is given{taken}; write it first")
    if adaptive and not reranker:
        raise BadRequest("--adaptive is for --rerank; add it, or leave --adaptive out")
    how = How(
        limit=limit, fields=fields, fusion=fusion, rrf_k=rrf_k, weights=weights, least=least, where=where,
        reranker=reranker, rerank_top=rerank_top, is_adaptive=adaptive, is_exact=exact, text_key=text_key,
    )  # fmt: skip
    settings, text = settings_from(flags), " ".join(question)
    with closing(open_database(database, api_key=settings.qdrant_api_key)) as opened:
        there = described(opened, database, collection)
        found = found_in(opened, there, text, how, model=model, settings=settings)
    if is_json:
        click.echo(orjson.dumps(as_json(found, text, there.name)).decode())
    else:
        for line in lines_of(found, text, text_key, shutil.get_terminal_size().columns):
            click.echo(line)
    for note in (*found.notes, *(() if found.points else ("nothing was found",))):
        to_stderr(note)


def described(database: Database, given: str, name: str) -> Collection:
    """The collection.

    Raises:
        UnknownCollection: it is not there. ConfigError: there is no database yet where it is usually.
    """
    there = database.describe(name)
    if there is not None:
        return there
    if given == DATABASE and not Path(DATABASE).exists():
        raise ConfigError(
            f"there is no {DATABASE} in this folder; make one with: embedstack index FOLDER, or name --database"
        )
    raise unknown(name, database.names())


def found_in(
    database: Database, there: Collection, text: str, how: How, *, model: str | None, settings: Settings
) -> Found:
    """What it gives, asked by the models that its vectors are of."""
    names = opened_names(there, how, model, settings)
    try:
        engine = open_engine(settings, names, say=_silent)
    except UnknownModel as error:
        if f"model {how.reranker!r}" not in error.message:
            raise
        has = shown_names(there, there.fields)
        raise UnknownModel(
            f"{error.message}; nor is it a vector of collection {there.name!r}, which has: {has}"
        ) from error
    try:
        return asyncio.run(Searcher(database, there.name, engine).search(text, how))
    finally:
        engine.close()


def opened_names(there: Collection, how: How, given: str | None, settings: Settings) -> list[str]:
    """The models that are needed, as they are opened here.

    Args:
        given: in the place of the only one that makes vectors.
    """
    origins = [field.origin for field in there.fields.values() if field.origin is not None]
    signed = {origin.identity.model: origin.identity for origin in origins}
    reranker = how.reranker if reranking_field(there, how) is None else ""
    needed = models_of(there, replace(how, reranker="" if reranker else how.reranker))
    if given and len(needed) > 1:
        raise BadRequest(f"--model stands for one model, and {len(needed)} are asked; name one of them with --fields")
    made = [model_for(given, signed[name], settings, _silent)[0] for name in needed]
    return [*made, *([reranker] if reranker else [])]


def _silent(line: str) -> None:
    """Of the start of models nobody wants to hear with each question; downloads still show their bar."""
