"""What qdrant-client, httpx and local mode raise becomes one of our errors: with Qdrant's words, never with a key."""

import contextlib
import json
import re
import socket
import sqlite3
import ssl
from collections.abc import Iterator

import httpx
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from embedstack.databases.database import UnknownCollection
from embedstack.errors import BadRequest, ConfigError, EmbedstackError, TooLong, Upstream

MOST_WORDS = 300  # characters of what a server says
MISSING = re.compile(r"collection .*(doesn't exist|not found)", re.IGNORECASE | re.DOTALL)
GONE = "No point with id"
TOO_LARGE = "larger than allowed"  # with 400, as the server's JSON reader says it; a proxy before it says 413
TRIED_AGAIN = frozenset({408, 425, 429})  # of the statuses that blame the request
NOT_ASKED = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL, UnicodeError)
ABSENT = "the collection is not there"


@contextlib.contextmanager
def from_server(url: str, key: str = "") -> Iterator[None]:
    """Raise ours in the place of what asking a server raises.

    Args:
        key: is taken out of what the server says.
    Raises:
        UnknownCollection: without names; who asked knows them.
    """
    try:
        yield
    except UnexpectedResponse as error:
        raise _refusal(url, key, error) from error
    except ResponseHandlingException as error:
        raise _failure(url, error.source) from error
    except httpx.InvalidURL as error:
        raise _failure(url, error) from error
    except QdrantException as error:  # 429 with a Retry-After
        raise Upstream(f"{url} is asked too often (429); ask again later", retry=True) from error
    except PydanticSerializationError as error:  # half of a letter in a condition, as JSON may have it
        raise BadRequest(f"{url} cannot be sent that ({_cut(str(error))}); leave that text away") from error
    except (ValueError, AssertionError) as error:  # no JSON, or an answer without a result
        raise _unreadable(url) from error


@contextlib.contextmanager
def from_folder(url: str) -> Iterator[None]:
    """Raise ours in the place of what local mode raises."""
    try:
        yield
    except KeyError as error:
        raise _moved(url) from error
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"{url} cannot be used ({error}); look at its rights and at the room on that disk") from error
    except (ValueError, RuntimeError, NotImplementedError) as error:
        if MISSING.search(str(error)):
            raise UnknownCollection(ABSENT) from error
        raise BadRequest(f"{url} refuses that: {_cut(str(error))}") from error


# ------------------------------------------------------------------------------------------------ it answered


def _refusal(url: str, key: str, error: UnexpectedResponse) -> EmbedstackError:
    status, words = error.status_code or 0, _words(error, key)
    said = f"({status}{f': {words}' if words else ''})"
    if status in (401, 403):
        what = "does not take the key" if key else "asks for a key"
        return ConfigError(f"{url} {what} {said}; look at QDRANT_API_KEY and at what the key may do")
    if status >= 500 or status in TRIED_AGAIN:
        return Upstream(f"{url} failed {said}; try again later", retry=True)
    if status == 413 or TOO_LARGE in words:
        return TooLong(f"{url} takes no request of that size {said}; send less at once")
    if status == 404:
        return _not_found(url, error, words)
    if status < 400:
        return ConfigError(f"{url} does not answer as Qdrant does {said}; look at the address")
    return BadRequest(f"{url} refuses that {said}")


def _not_found(url: str, error: UnexpectedResponse, words: str) -> EmbedstackError:
    if MISSING.search(words):
        return UnknownCollection(ABSENT)
    if GONE in words:
        return _moved(url)
    if _said(error):
        return BadRequest(f"{url} refuses that (404: {words})")
    return ConfigError(f"{url} knows no such path (404); look whether Qdrant is there, and is 1.16 or later")


def _words(error: UnexpectedResponse, key: str) -> str:
    """Qdrant's own, or the text of whoever else answered."""
    words = _said(error) or (error.content or b"").decode(errors="replace")
    return _cut(words.replace(key, "…") if key else words)


def _said(error: UnexpectedResponse) -> str:
    """What stands in an answer of Qdrant: {"status": {"error": "…"}}; "" in any other."""
    try:
        answer = json.loads(error.content or b"")
    except ValueError:
        return ""
    status = answer.get("status") if isinstance(answer, dict) else None
    return str(status["error"]) if isinstance(status, dict) and "error" in status else ""


def _cut(words: str) -> str:
    line = " ".join(words.split())
    return line if len(line) <= MOST_WORDS else f"{line[:MOST_WORDS]}…"


# ------------------------------------------------------------------------------------------------ it did not


def _failure(url: str, source: Exception) -> EmbedstackError:
    if isinstance(source, httpx.TimeoutException):
        return Upstream(f"{url} did not answer in time ({type(source).__name__}); try again later", retry=True)
    if isinstance(source, httpx.ConnectError):
        return _unreached(url, source)
    if isinstance(source, NOT_ASKED):
        return ConfigError(f"{url} cannot be asked ({type(source).__name__}); look at the address and the key")
    if isinstance(source, httpx.TransportError):
        return Upstream(f"the connection to {url} broke ({type(source).__name__}); try again later", retry=True)
    if isinstance(source, ValidationError | httpx.DecodingError):
        return _unreadable(url)
    return Upstream(f"{url} could not be asked ({type(source).__name__}); look at the address")


def _unreached(url: str, error: httpx.ConnectError) -> EmbedstackError:
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN:
            return ConfigError(f"{url} names a host that is not known ({cause.strerror}); look at its name")
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            return ConfigError(
                f"{url} cannot be trusted ({cause.reason}); look at its certificate, or at http or https"
            )
    return Upstream(f"{url} cannot be reached ({_cut(str(error))}); look whether it runs", retry=True)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _unreadable(url: str) -> Upstream:
    return Upstream(f"{url} sent what cannot be read as an answer of Qdrant; look at the address and its version")


def _moved(url: str) -> Upstream:
    return Upstream(f"a point was deleted from {url} while it was written; write it again", retry=True)
