"""`embedstack rerank`: a query and documents become the documents in order of relevance."""

from pathlib import Path

import click
import orjson

from embedstack.api import Model, open_engine
from embedstack.cli.flags import MODEL, setting_flags, settings_from
from embedstack.cli.texts import read_texts

SMALL_RERANKER = "ms-marco-MiniLM-L6-v2"


@click.command()
@click.argument("query")
@click.argument("document", nargs=-1)
@click.option(
    "--file",
    "-f",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="a file of documents, one a line, or .jsonl",
)
@click.option("--field", default="text", show_default=True, help="the document's field in .jsonl")
@click.option(
    "--model", "-m", "models", default=SMALL_RERANKER, show_default=True, help="catalog name, Hugging Face id or folder"
)
@click.option("--top-n", "-n", type=click.IntRange(min=1), help="show only the best N")
@click.option("--raw-scores", is_flag=True, help="logits instead of the model's own scale")
@click.option("--json", "is_json", is_flag=True, help="one object with identity and usage")
@setting_flags(*MODEL)
def rerank(
    query: str, document: tuple[str, ...], files: tuple[Path, ...], field: str, models: str, top_n: int | None,
    raw_scores: bool, is_json: bool, **flags: object,
) -> None:  # fmt: skip
    """Order DOCUMENTs, files or stdin by their relevance to QUERY, best first.

    \b
    embedstack rerank "what is a panda?" "hi" "The giant panda is a bear."
    embedstack rerank "что такое панда?" -f documents.txt -m bge-reranker-v2-m3 -n 10

    The default model reads English; bge-reranker-v2-m3 reads over a hundred languages and is 25 times larger.
    """
    settings = settings_from({**flags, "models": models})
    documents = list(read_texts(document, files, field))
    with Model(open_engine(settings, say=lambda line: click.echo(line, err=True))) as model:
        scored = model.score(query, documents, raw_scores=raw_scores)
    best = scored.order[:top_n]
    if is_json:
        results = [{"index": i, "score": float(scored.scores[i]), "text": documents[i]} for i in best]
        whole = {
            "model": scored.spec.name,
            "fingerprint": scored.fingerprint,
            "usage": {"items": scored.usage.items, "tokens": scored.usage.tokens, "truncated": scored.usage.truncated},
            "results": results,
        }
        click.echo(orjson.dumps(whole).decode())
        return
    for i in best:
        click.echo(f"{scored.scores[i]:.4f}\t{i}\t{documents[i]}")
