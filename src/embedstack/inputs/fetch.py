"""A link to an image -> its bytes, fetched from the public internet only."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import httpx

from embedstack.errors import BadRequest, Forbidden, TooLong
from embedstack.inputs.addresses import is_public

TIMEOUT_S = 10.0  # for all of it: names, redirects, bytes
CONNECT_S = 3.0  # for one address, so that a dead one leaves time for the next
MAX_REDIRECTS = 3
MAX_ADDRESSES = 3  # that are tried of one host
MAX_URL_CHARS = 4096
MAX_HOST_CHARS = 253  # RFC 1035
PORTS = (80, 443, 8080, 8443)  # where web servers are; no other service is spoken to
REDIRECTS = (301, 302, 303, 307, 308)
LOOKUPS = ThreadPoolExecutor(4, thread_name_prefix="lookup")  # slow names hold up no other work
HEADERS = {"accept": "image/*", "accept-encoding": "identity", "user-agent": "embedstack"}

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def by_system(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, as the system's resolver gives them."""
    find = asyncio.get_running_loop().run_in_executor
    found = await find(LOOKUPS, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def fetch_image(
    url: str,
    *,
    max_bytes: int,
    resolve: Resolve = by_system,
    timeout_s: float = TIMEOUT_S,
    transport: httpx.AsyncBaseTransport | None = None,
) -> bytes:
    """The bytes behind a link. They may be anything: see `check_picture`.

    A name is resolved once for each hop, every address of it must be public, and the connection is made to the very
    address that was checked. No proxy, cookie or password takes part.

    Args:
        resolve: gives the addresses of a host; tests have their own.
        transport: what connects; tests have their own.
    Raises:
        Forbidden: the link, or one that it leads to, may not be followed. TooLong: more bytes than allowed.
        BadRequest: nothing can be had there. The message holds the host, never what it said.
    """
    first = _checked(url)
    connect = transport or httpx.AsyncHTTPTransport(verify=_certificates(), trust_env=False)
    try:
        return await asyncio.wait_for(_followed(first, max_bytes, resolve, connect), timeout_s)
    except asyncio.TimeoutError:
        host = _host(first)
        raise BadRequest(f"{host!r} did not give the image within {timeout_s:g} s; send the image itself") from None
    finally:
        await connect.aclose()


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    """Made once, because reading them takes some 20 ms; no variable of the environment adds to them."""
    return httpx.create_ssl_context(trust_env=False)


async def _followed(url: httpx.URL, max_bytes: int, resolve: Resolve, connect: httpx.AsyncBaseTransport) -> bytes:
    for _ in range(MAX_REDIRECTS + 1):
        response = await _asked(url, await _addresses(url, resolve), connect)
        try:
            if response.status_code not in REDIRECTS:
                return await _read(response, url, max_bytes)
            url = _next(url, response.headers.get("location", ""))
        finally:
            await response.aclose()
    raise BadRequest(f"{_host(url)!r} redirects more than {MAX_REDIRECTS} times; send the last link")


# ------------------------------------------------------------------------------------------------ where to


def _checked(text: str) -> httpx.URL:
    """The link, if its form allows to follow it."""
    if len(text) > MAX_URL_CHARS:
        raise TooLong(f"a link has {len(text)} characters, the limit is {MAX_URL_CHARS}; send the image itself")
    try:
        url = httpx.URL(text)
        host = _host(url)
    except (httpx.InvalidURL, ValueError) as error:  # it quotes the link
        raise BadRequest("a link to an image is no URL; send https://host/path or the image itself") from error
    if url.scheme not in ("http", "https") or not host:
        raise Forbidden("a link to an image does not begin with http://host or https://host; others are not followed")
    if url.userinfo:
        raise Forbidden(f"a link to {host!r} holds a user or a password; such links are not followed")
    if len(host) > MAX_HOST_CHARS or _port(url) not in PORTS:
        ports = ", ".join(map(str, PORTS))
        raise Forbidden(f"a link to {host[:MAX_HOST_CHARS]!r} is not to one of the ports {ports}; it is not followed")
    return url


def _next(url: httpx.URL, location: str) -> httpx.URL:
    """Where a redirect leads."""
    try:
        return _checked(str(url.join(location)))
    except (httpx.InvalidURL, ValueError) as error:
        raise BadRequest(f"{_host(url)!r} redirects to what is no URL; send the image itself") from error


async def _addresses(url: httpx.URL, resolve: Resolve) -> Sequence[str]:
    """All addresses of the host.

    An unknown name and a private one are refused in the same words, which would else tell what names exist inside.
    """
    try:
        found = await resolve(_host(url), _port(url))
    except (OSError, UnicodeError):
        found = ()
    if not found or not all(is_public(address) for address in found):
        raise Forbidden(f"the host {_host(url)!r} has no public address, or a private one too; it is not asked")
    return found[:MAX_ADDRESSES]


def _host(url: httpx.URL) -> str:
    """As it is looked up: ASCII, no brackets."""
    return url.raw_host.decode("ascii")


def _port(url: httpx.URL) -> int:
    return url.port if url.port is not None else 443 if url.scheme == "https" else 80


# ------------------------------------------------------------------------------------------------ there and back


async def _asked(url: httpx.URL, addresses: Sequence[str], connect: httpx.AsyncBaseTransport) -> httpx.Response:
    """The head of the reply, from the first address that connects."""
    for address in addresses:
        try:
            return await connect.handle_async_request(_request(url, address))
        except (httpx.ConnectError, httpx.ConnectTimeout):
            continue
        except httpx.HTTPError as error:  # it may quote what the host said
            raise BadRequest(f"{_host(url)!r} does not answer as HTTP should; send the image itself") from error
    raise BadRequest(f"{_host(url)!r} cannot be connected to; send the image itself")


def _request(url: httpx.URL, address: str) -> httpx.Request:
    """To the address, in the name of the host: its Host header, and its name in the certificate."""
    return httpx.Request(
        "GET",
        url.copy_with(host=address, fragment=None),
        headers={"host": url.netloc.decode("ascii"), **HEADERS},
        extensions={
            "sni_hostname": _host(url),
            "timeout": {"connect": CONNECT_S, "read": TIMEOUT_S, "write": TIMEOUT_S, "pool": TIMEOUT_S},
        },
    )


async def _read(response: httpx.Response, url: httpx.URL, max_bytes: int) -> bytes:
    """The body as it travels, never decompressed, never more of it than the limit and one piece."""
    host = _host(url)
    if response.status_code != 200:
        raise BadRequest(f"{host!r} answers {response.status_code}; send a link that answers 200, or the image itself")
    declared = response.headers.get("content-length", "")
    pieces = bytearray()
    try:
        if declared.isdecimal() and int(declared[:20]) > max_bytes:
            raise _too_large(host, max_bytes)
        async for piece in response.aiter_raw():
            pieces += piece
            if len(pieces) > max_bytes:
                raise _too_large(host, max_bytes)
    except httpx.HTTPError as error:
        raise BadRequest(f"{host!r} broke off in the middle of the image; send the image itself") from error
    return bytes(pieces)


def _too_large(host: str, max_bytes: int) -> TooLong:
    return TooLong(f"the image at {host!r} is over the limit of {max_bytes} bytes; send a smaller one")
