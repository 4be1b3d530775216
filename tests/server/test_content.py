"""What callers send, and their keys, are in no log and in no reply that others could read."""

import asyncio
import gc
import io
import logging
from dataclasses import replace

import pytest
from click.testing import CliRunner

from embedstack.cli.doctor import doctor
from embedstack.dialects import open_dialects
from embedstack.errors import ConfigError
from embedstack.server import create_app
from embedstack.server.guard import HungUp, unless_hung_up
from embedstack.server.logs import JsonFormatter, LineFormatter, ours_or_trouble
from embedstack.settings import Settings
from embedstack.testing.fake import HashEncoder
from embedstack.types import Encode, Encoded, Text

pytestmark = pytest.mark.anyio
TEXT = "xyzzy-words-of-a-patient"
KEY, ADMIN, STRANGE = "alice-xyzzy-0123456789", "admin-xyzzy-0123456789", "wrong-xyzzy-0123456789"
MARK = "xyzzy"
ROUTES = sorted({route.path for dialect in open_dialects() for route in dialect.routes})


class Unsayable(Exception):
    """Cannot even be said."""

    def __str__(self) -> str:
        raise ValueError(TEXT)


def chained() -> Exception:
    try:
        try:
            raise KeyError(TEXT)
        except KeyError as error:
            raise ValueError(TEXT) from error
    except ValueError as error:
        return error


ODD = [
    ValueError(TEXT),
    KeyError(TEXT),
    AssertionError(TEXT),
    TimeoutError(TEXT),
    OSError(5, TEXT, TEXT),
    UnicodeEncodeError("utf-8", TEXT, 0, 1, TEXT),
    asyncio.CancelledError(TEXT),
    StopAsyncIteration(TEXT),
    RecursionError(TEXT),
    MemoryError(TEXT),
    chained(),
    Unsayable(),
]


class Broken(HashEncoder):
    """Raises what it is given."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    async def encode(self, request: Encode) -> Encoded:
        raise self.error


class Stubborn(HashEncoder):
    """Fails when it is told to stop."""

    async def encode(self, request: Encode) -> Encoded:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError(TEXT) from None
        raise AssertionError


@pytest.fixture(params=[LineFormatter, JsonFormatter])
def written(request):
    """Everything that the process would write to its log at the lowest level, as it would stand there."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(request.param())
    handler.addFilter(ours_or_trouble)
    loggers = [logging.root, logging.getLogger("embedstack")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    logging.root.addHandler(handler)

    yield stream.getvalue
    logging.root.removeHandler(handler)
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
async def test_an_odd_error_says_its_text_neither_to_the_caller_nor_to_the_log(serve, written, error):
    bodies = {"/v1/embeddings": {"input": TEXT}, "/embed": {"inputs": TEXT}}
    async with serve(lambda: Broken(error)) as client:
        replies = [await client.post(path, json=body) for path, body in bodies.items()]

    assert [reply.status_code for reply in replies if reply.status_code < 424] == []
    assert [reply.text for reply in replies if MARK in reply.text] == []
    assert MARK not in written()


@pytest.mark.slow
async def test_no_route_writes_a_body_that_it_refuses_to_the_log(serve, written):
    bodies = ({"no": TEXT}, {TEXT: 1}, [TEXT], TEXT, {"input": {TEXT: TEXT}, "inputs": 1, "texts": TEXT})
    async with serve() as client:
        statuses = [(await client.post(path, json=body)).status_code for path in ROUTES for body in bodies]

    assert "event=request" in written() or '"event": "request"' in written()
    assert max(statuses) < 500
    assert MARK not in written()


async def test_what_stands_after_the_path_is_not_in_the_log(serve, written):
    async with serve(api_keys=f"alice:{KEY}") as client:
        await client.post(f"/embed?key={KEY}", json={"inputs": TEXT})
        await client.get(f"/nowhere?text={TEXT}")

    assert MARK not in written()


async def test_an_engine_that_fails_after_the_caller_left_is_not_quoted(written):
    async def gone():
        return {"type": "http.disconnect"}

    with pytest.raises(HungUp):
        await unless_hung_up(Stubborn().encode(Encode(model="hash", items=(Text(TEXT),))), gone)

    gc.collect()  # a task that failed unheard is logged when it is collected
    assert "never retrieved" not in written()
    assert MARK not in written()


@pytest.mark.parametrize("said", ["Task exception was never retrieved\nfuture: <Task exception=ValueError('{}')>"])
@pytest.mark.parametrize("formatter", [LineFormatter(), JsonFormatter()])
def test_what_the_event_loop_says_of_a_task_is_cut_before_its_content(said, formatter):
    record = logging.LogRecord("asyncio", logging.ERROR, "", 0, said.replace("{}", TEXT), (), None)

    assert MARK not in formatter.format(record)
    assert "Task exception was never retrieved" in formatter.format(record)


# ------------------------------------------------------------------------------------------------ keys

PAGES = ("/", "/docs", "/openapi.json", "/metrics", "/info", "/v1/models", "/health", "/nowhere")
SAFE = Settings(api_keys=f"alice:{KEY}", admin_key=ADMIN, hf_token="hf_xyzzy")


@pytest.mark.slow
async def test_no_key_is_in_the_log_or_on_a_page(serve, written):
    keys = {name: getattr(SAFE, name) for name in ("api_keys", "admin_key")}
    async with serve(lambda: Broken(ValueError(TEXT)), **keys) as client:
        for key in (KEY, ADMIN, STRANGE):
            for headers in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}, {"api-key": key}):
                await client.post("/v1/embeddings", json={"input": TEXT}, headers=headers)
        replies = [await client.get(path, headers={"x-api-key": KEY}) for path in PAGES]

    assert [reply.url.path for reply in replies if MARK in reply.text] == []
    assert MARK not in written()


def test_no_key_is_in_the_repr_of_the_settings():
    assert MARK not in repr(SAFE)


def test_no_key_is_in_what_the_doctor_says(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("api_keys", "admin_key", "hf_token"):
        monkeypatch.setenv(f"EMBEDSTACK_{name.upper()}", getattr(SAFE, name))

    outputs = [CliRunner().invoke(doctor, arguments).output for arguments in (["--settings"], ["--json"])]

    assert all("***" in output for output in outputs)
    assert [output for output in outputs if MARK in output] == []


def test_no_key_is_in_the_error_about_wrong_settings():
    with pytest.raises(ConfigError) as caught:
        create_app(HashEncoder, replace(SAFE, api_keys=f"{KEY},{ADMIN}"))

    assert MARK not in str(caught.value)
