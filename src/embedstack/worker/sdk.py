"""Answers to jobs become a RunPod worker: the only file that knows RunPod's variables and imports its SDK."""

import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path

import orjson

from embedstack.errors import ConfigError, TooLong
from embedstack.worker.mended import Job, Ready, Sdk, mend
from embedstack.worker.output import Output, check_size, limit_bytes

log = logging.getLogger(__name__)
MODEL_CACHE = "/runpod-volume/huggingface-cache/hub"  # docs.runpod.io/serverless/endpoints/model-caching
JOBS = "RUNPOD_WEBHOOK_GET_JOB"
REALTIME = "RUNPOD_REALTIME_PORT"

Answer = Callable[[Job], Awaitable[Output]]


# ------------------------------------------------------------------------------------------------ variables


def emulator_variables(url: str, worker_id: str) -> dict[str, str]:
    """What RunPod would set for a worker, for a server at this address that does as RunPod.

    The SDK appends to these addresses, so all but the last must hold a question mark.

    Args:
        url: with `/v2/ENDPOINT` at its end, whose key is in RUNPOD_AI_API_KEY; or of the endpoint `local` there.
    """
    url = url.rstrip("/").removesuffix("/v2")
    is_named = "/v2/" in url
    base = url if is_named else f"{url}/v2/local"
    return {
        JOBS: f"{base}/job-take/$ID?gpu=none",
        "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=none",
        "RUNPOD_WEBHOOK_POST_STREAM": f"{base}/job-stream/$RUNPOD_POD_ID/$ID?gpu=none",
        "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID",
        "RUNPOD_AI_API_KEY": os.environ.get("RUNPOD_AI_API_KEY", "local") if is_named else "local",
        "RUNPOD_POD_ID": worker_id,
        "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",  # for an address on the internet, 4 GB and more of memory
        "RUNPOD_SKIP_GPU_CHECK": "true",
    }


def set_variables(given: Mapping[str, str]) -> None:
    """Set what the SDK and the Hub's library read while they are imported, so this comes before that.

    Args:
        given: these hold; what this sets by itself holds only where nothing is set.
    """
    os.environ.update(given)
    if "RUNPOD_DEBUG_LEVEL" not in os.environ:
        os.environ.setdefault("RUNPOD_LOG_LEVEL", "INFO")  # below it every output is written into a string, twice
    if "HF_HOME" not in os.environ and Path(MODEL_CACHE).is_dir():
        os.environ.setdefault("HF_HUB_CACHE", MODEL_CACHE)


def require_jobs() -> None:
    """Refuse to start where nothing says from where jobs come: the SDK would look for a file test_input.json.

    Raises:
        ConfigError: says what to do.
    """
    if not os.environ.get(JOBS):
        raise ConfigError(
            f"{JOBS} is not set, so there are no jobs to take: RunPod sets it on queue endpoints; on one that balances "
            "load run `embedstack serve --profile runpod`, and here --local or --emulator"
        )


# ------------------------------------------------------------------------------------------------ the worker


class BriefDict(dict[str, object]):
    """An object that the SDK shall write; it shows every output twice, in full."""

    def __repr__(self) -> str:
        return f"<an object with {', '.join(self)}>"


class BriefList(list[object]):
    """The same for a list."""

    def __repr__(self) -> str:
        return f"<a list of {len(self)}>"


def plain(output: Output) -> object:
    """An output as the SDK has a handler return it."""
    value = orjson.loads(output.raw) if output.raw else {}
    if output.error:
        rest = value if isinstance(value, dict) else {"output": value}
        return BriefDict({**rest, "error": orjson.loads(output.error)})
    return BriefDict(value) if isinstance(value, dict) else BriefList(value) if isinstance(value, list) else value


def fitting(output: Output, job_id: str) -> object:
    """The same, or that it is too large: the SDK writes a blank after each comma, which at most doubles it."""
    value = plain(output)
    try:
        if 2 * len(output.raw) > limit_bytes(job_id):
            sent = json.dumps({"output": value}, ensure_ascii=False).encode()
            check_size(len(sent), job_id, output.items)
    except TooLong as error:
        return BriefDict(error=error.message, code=error.code)
    return value


def start(
    sdk: Sdk,
    answer: Answer,
    *,
    concurrency: int,
    is_fit: Callable[[], Awaitable[None]],
    why_end: Callable[[], str] = lambda: "",
    mends: bool = True,
) -> None:
    """Take jobs and answer them until SIGTERM or SIGINT; those in hand are finished and sent.

    Args:
        concurrency: jobs that are answered at the same time.
        is_fit: raises what is wrong; asked once, before the first job.
        why_end: why this process should end after its jobs, and be started anew; empty while it should not.
        mends: False leaves the SDK as it is.
    """
    is_realtime = os.environ.get(REALTIME, "0") != "0"  # then the SDK is an HTTP server, which nothing here mends
    sends_raw = mends and not is_realtime and mend(sdk)
    config: dict[str, object] = {}

    async def handler(job: Job) -> object:
        output = await answer(job)
        if "refresh_worker" not in config and (why := why_end()):
            log.warning("event=worker_ends reason=%s", orjson.dumps(why).decode())
            config["refresh_worker"] = True  # read by the SDK after this job
            if is_realtime:  # which reads it nowhere
                signal.raise_signal(signal.SIGTERM)
        return Ready(output) if sends_raw else fitting(output, str(job.get("id", "")))

    async def embedstack_model() -> None:  # the SDK reports it by this name
        await is_fit()

    sdk.serverless.register_fitness_check(embedstack_model)
    sys.argv = sys.argv[:1]  # it parses what is there, and ours was parsed already
    config.update(handler=handler, concurrency_modifier=lambda current: concurrency)
    sdk.serverless.start(config)


def load() -> Sdk:
    """The SDK, imported: most of a second.

    Raises:
        ConfigError: it is not installed.
    """
    with no_credentials(), no_look_at_the_processor():
        try:
            runpod = import_module("runpod")
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"a worker for RunPod needs its SDK ({error}); pip install 'embedstack[runpod]'"
            ) from error
        names = {name: import_module(f"runpod.serverless.modules.{name}") for name in ("rp_http", "rp_job", "rp_scale")}
        worker = import_module("runpod.serverless.worker")
    return Sdk(version=runpod.__version__, serverless=runpod.serverless, worker=worker, **names)


@contextlib.contextmanager
def no_credentials() -> Iterator[None]:
    """Keep the SDK from ~/.runpod/config.toml, whose place it notes at its import.

    A key in there is its user's own, and would be sent to the address of the jobs in place of the worker's.
    """
    home = os.environ.get("HOME")
    os.environ["HOME"] = os.devnull
    try:
        yield
    finally:
        del os.environ["HOME"]
        if home is not None:
            os.environ["HOME"] = home


@contextlib.contextmanager
def no_look_at_the_processor() -> Iterator[None]:
    """Keep the SDK from asking which processor this is, 1.3 of the 2 seconds of its import: it tells its debugger.

    For that cpuinfo starts a process that runs machine code. Where it says nothing, the SDK does without.
    https://github.com/runpod/runpod-python/blob/1.12.0/runpod/serverless/utils/rp_debugger.py
    """
    try:
        cpuinfo = import_module("cpuinfo")
        asks = cpuinfo.get_cpu_info
    except (ImportError, AttributeError):  # of another version of the SDK
        yield
        return
    setattr(cpuinfo, "get_cpu_info", dict)  # noqa: B010  # the type checker knows no such name
    try:
        yield
    finally:
        setattr(cpuinfo, "get_cpu_info", asks)  # noqa: B010
