"""`embedstack serve`: models become an HTTP server."""

import sys
from dataclasses import replace

import click

from embedstack.api import model_names, open_pool, open_router
from embedstack.cli.flags import setting_flags, settings_from
from embedstack.cli.via import variables
from embedstack.errors import BadRequest
from embedstack.proof.startup import Proof
from embedstack.server.run import run
from embedstack.settings import PROFILES, Settings
from embedstack.types import Encoder
from embedstack.watching import LivesElsewhere


@click.command()
@click.argument("model", nargs=-1)
@click.option("--profile", type=click.Choice(list(PROFILES)), help="read another server's variables and defaults")
@click.option(
    "--upstream",
    metavar="FILE",
    help="serve the endpoints of a router.toml (or env: those of the environment) instead of models here",
)
@setting_flags()
def serve(model: tuple[str, ...], profile: str | None, upstream: str | None, **flags: object) -> None:
    """Serve MODELs over HTTP: OpenAI's /v1/embeddings, TEI's /embed and /rerank, and more (see /docs).

    \b
    embedstack serve                                      all-MiniLM-L6-v2, small and fast
    embedstack serve bge-m3 bge-reranker-v2-m3            embeddings and reranking
    embedstack serve ./my-model --port 9000               a folder with config.json, weights and tokenizer.json
    embedstack serve bge-m3 small=bge-m3@onnx:int8        one model in two precisions, the second by a name of its own
    embedstack serve a b c --lazy --memory-mb 4000        loaded when asked for; the least recently used makes room
    embedstack serve --upstream router.toml               in front of endpoints elsewhere, see docs/router.md
    embedstack serve a --collections ./database#docs      POST /search, and "model": "docs" is the model of its vectors

    A model is a catalog name (`embedstack models list`), a Hugging Face id or a folder; behind it may stand
    @PRECISION or @RUNTIME:PRECISION, in front of it ALIAS=.
    """
    if model and flags["models"]:
        raise BadRequest("models are given twice; name them as arguments or with --models")
    settings = settings_from({**flags, "models": ",".join(model) or flags["models"]}, profile)
    is_guarded = profile is not None and PROFILES[profile].is_guarded
    if profile:
        click.echo(f"profile {profile}: {PROFILES[profile].note}", err=True)
    if upstream:
        if model or flags["models"]:
            raise BadRequest("--upstream and models exclude each other: a plan can name the provider 'local'")
        sys.exit(_in_front(upstream, settings, flags, is_guarded=is_guarded))
    names = list(model) or model_names(settings)
    sys.exit(run(settings, lambda: open_pool(settings, names), is_guarded=is_guarded))


def _in_front(upstream: str, settings: Settings, flags: dict[str, object], *, is_guarded: bool) -> int:
    from embedstack.client.environment import plan_upstream  # what serves models here does without a client
    from embedstack.client.plan import names_of

    plan = plan_upstream(upstream, variables(flags))
    named = replace(settings, models=names_of(plan))
    return run(named, lambda: open_router(plan, settings, serving=True), _proof, is_guarded=is_guarded)


def _proof(encoder: Encoder) -> Proof:
    return encoder.proof if isinstance(encoder, LivesElsewhere) else "unproven"
