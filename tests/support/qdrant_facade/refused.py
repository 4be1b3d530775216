"""What the engine says becomes what a server answers: a status and a text."""

from collections.abc import Iterator
from contextlib import contextmanager

ABOUT_THE_FORM = (TypeError, ValueError, OverflowError)
"""What the engine raises of what it cannot even read."""


class Refused(Exception):
    """Answered as a server does: `{"status": {"error": text}, "time": seconds}`."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


def not_there(name: str) -> Refused:
    """There is no such collection."""
    return Refused(404, f"Not found: Collection `{name}` doesn't exist!")


def taken(name: str) -> Refused:
    """There is one."""
    return Refused(409, f"Wrong input: Collection `{name}` already exists!")


@contextmanager
def engine() -> Iterator[None]:
    """Within it the engine is asked, whose errors are no class of their own."""
    try:
        yield
    except ABOUT_THE_FORM as error:
        raise Refused(400, f"Format error in JSON body: {error}") from error
    except Refused:
        raise
    except Exception as error:
        raise _told(str(error)) from error


def _told(text: str) -> Refused:
    if text.startswith("No point with id"):
        return Refused(404, f"Not found: {text} found")
    if text.startswith("Service"):
        return Refused(500, f"Service internal error: {text}")
    return Refused(400, f"Wrong input: {text}")
