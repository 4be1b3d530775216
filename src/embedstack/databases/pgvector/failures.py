"""What psycopg raises becomes one of our errors: said by the server's code, or by libpq's words where there is none."""

import contextlib
import re
import socket
from collections.abc import Iterator

import psycopg

from embedstack.errors import BadRequest, ConfigError, EmbedstackError, Upstream

ADDRESS = "look at the address, the user and the password"
# https://www.postgresql.org/docs/18/errcodes-appendix.html; by the longest beginning
CONFIG = {
    "28": f"it refuses this user; {ADDRESS}",
    "3D": "there is no such database; create it, or look at the name behind the host",
    "3F": "there is no such schema; create it, or set the user's search_path",
    "42501": "this user may not; GRANT it the right, or take another user",
    "25006": "it takes no writes, as a standby does not; take the address of the one that does",
    "53100": "its disk is full; make room there and run again, what was finished stays",
    "53400": "a limit of its settings is reached; raise it",
    "42704": "it does not know this type or setting; run: ALTER EXTENSION vector UPDATE",
    "42883": "it does not know this function; run: ALTER EXTENSION vector UPDATE",
    "58P01": "a file of an extension is missing there; install pgvector on that server",
}
AGAIN = {
    "08": "the connection was lost",
    "25P03": "it ended this connection after a time-out",
    "40": "another transaction came between",
    "42P01": "a table was changed meanwhile",
    "42703": "a table was changed meanwhile",
    "53": "it has no room for more work now",
    "55P03": "somebody else held the lock that this needs for too long",
    "57014": "it ended this, as after its statement_timeout",
    "57P": "it is starting, stopping or ended this connection",
    "58": "its system failed",
}
WRONG = {
    "0A000": "it cannot do that",
    "2BP01": "something else is built upon it; drop that first",
    "22": "it does not take a value",
    "23": "a rule of the table forbids it",
    "42P07": "something of this name is there; take another name",
    "54": "a value is over one of its limits",
    "P0": "a trigger of the table forbids it",
}
# before there is a connection there are no codes; the server's own words are English unless lc_messages is set
REFUSALS = {
    r"authentication failed|no password supplied|no pg_hba\.conf entry|role \".*\" does not exist|not permitted to log "
    r"in|permission denied for database|requires a valid client certificate": f"it refuses this user; {ADDRESS}",
    r"database \".*\" does not exist": CONFIG["3D"],
    r"failed to resolve host|could not translate host name": "there is no host of this name; look at the address",
    r"does not support SSL|certificate verify failed|server certificate for|root certificate file|invalid sslmode":
        "it does not agree about TLS; look at sslmode and sslrootcert",
    r"definition of service|could not match|is not a valid port|invalid port|invalid integer value":
        "libpq cannot use this address; look at its parts",
}  # fmt: skip
LATER = re.compile(rf"\[Errno {socket.EAI_AGAIN}\]|Temporary failure in name resolution")


@contextlib.contextmanager
def mapped(url: str) -> Iterator[None]:
    """Raise ours in the place of psycopg's.

    Args:
        url: without secrets.
    """
    try:
        yield
    except psycopg.Error as error:
        if isinstance(error, psycopg.ProgrammingError) and not error.sqlstate:
            raise  # we called it wrongly
        raise failure(url, error) from error


@contextlib.contextmanager
def connecting(url: str) -> Iterator[None]:
    """As `mapped`, while there is no connection yet."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise _unconnected(url, error) from error
    except UnicodeError as error:
        raise ConfigError(f"{url} cannot be used: its host cannot be a name; look at the address") from error


def failure(url: str, error: psycopg.Error) -> EmbedstackError:
    """Says the code and the server's one sentence; its details, which quote rows, are never repeated."""
    code = error.sqlstate or ""
    said = f"{error.diag.message_primary or type(error).__name__}"
    if not code and isinstance(error, psycopg.DataError):
        return BadRequest(f"{url} cannot be sent such values ({said}); look at what made them")
    if advice := _longest(code, CONFIG):
        return ConfigError(f"{url} cannot be used ({code}: {said}): {advice}")
    if reason := _longest(code, WRONG):
        return BadRequest(f"{url} refused ({code}: {said}): {reason}")
    if reason := _longest(code, AGAIN) or ("" if code else AGAIN["08"]):
        return Upstream(f"{url} failed ({code or 'no code'}: {said}): {reason}; run again later", retry=True)
    return Upstream(f"{url} failed ({code}: {said}); look at the log of that server")


def _longest(code: str, known: dict[str, str]) -> str:
    begins = [begin for begin in known if code.startswith(begin)]
    return known[max(begins, key=len)] if code and begins else ""


def _unconnected(url: str, error: psycopg.OperationalError) -> EmbedstackError:
    if error.sqlstate:
        return failure(url, error)
    text = str(error)
    refusal = next((advice for words, advice in REFUSALS.items() if re.search(words, text)), "")
    if refusal and not LATER.search(text):
        return ConfigError(f"{url} cannot be used: {refusal}")
    why = "no answer in time" if isinstance(error, psycopg.errors.ConnectionTimeout) else _why(text)
    return Upstream(f"{url} cannot be reached ({why}); run again later", retry=True)


def _why(text: str) -> str:
    """Of libpq's words those behind the address, which is in ours."""
    first = text.splitlines()[0] if text else ""
    return first.rpartition(": ")[2].strip() or "no answer"
