"""Links to images: where they may lead, and what is taken from there."""

import asyncio
import ssl

import httpx
import pytest
import trustme

from embedstack.errors import BadRequest, Forbidden, TooLong
from embedstack.inputs.fetch import HEADERS, MAX_REDIRECTS, fetch_image

pytestmark = pytest.mark.anyio
PUBLIC = "93.184.215.14"
LINK = "https://pictures.example/cat.png"
BODY = b"\x89PNG and the words of a private page"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Web:
    """An internet of a few names; remembers what was asked."""

    def __init__(self, names=None, pages=None):
        self.names = {"pictures.example": [PUBLIC]} if names is None else names
        self.pages = pages or {}
        self.looked_up: list[str] = []
        self.asked: list[httpx.Request] = []

    async def resolve(self, host: str, port: int):
        self.looked_up.append(host)
        found = self.names.get(host, [])
        return found.pop(0) if found and isinstance(found[0], list) else found

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        page = self.pages.get(request.headers["host"] + request.url.path) or picture()
        if isinstance(page, Exception):
            raise page
        return page

    async def fetch(self, url: str = LINK, **changes) -> bytes:
        given = {"max_bytes": 1000, "resolve": self.resolve, "transport": httpx.MockTransport(self.answer)}
        return await fetch_image(url, **(given | changes))


def picture() -> httpx.Response:
    return httpx.Response(200, stream=httpx.ByteStream(BODY))


def redirect(location: str) -> httpx.Response:
    return httpx.Response(302, headers={"location": location})


async def refused(web: Web, url: str = LINK, kind: type[BadRequest] = Forbidden, **changes) -> str:
    with pytest.raises(BadRequest) as caught:
        await web.fetch(url, **changes)
    assert type(caught.value) is kind
    return str(caught.value)


# ------------------------------------------------------------------------------------------------ the connection


async def test_the_bytes_behind_a_link_come_back():
    assert await Web().fetch() == BODY


async def test_the_connection_is_made_to_the_address_that_was_checked_in_the_name_of_the_host():
    web = Web()
    await web.fetch("https://pictures.example:8443/cat.png?size=2#top")

    (request,) = web.asked
    assert str(request.url) == f"https://{PUBLIC}:8443/cat.png?size=2"
    assert request.headers["host"] == "pictures.example:8443"
    assert request.extensions["sni_hostname"] == "pictures.example"


async def test_an_address_of_ipv6_is_connected_to():
    web = Web({"pictures.example": ["2606:4700::1111"]})
    await web.fetch()

    assert web.asked[0].url.netloc == b"[2606:4700::1111]"


async def test_a_name_is_looked_up_once_so_that_it_cannot_change_after_the_check():
    web = Web({"pictures.example": [[PUBLIC], ["127.0.0.1"]]})
    await web.fetch()

    assert web.looked_up == ["pictures.example"]
    assert web.asked[0].url.host == PUBLIC


async def test_a_name_that_changes_to_a_private_address_between_two_hops_is_refused():
    pages = {"pictures.example/cat.png": redirect("/dog.png")}
    web = Web({"pictures.example": [[PUBLIC], ["127.0.0.1"]]}, pages)

    assert "no public address" in await refused(web)
    assert len(web.asked) == 1


async def test_nothing_is_sent_but_the_headers_that_a_fetch_needs():
    web = Web()
    await web.fetch()

    assert set(web.asked[0].headers) == {"host", *HEADERS}


async def test_a_cookie_is_not_carried_to_the_next_hop():
    first = httpx.Response(302, headers={"location": "/dog.png", "set-cookie": "a=b; Path=/"})
    web = Web(pages={"pictures.example/cat.png": first})
    await web.fetch()

    assert "cookie" not in web.asked[1].headers


async def test_the_next_address_is_tried_where_one_does_not_connect():
    web = Web({"pictures.example": ["2606:4700::1111", PUBLIC]})

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host != PUBLIC:
            raise httpx.ConnectError("network is unreachable")
        return picture()

    assert await web.fetch(transport=httpx.MockTransport(answer)) == BODY


# ------------------------------------------------------------------------------------------------ private addresses


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "::1", "fd00::1"])
async def test_a_private_address_is_not_asked(address):
    web = Web({"pictures.example": [address]})

    await refused(web)
    assert web.asked == []


async def test_one_private_address_among_public_ones_is_enough_to_refuse():
    await refused(Web({"pictures.example": [PUBLIC, "10.0.0.1"]}))


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[::]"],
)
async def test_another_spelling_of_this_machine_is_not_asked(host):
    web = Web()

    with pytest.raises(BadRequest, match=r"no public address|is no URL"):
        await fetch_image(f"http://{host}/", max_bytes=10, transport=httpx.MockTransport(web.answer))
    assert web.asked == []


@pytest.mark.parametrize("location", ["http://10.0.0.1/", "//169.254.169.254/latest/meta-data", "http://[::1]/"])
async def test_a_redirect_to_a_private_address_is_not_followed(location):
    names = {name: [name] for name in ("10.0.0.1", "169.254.169.254", "::1")}
    web = Web({"pictures.example": [PUBLIC], **names}, {"pictures.example/cat.png": redirect(location)})

    await refused(web)
    assert len(web.asked) == 1


async def test_an_unknown_and_a_private_name_are_refused_in_the_same_words():
    private = await refused(Web({"pictures.example": ["10.0.0.1"]}))

    assert await refused(Web({})) == private
    assert "10.0.0.1" not in private


# ------------------------------------------------------------------------------------------------ forms of links


