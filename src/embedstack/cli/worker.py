"""`embedstack worker`: models behind a platform that hands out jobs."""

import sys
import uuid

import click

from embedstack.api import model_names, open_pool
from embedstack.cli.flags import MODEL, setting_flags, settings_from
from embedstack.errors import BadRequest
from embedstack.settings import PROFILES, Settings

EMULATOR = "http://127.0.0.1:8001"  # where `embedstack emulate runpod` listens
SHOWN = (
    "models", "jobs_at_once", "max_items", "max_body_mb", "token_ids", "image_links", "max_image_mb",
    "max_image_pixels", "vector_cache_mb", "memory_mb", "host", "port", "dialect", "log_level", "log_format",
)  # fmt: skip


@click.group()
def worker() -> None:
    """Answer jobs of a serverless platform.

    \b
    embedstack worker runpod bge-m3                      on RunPod
    embedstack worker runpod --local                     here, over HTTP
    """


@worker.command("runpod")
@click.argument("model", nargs=-1)
@click.option(
    "--local", "is_local", is_flag=True, help="no platform: answer POST / and /runsync over HTTP, on 0.0.0.0:8000"
)
@click.option(
    "--emulator",
    metavar="URL",
    is_flag=False,
    flag_value=EMULATOR,
    help=f"take jobs from `embedstack emulate runpod`, perhaps URL/v2/ENDPOINT; without a URL from {EMULATOR}",
)
@setting_flags(*MODEL, *SHOWN)
def runpod(model: tuple[str, ...], is_local: bool, emulator: str | None, **flags: object) -> None:
    """Serve MODELs as a worker of a RunPod queue endpoint.

    \b
    embedstack worker runpod bge-m3                      in a container on RunPod, which sets what is needed
    embedstack worker runpod --local                     here, over HTTP, on port 8000
    embedstack worker runpod --emulator                  here, with the real SDK and the emulator's queue

    It needs embedstack[runpod]. For an endpoint that balances load: embedstack serve --profile runpod.
    """
    if model and flags["models"]:
        raise BadRequest("models are given twice; name them as arguments or with --models")
    if is_local and emulator:
        raise BadRequest("--local has no queue and --emulator has one; take one of them")
    flags = {**flags, "models": ",".join(model) or flags["models"]}
    settings = settings_from(flags, "runpod-local" if is_local else None)
    names = list(model) or model_names(settings)
    sys.exit(_local(settings, names) if is_local else _queue(settings, names, emulator))


def _local(settings: Settings, names: list[str]) -> int:
    from embedstack.server.run import run  # each of the two is slow to import

    click.echo(f"profile runpod-local: {PROFILES['runpod-local'].note}", err=True)
    return run(settings, lambda: open_pool(settings, names))


def _queue(settings: Settings, names: list[str], emulator: str | None) -> int:
    from embedstack.server.logs import set_up_logs
    from embedstack.worker import sdk
    from embedstack.worker.run import run

    if emulator is not None:
        if not emulator.startswith(("http://", "https://")):
            raise BadRequest(f"--emulator={emulator!r} is no URL; example: --emulator={EMULATOR}, or put it last")
        sdk.set_variables(sdk.emulator_variables(emulator, f"local-{uuid.uuid4().hex[:8]}"))
    sdk.require_jobs()
    set_up_logs(settings.log_level, settings.log_format)
    return run(settings, names)
