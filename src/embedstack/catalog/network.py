"""A URL -> whether its host answers, through the user's proxy where there is one."""

import queue
import socket
import threading
import urllib.request
from urllib.parse import urlsplit

CONNECT_S = 3.0  # a source that takes longer than this to connect is skipped


class SkippedError(Exception):
    """A source cannot give the model now; the message says why. The next source is tried."""


def require_answer(url: str, timeout_s: float = CONNECT_S) -> None:
    """Connect to the first hop, name lookup included.

    Raises:
        SkippedError: no connection in time.
    """
    host, port = first_hop(url)
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
