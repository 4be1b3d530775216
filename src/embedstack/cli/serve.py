"""`embedstack serve`: models become an HTTP server."""

import sys

import click

from embedstack.api import model_names, open_pool
from embedstack.cli.flags import setting_flags, settings_from
from embedstack.errors import BadRequest
from embedstack.server.run import run
from embedstack.settings import PROFILES


@click.command()
@click.argument("model", nargs=-1)
@click.option("--profile", type=click.Choice(list(PROFILES)), help="read another server's variables and defaults")
@setting_flags()
def serve(model: tuple[str, ...], profile: str | None, **flags: object) -> None:
    """Serve MODELs over HTTP: OpenAI's /v1/embeddings, TEI's /embed and /rerank, and more (see /docs).

    \b
    embedstack serve                                      all-MiniLM-L6-v2, small and fast
    embedstack serve bge-m3 bge-reranker-v2-m3            embeddings and reranking
    embedstack serve ./my-model --port 9000               a folder with config.json, weights and tokenizer.json
    embedstack serve bge-m3 small=bge-m3@onnx:int8        one model in two precisions, the second by a name of its own
    embedstack serve a b c --lazy --memory-mb 4000        loaded when asked for; the least recently used makes room

    A model is a catalog name (`embedstack models list`), a Hugging Face id or a folder; behind it may stand
    @PRECISION or @RUNTIME:PRECISION, in front of it ALIAS=.
    """
    if model and flags["models"]:
        raise BadRequest("models are given twice; name them as arguments or with --models")
    settings = settings_from({**flags, "models": ",".join(model) or flags["models"]}, profile)
    names = list(model) or model_names(settings)
    if profile:
        click.echo(f"profile {profile}: {PROFILES[profile].note}", err=True)
    sys.exit(run(settings, lambda: open_pool(settings, names)))