@pytest.mark.parametrize(
    "url",
    [
        "http://user@pictures.example/",
        "http://pictures.example@127.0.0.1/",
        "http://pictures.example:80@127.0.0.1/",
        "https://u:secret@pictures.example/",
    ],
)
async def test_a_link_with_a_user_is_refused_without_its_password(url):
    web = Web()

    assert "secret" not in await refused(web, url)
    assert web.looked_up == []


@pytest.mark.parametrize("url", ["ftp://pictures.example/", "file:///etc/passwd", "gopher://a/", "http:///cat", "cat"])
async def test_only_links_of_the_web_are_followed(url):
    await refused(Web(), url)


@pytest.mark.parametrize("port", [22, 25, 6379, 9200, 1])
async def test_only_the_ports_of_web_servers_are_asked(port):
    web = Web()

    assert "80, 443, 8080, 8443" in await refused(web, f"http://pictures.example:{port}/")
    assert web.looked_up == []


@pytest.mark.parametrize("url", ["http://[::1", "http://a:port/", "http://\x00/", "http://xn--/\ud800"])
async def test_what_is_no_url_is_refused(url):
    with pytest.raises(BadRequest):
        await Web().fetch(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1\\@pictures.example/", "http://pictures.example#@127.0.0.1/"])
async def test_the_host_that_is_checked_is_the_host_that_is_asked(url):
    web = Web()
    try:
        await web.fetch(url)
    except BadRequest:
        assert web.asked == []
    else:
        assert [request.url.host for request in web.asked] == [PUBLIC]


async def test_a_link_without_end_is_refused():
    await refused(Web(), LINK + "a" * 5000, TooLong)


# ------------------------------------------------------------------------------------------------ redirects, replies


async def test_redirects_are_followed_up_to_the_limit():
    hops = {f"pictures.example/{n}": redirect(f"/{n + 1}") for n in range(MAX_REDIRECTS)}

    assert await Web(pages=hops).fetch("http://pictures.example/0") == BODY


async def test_one_redirect_more_is_refused():
    hops = {f"pictures.example/{n}": redirect(f"/{n + 1}") for n in range(MAX_REDIRECTS + 1)}

    assert "more than 3 times" in await refused(Web(pages=hops), "http://pictures.example/0", BadRequest)


@pytest.mark.parametrize("location", ["ftp://pictures.example/", "file:///etc/passwd", "http://u:p@pictures.example/"])
async def test_a_redirect_must_have_the_form_of_a_link_too(location):
    await refused(Web(pages={"pictures.example/cat.png": redirect(location)}))


async def test_bytes_over_the_declared_limit_are_not_read():
    reply = httpx.Response(200, headers={"content-length": "1001"}, stream=Endless(0))

    await refused(Web(pages={"pictures.example/cat.png": reply}), kind=TooLong)


class Endless(httpx.AsyncByteStream):
    """Pieces of a hundred bytes; fails the test when more than `most` were taken."""

    def __init__(self, most: int):
        self.left = most

    async def __aiter__(self):
        while True:
            self.left -= 1
            assert self.left >= 0, "read on over the limit"
            yield b"x" * 100


async def test_bytes_that_were_not_declared_are_counted_while_they_come():
    reply = httpx.Response(200, stream=Endless(11))

    await refused(Web(pages={"pictures.example/cat.png": reply}), kind=TooLong)


async def test_what_is_packed_is_not_unpacked():
    reply = httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"packed"))

    assert await Web(pages={"pictures.example/cat.png": reply}).fetch() == b"packed"


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(404, content=BODY),
        httpx.Response(500, content=BODY),
        httpx.Response(204),
        httpx.RemoteProtocolError("illegal header line: the words of a private page"),
        httpx.ReadTimeout("slow"),
        httpx.ConnectError("[Errno 111] Connection refused"),
    ],
)
async def test_what_cannot_be_had_names_the_host_and_never_what_it_said(reply):
    message = await refused(Web(pages={"pictures.example/cat.png": reply}), kind=BadRequest)

    assert "'pictures.example'" in message
    assert "private page" not in message


async def test_a_host_that_never_ends_is_given_up():
    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    web = Web()
    assert "within 0.01 s" in await refused(web, kind=BadRequest, transport=httpx.MockTransport(never), timeout_s=0.01)


# ------------------------------------------------------------------------------------------------ real sockets


class Detour(httpx.AsyncBaseTransport):
    """Leads what is meant for a public address to a port of this machine, and changes nothing else."""

    def __init__(self, port: int, trusted: ssl.SSLContext):
        self.port = port
        self.inner = httpx.AsyncHTTPTransport(verify=trusted, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(host="127.0.0.1", port=self.port)
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


async def over_tls(certified: str) -> bytes:
    """Fetch from a real server whose certificate is for the given name."""
    authority = trustme.CA()
    server_side, client_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert(certified).configure_cert(server_side)
    authority.configure_trust(client_side)

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"host: pictures.example\r\n" in head.lower()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ncat")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(reply, "127.0.0.1", 0, ssl=server_side) as server:
        port = server.sockets[0].getsockname()[1]
        return await Web().fetch(transport=Detour(port, client_side))


@pytest.mark.slow
async def test_the_certificate_must_be_for_the_name_and_not_for_the_address():
    assert await over_tls("pictures.example") == b"cat"


@pytest.mark.slow
async def test_a_certificate_for_another_name_is_not_trusted():
    with pytest.raises(BadRequest, match="cannot be connected to"):
        await over_tls("other.example")
