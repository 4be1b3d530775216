"""`embedstack serve`: models become an HTTP server."""

import sys

import click

from embedstack.api import model_names, open_engine
from embedstack.cli.flags import setting_flags, settings_from
from embedstack.errors import BadRequest
from embedstack.proof.startup import Proof, check_start
from embedstack.server.run import run
from embedstack.types import Encoder


@click.command()
@click.argument("model", nargs=-1)
@setting_flags()
def serve(model: tuple[str, ...], **flags: object) -> None:
    """Serve MODELs over HTTP: OpenAI's /v1/embeddings, TEI's /embed and /rerank, and more (see /docs).

    \b
    embedstack serve                                      all-MiniLM-L6-v2, small and fast
    embedstack serve bge-m3 bge-reranker-v2-m3            embeddings and reranking
    embedstack serve ./my-model --port 9000               a folder with config.json, weights and tokenizer.json

    A model is a catalog name (`embedstack models list`), a Hugging Face id or a folder.
    """
    if model and flags["models"]:
        raise BadRequest("models are given twice; name them as arguments or with --models")
    settings = settings_from({**flags, "models": ",".join(model) or flags["models"]})
    names = list(model) or model_names(settings)

    def check(encoder: Encoder) -> Proof:
        return check_start(encoder, settings.cache_dir, settings.precision)

    sys.exit(run(settings, lambda: open_engine(settings, names, serving=True), check))
