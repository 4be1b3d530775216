"""Lines of the log."""

import json
import logging
import re

import pytest

from embedstack.server.logs import JsonFormatter, LineFormatter, set_up_logs, trace, word

FOREIGN = ("httpx", "httpx2", "httpcore", "httpcore2", "huggingface_hub", "uvicorn.error", "embedstacks")
SIGNED = "HTTP Request: GET https://cdn.example/model?Signature=secret"


def line(message: str, error: Exception | None = None, logger: str = "embedstack.server") -> str:
    cause = (type(error), error, error.__traceback__) if error else None
    return LineFormatter().format(logging.LogRecord(logger, logging.INFO, "", 0, message, (), cause))


def as_json(message: str, error: Exception | None = None) -> dict[str, object]:
    cause = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("embedstack.server", logging.INFO, "", 0, message, (), cause)
    return json.loads(JsonFormatter().format(record))


def test_as_json_an_event_has_its_numbers_and_its_quoted_texts():
    event = as_json('event=request id=0123 status=200 ms=1.5 reason="a \\"b\\" = c" route=/v1/embeddings')

    assert {name: event[name] for name in ("level", "id", "status", "ms", "reason", "route")} == {
        "level": "info", "id": "0123", "status": 200, "ms": 1.5, "reason": 'a "b" = c', "route": "/v1/embeddings"
    }  # fmt: skip


@pytest.mark.parametrize("odd", ['"', '"a', 'a"b', "status=500", "\\", '"a"event=ready'])
def test_a_value_that_a_caller_chose_is_one_value_in_both_forms(odd):
    message = f"event=request id={word(odd)} status=200"

    event = as_json(message)
    assert (event["id"], event["status"], event["event"]) == (odd, 200, "request")


@pytest.mark.parametrize("plain", ["r-1", "0123", "10.0.0.7", "fe80::1", "a/b+c@d"])
def test_a_plain_value_is_written_as_it_is(plain):
    assert word(plain) == plain


@pytest.mark.parametrize("text", ['"torn', '"', "9" * 5000])
def test_a_line_that_is_written_wrong_is_shown_and_does_no_harm(text):
    assert as_json(f"event=request reason={text}")["reason"] == text


def test_as_json_an_exception_is_one_line_without_its_messages():
    event = as_json("event=bug", raised())

    assert "from KeyError" in event["cause"]
    assert "secret" not in event["cause"]


def raised() -> Exception:
    try:
        try:
            raise KeyError("a secret text")
        except KeyError as error:
            raise ValueError("another secret text") from error
    except ValueError as error:
        return error


def test_an_event_is_one_line_of_key_and_value():
    assert re.fullmatch(
        r"time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=info event=ready models=1", line("event=ready models=1")
    )


def test_what_others_say_is_quoted_on_one_line():
    assert line("two\nlines", logger="uvicorn.error").endswith(r'event=log logger=uvicorn.error message="two\nlines"')


def test_an_exception_is_its_types_and_places_without_its_messages():
    text = line("event=bug", raised())

    assert re.search(r"ValueError at test_logs.py:\d+ raised; from KeyError at test_logs.py:\d+ raised", text)
    assert "secret" not in text
    assert "\n" not in text


def test_an_exception_that_was_never_raised_has_no_places():
    assert trace(ValueError("a")) == "ValueError at "


@pytest.fixture
def stderr(capsys):
    """What the process's log writes; the log is as before afterwards."""
    loggers = [logging.getLogger(name) for name in (None, "embedstack", *FOREIGN)]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    handlers, logging.root.handlers = logging.root.handlers, []
    yield lambda: capsys.readouterr().err
    logging.root.handlers = handlers
    for logger, level, propagate in before:
        logger.setLevel(level)
        logger.propagate = propagate


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("level", ["debug", "info"])
def test_what_others_say_below_a_warning_is_not_written(stderr, name, level):
    set_up_logs(level)

    logging.getLogger(name).info(SIGNED)
    logging.getLogger(name).debug(SIGNED)
    assert stderr() == ""


@pytest.mark.parametrize("name", FOREIGN)
def test_a_library_that_opens_its_own_logger_is_not_written_either(stderr, name):
    set_up_logs("info")
    logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger(name).propagate = True

    logging.getLogger(name).info(SIGNED)
    assert stderr() == ""


def test_a_warning_of_others_is_written(stderr):
    set_up_logs("info")

    logging.getLogger("uvicorn.error").warning("the socket is gone")
    assert 'level=warning event=log logger=uvicorn.error message="the socket is gone"' in stderr()


@pytest.mark.parametrize(("level", "written"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_our_own_loggers_follow_the_level(stderr, level, written):
    set_up_logs(level)

    for name in ("debug", "info", "warning"):
        getattr(logging.getLogger("embedstack.engine.engine"), name)("event=%s", name)
    assert len(stderr().splitlines()) == written
