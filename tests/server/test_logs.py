"""Lines of the log."""

import logging
import re

from embedstack.server.logs import LineFormatter, trace


def line(message: str, error: Exception | None = None, logger: str = "embedstack.server") -> str:
    cause = (type(error), error, error.__traceback__) if error else None
    return LineFormatter().format(logging.LogRecord(logger, logging.INFO, "", 0, message, (), cause))


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
