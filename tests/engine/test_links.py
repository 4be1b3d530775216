"""Links and images of a request, before any model sees them."""

import asyncio
import threading
from dataclasses import replace

import pytest

from embedstack.engine import links
from embedstack.engine.links import AT_ONCE_HERE, MAX_LINKS, Links
from embedstack.errors import BadRequest, Forbidden, TooLong, Unsupported
from embedstack.settings import Settings
from embedstack.testing.fake import hash_spec
from embedstack.types import Encode, Image, Link, Text

pytestmark = pytest.mark.anyio
ON = Settings(image_links=True)
CAT = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x02\0\0\0\x03\x08\0\0\0\0"
HUGE = CAT[:16] + b"\0\0\x75\x30\0\0\x75\x30\x08\0\0\0\0"  # 30,000 x 30,000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Web:
    """Gives what it has, and remembers who asked."""

    def __init__(self, data: bytes = CAT):
        self.data = data
        self.asked: list[str] = []

    async def __call__(self, url: str, *, max_bytes: int) -> bytes:
        self.asked.append(url)
        return self.data


def asking(*items) -> Encode:
    return Encode(model="m", items=items)


async def test_links_become_images_in_their_places():
    request = await Links(ON, Web()).resolved(asking(Text("a"), Link("http://a.example/"), Image(CAT)))

    assert request.items == (Text("a"), Image(CAT), Image(CAT))


async def test_a_request_of_texts_stays_the_same_object():
    request = asking(Text("a"))

    assert await Links(ON, Web()).resolved(request) is request


async def test_links_are_off_by_default_and_the_refusal_names_the_setting():
    web = Web()
    with pytest.raises(Forbidden, match="EMBEDSTACK_IMAGE_LINKS=true"):
        await Links(Settings(), web).resolved(asking(Link("http://a.example/")))

    assert web.asked == []


async def test_an_image_that_was_sent_needs_no_setting():
    assert (await Links(Settings(), Web()).resolved(asking(Image(CAT)))).items == (Image(CAT),)


async def test_nothing_is_fetched_for_a_model_that_takes_no_images():
    web = Web()
    with pytest.raises(Unsupported, match="'hash' takes no images"):
        await Links(ON, web).resolved(asking(Link("http://a.example/")), hash_spec())

    assert web.asked == []


async def test_a_model_that_takes_images_gets_them():
    spec = replace(hash_spec(), inputs=("text", "image"))

    assert (await Links(ON, Web()).resolved(asking(Link("http://a.example/")), spec)).items == (Image(CAT),)


async def test_the_same_link_twice_is_fetched_once():
    web = Web()
    await Links(ON, web).resolved(asking(Link("http://a.example/"), Link("http://a.example/")))

    assert web.asked == ["http://a.example/"]


@pytest.mark.parametrize("item", [Image(HUGE), Link("http://a.example/")])
async def test_an_image_that_claims_too_many_pixels_is_refused_before_any_decoding(item):
    with pytest.raises(TooLong, match="30000 x 30000"):
        await Links(ON, Web(HUGE)).resolved(asking(item))


async def test_a_refused_image_is_named_by_its_place():
    with pytest.raises(TooLong, match="image 2 has 30000 x 30000"):
        await Links(ON, Web()).resolved(asking(Text("a"), Image(CAT), Image(HUGE)))


@pytest.mark.parametrize(("extra", "is_beside"), [(0, False), (2**20, True)])
async def test_large_files_are_checked_beside_the_event_loop(extra, is_beside, monkeypatch):
    threads = []

    def check(*args, **how):
        threads.append(threading.current_thread())

    monkeypatch.setattr(links, "check_picture", check)
    await Links(ON, Web()).resolved(asking(Image(CAT + bytes(extra))))

    assert [thread is not threading.current_thread() for thread in threads] == [is_beside]


async def test_an_image_over_the_limit_of_bytes_is_refused():
    with pytest.raises(TooLong, match="the limit is 1048576"):
        await Links(Settings(max_image_mb=1), Web()).resolved(asking(Image(CAT + bytes(2**20))))


async def test_a_page_behind_a_link_is_no_image_and_its_words_are_not_said():
    with pytest.raises(Unsupported, match="a web page") as caught:
        await Links(ON, Web(b"<html>private words")).resolved(asking(Link("http://a.example/")))

    assert "private" not in str(caught.value)


async def test_what_links_lead_to_counts_as_if_it_were_in_the_body():
    many = [Link(f"http://a.example/{n}") for n in range(3)]
    settings = Settings(image_links=True, max_body_mb=1)

    with pytest.raises(TooLong, match="more than 1 MB"):
        await Links(settings, Web(CAT + bytes(500_000))).resolved(asking(*many))


async def test_one_request_follows_a_few_links_at_a_time():
    running = most = 0

    async def counting(url: str, *, max_bytes: int) -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return CAT

    await Links(ON, counting).resolved(asking(*(Link(f"http://a.example/{n}") for n in range(50))))
    assert most == AT_ONCE_HERE


async def test_when_one_link_fails_the_others_are_given_up():
    given_up = []

    async def fetch(url: str, *, max_bytes: int) -> bytes:
        if url.endswith("bad"):
            raise BadRequest("'a.example' answers 404")
        try:
            await asyncio.Event().wait()
        finally:
            given_up.append(url)
        return CAT

    with pytest.raises(BadRequest, match="404"):
        await Links(ON, fetch).resolved(asking(Link("http://a.example/slow"), Link("http://a.example/bad")))
    assert given_up == ["http://a.example/slow"]


async def test_a_request_of_many_links_is_refused_before_one_is_followed():
    web = Web()
    with pytest.raises(TooLong, match=f"the request has {MAX_LINKS + 1} links, the limit is {MAX_LINKS}"):
        await Links(ON, web).resolved(asking(*(Link(f"http://a.example/{n}") for n in range(MAX_LINKS + 1))))

    assert web.asked == []


async def test_all_links_of_a_request_together_have_a_time():
    async def never(url: str, *, max_bytes: int) -> bytes:
        await asyncio.Event().wait()
        return CAT

    with pytest.raises(BadRequest, match=r"the 2 links of the request were not followed within 0.01 s"):
        await Links(ON, never, whole_s=0.01).resolved(asking(Link("http://a.example/1"), Link("http://a.example/2")))
