"""What the settings say of the network -> what a source may use, and whether a host answers."""

import base64
import queue
import re
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from embedstack.errors import ConfigError

HUB = "https://huggingface.co"
CONNECT_S = 3.0  # a source that takes longer than this to connect is skipped


def to_stderr(line: str) -> None:
    """Say something to the person at the terminal."""
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a source may use."""

    endpoint: str = HUB  # without a password, so that every message, log and file may hold it
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # what opens the endpoint
    say: Callable[[str], None] = to_stderr


def access_to(endpoint: str, token: str, say: Callable[[str], None]) -> Access:
    """Take the secrets out of what is set: they are in the head of a request and nowhere else.

    Raises:
        ConfigError: the endpoint is no URL, or the token cannot be sent; the message holds neither secret.
    """
    shown, password = _split(endpoint)
    token = token.strip()
    if not re.fullmatch(r"[!-~]*", token):
        raise ConfigError("HF_TOKEN holds a character that no token has; copy it again")
    how = f"Basic {password}" if password else f"Bearer {token}"  # a header has room for one
    return Access(endpoint=shown, headers={"authorization": how} if password or token else {}, say=say)


def _split(endpoint: str) -> tuple[str, str]:
    """The URL without user and password, and these two as a Basic header has them."""
    try:
        parts = urlsplit(endpoint.rstrip("/"))
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # it quotes the part that it cannot read, which may be of a password
        is_whole = False
    if not is_whole or parts.query or parts.fragment or "@" in parts.path:
        shown = "(not shown)" if "@" in endpoint else repr(endpoint)
        raise ConfigError(
            f"HF_ENDPOINT={shown} is not of the form https://host or https://user:password@host; "
            "write a sign in the password as a URL does, such as %40 for @"
        )
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=host).geturl(), base64.b64encode(unquote(user).encode()).decode()


def without_passwords(text: str) -> str:
    """A text in which the URLs hold no password."""
    return re.sub(r"//[^/\s@]+@", "//***@", text)


class SkippedError(Exception):
    """A source cannot give the model now; the message says why. The next source is tried."""


def require_answer(url: str, timeout_s: float = CONNECT_S) -> None:
    """Connect to the first hop, name lookup included.

    Raises:
        SkippedError: no connection in time.
    """
    try:
        host, port = first_hop(url)
    except ValueError:
        raise SkippedError("its address has no port that is a number") from None
    outcome: queue.SimpleQueue[OSError | None] = queue.SimpleQueue()
    # a thread, because neither the name lookup nor a host with many addresses keeps to a socket's timeout
    threading.Thread(target=_connect, args=(host, port, timeout_s, outcome), daemon=True).start()
    try:
        error = outcome.get(timeout=timeout_s)
    except queue.Empty:
        raise SkippedError(f"{host}:{port} did not connect in {timeout_s:g} s") from None
    if error is not None:
        raise SkippedError(f"{host}:{port} did not connect ({error})") from error


def first_hop(url: str) -> tuple[str, int]:
    """Host and port of the proxy that is set for this URL, else of the URL itself."""
    import urllib.request  # loads an HTTP client, which start-up does without

    target = urlsplit(url)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(target.scheme) or proxies.get("all")
    if proxy and not urllib.request.proxy_bypass(target.netloc.rpartition("@")[2]):
        target = urlsplit(proxy if "//" in proxy else f"//{proxy}", scheme="http")
    return target.hostname or "", target.port or (443 if target.scheme == "https" else 80)


def _connect(host: str, port: int, timeout_s: float, outcome: "queue.SimpleQueue[OSError | None]") -> None:
    try:
        socket.create_connection((host, port), timeout_s).close()
        outcome.put(None)
    except OSError as error:
        outcome.put(error)
