"""`embedstack rerank`: a query and documents become the documents in order of relevance."""

from pathlib import Path

import click
import orjson

from embedstack.api import open_engine
from embedstack.catalog.network import to_stderr
from embedstack.cli.flags import MODEL, setting_flags, settings_from
from embedstack.cli.texts import FIELD, read_texts
from embedstack.cli.vectors import identity, usage
from embedstack.cli.via import is_given, limit_of, open_via, plan_for, via_option
from embedstack.model import SMALL_RERANKER, Model
from embedstack.types import Scored


@click.command()
@click.argument("query")
@click.argument("document", nargs=-1)
@click.option(
    "--file",
    "-f",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="a file of documents, one a line, or .jsonl; may be repeated",
)
@click.option("--field", help=f"read JSON lines, also from stdin, with the document in this field [default: {FIELD}]")
@click.option(
    "--model", "-m", default=SMALL_RERANKER, show_default=True, help="catalog name, Hugging Face id or folder"
)
@click.option("--top-n", "-n", type=click.IntRange(min=1), help="show only the best N")
@click.option("--raw-scores", is_flag=True, help="logits instead of the model's own scale")
@click.option("--json", "is_json", is_flag=True, help="one object with identity and usage")
@via_option
@setting_flags(*MODEL)
def rerank(
    query: str, document: tuple[str, ...], files: tuple[Path, ...], field: str | None, model: str, top_n: int | None,
    raw_scores: bool, is_json: bool, via: str | None, **flags: object,
) -> None:  # fmt: skip
    """Order DOCUMENTs, files or stdin by their relevance to QUERY, best first: score, place in the input, document.

    \b
    embedstack rerank "what is a panda?" "hi" "The giant panda is a bear."
    embedstack rerank "что такое панда?" -f documents.txt -m bge-reranker-v2-m3 -n 10

    The default model reads English; bge-reranker-v2-m3 reads over a hundred languages and is 25 times larger.
    """
    settings = settings_from(flags)
    plan = plan_for(via, "rerank", model if is_given("model") else None, flags) if via else None
    documents = list(read_texts(document, files, field))
    with open_via(plan, "rerank", settings) if plan else Model(open_engine(settings, [model])) as opened:
        scored = opened.score(query, documents, truncate=settings.truncate, raw_scores=raw_scores)
    best = scored.order[:top_n]
    if is_json:
        click.echo(_json(scored, documents, best))
    else:
        for place in best:
            click.echo(f"{scored.scores[place]:.4f}\t{place}\t{' '.join(documents[place].split())}")
    if plan:
        to_stderr(f"scored by {scored.spec.name}")
    if scored.usage.truncated:
        limit = limit_of(scored.spec.max_tokens)
        to_stderr(f"{scored.usage.truncated} documents with the query were longer than {limit} and were cut")


def _json(scored: Scored, documents: list[str], best: list[int]) -> str:
    results = [{"index": place, "score": float(scored.scores[place]), "text": documents[place]} for place in best]
    return orjson.dumps({**identity(scored), "usage": usage(scored.usage), "results": results}).decode()
