"""Events become lines on stderr: key=value, one line each, never the content of an item."""

import json
import logging
import re
import sys
import time
import traceback
from pathlib import Path
from typing import Literal

OURS = "embedstack"
log = logging.getLogger(f"{OURS}.server")
Style = Literal["line", "json"]
PAIR = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|\S*)')
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
PLAIN = re.compile(r"[A-Za-z0-9._:/+@-]+")
NOT_SHOWN = re.compile(r"[\n(<]")  # what follows it in a message of asyncio
FRAMES = 12  # innermost first; enough to pass the frames of the event loop


def set_up_logs(level: str, style: Style = "line") -> None:
    """Send every logger of this process to stderr: ours from the level on, all others from warning on.

    Below it HTTP clients write the addresses that they fetch, and a download's address may hold its signature.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else LineFormatter())
    handler.addFilter(ours_or_trouble)
    ours = logging.getLogger(OURS)
    ours.setLevel(level.upper())
    logging.basicConfig(handlers=[handler], level=max(logging.WARNING, ours.level), force=True)


def ours_or_trouble(record: logging.LogRecord) -> bool:
    """Whether a record may be written; asked for each, because a library can set the level of its own logger."""
    return record.levelno >= logging.WARNING or record.name == OURS or record.name.startswith(f"{OURS}.")


class LineFormatter(logging.Formatter):
    """`time=… level=… event=…`; what other libraries say becomes `event=log logger=… message="…"`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, also with an exception."""
        message = record.getMessage()
        if record.name == "asyncio":  # it adds tasks and callbacks with what they hold, which may be a text
            message = NOT_SHOWN.split(message)[0].strip()
        if not message.startswith("event="):
            message = f"event=log logger={record.name} message={json.dumps(message)}"
        if record.exc_info and record.exc_info[1]:
            message += f" cause={json.dumps(trace(record.exc_info[1]))}"
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"time={moment}.{int(record.msecs):03d}Z level={record.levelname.lower()} {message}"


class JsonFormatter(LineFormatter):
    """The same events as JSON objects, one a line; numbers stay numbers."""

    def format(self, record: logging.LogRecord) -> str:
        """One object."""
        return json.dumps({name: _value(name, text) for name, text in PAIR.findall(super().format(record))})


def _value(name: str, text: str) -> object:
    is_number = name != "id" and NUMBER.fullmatch(text)  # a caller may choose an id of digits
    if is_number or text.startswith('"'):
        try:
            return json.loads(text)
        except ValueError:  # a line that is written wrong is better than none
            return text
    return text


def trace(error: BaseException) -> str:
    """Types and places of an exception and its causes, without their messages, which may quote a text."""
    frames = reversed(traceback.extract_tb(error.__traceback__)[-FRAMES:])
    places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
    cause = error.__cause__ or error.__context__
    return f"{type(error).__qualname__} at {places}" + (f"; from {trace(cause)}" if cause else "")


def word(text: str) -> str:
    """A value as it is where nothing can mistake it, else quoted."""
    return text if PLAIN.fullmatch(text) else quoted(text)


def quoted(text: str) -> str:
    """A value that may hold spaces, for a line of key=value."""
    return json.dumps(text)
