"""A request for images -> the same with images for links, each of them checked before anything is decoded."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Protocol

from embedstack.errors import BadRequest, Forbidden, TooLong, Unsupported
from embedstack.inputs.picture import check_picture
from embedstack.modelspec import ModelSpec
from embedstack.types import Encode, Image, Item, Link

MEGABYTE = 1024 * 1024
INLINE_BYTES = 1 << 16  # the heads of so much are read in 10 ms, whatever they hold; usual ones in microseconds
AT_ONCE = 32  # links of all callers together that are followed at a time
AT_ONCE_HERE = 8  # of one request, so that no caller takes all
MAX_LINKS = 256  # of one request; what it may hold of bytes is 32 MB by default, so of 128 kB each
WHOLE_S = 60.0  # for all links of a request: the slowest that one may be is 10 s


class Allowed(Protocol):
    """What of the settings decides about links and images; see there."""

    @property
    def image_links(self) -> bool: ...

    @property
    def max_image_mb(self) -> int: ...

    @property
    def max_image_pixels(self) -> int: ...

    @property
    def max_body_mb(self) -> int: ...


class Fetch(Protocol):
    """What follows a link."""

    def __call__(self, url: str, *, max_bytes: int) -> Awaitable[bytes]: ...


async def fetched(url: str, *, max_bytes: int) -> bytes:
    """See `fetch_image`."""
    from embedstack.inputs.fetch import fetch_image  # loads an HTTP client, which servers without links do without

    return await fetch_image(url, max_bytes=max_bytes)


class Links:
    """Follows the links of one server's requests, if the settings allow it.

    Args:
        fetch: what follows one; tests have their own.
        whole_s: for all links of a request.
    """

    def __init__(self, settings: Allowed, fetch: Fetch = fetched, *, whole_s: float = WHOLE_S) -> None:
        self._whole_s = whole_s
        self._are_followed = settings.image_links
        self._max_bytes = settings.max_image_mb * MEGABYTE
        self._max_pixels = settings.max_image_pixels
        self._max_together = settings.max_body_mb * MEGABYTE
        self._fetch = fetch
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def resolved(self, request: Encode, spec: ModelSpec | None = None) -> Encode:
        """The request with images for links; without either it comes back as it is.

        Args:
            spec: the model that will answer, if it is known: nothing is fetched for one that takes no images.
        Raises:
            Forbidden: links are off, or one may not be followed. Unsupported: the model, or a format.
            BadRequest, TooLong: an image that cannot be had, is broken or too large; too many links, or too slow ones.
        """
        links = [item for item in request.items if isinstance(item, Link)]
        if not links and not any(isinstance(item, Image) for item in request.items):
            return request
        if spec is not None and "image" not in spec.inputs:
            raise Unsupported(f"model {spec.name!r} takes no images; name a model that does")
        if links and not self._are_followed:
            raise Forbidden(
                "links to images are not followed here; send a data URL, or serve with EMBEDSTACK_IMAGE_LINKS=true"
            )
        found = await self._in_time([*dict.fromkeys(link.url for link in links)])
        items = tuple(Image(found[item.url]) if isinstance(item, Link) else item for item in request.items)
        await self._check(items)
        return replace(request, items=items)

    async def _check(self, items: Sequence[Item]) -> None:
        """Each by its head, which of large data may take milliseconds: beside the event loop then."""
        images = {place: item.data for place, item in enumerate(items) if isinstance(item, Image)}

        def check() -> None:
            for place, data in images.items():
                check_picture(data, max_bytes=self._max_bytes, max_pixels=self._max_pixels, what=f"image {place}")

        if sum(map(len, images.values())) > INLINE_BYTES:
            await asyncio.to_thread(check)
        else:
            check()

    async def _in_time(self, urls: Sequence[str]) -> dict[str, bytes]:
        """See `_all`."""
        if len(urls) > MAX_LINKS:
            raise TooLong(f"the request has {len(urls)} links, the limit is {MAX_LINKS}; send several requests")
        try:
            return await asyncio.wait_for(self._all(urls), self._whole_s)
        except asyncio.TimeoutError as error:
            raise BadRequest(
                f"the {len(urls)} links of the request were not followed within {self._whole_s:g} s; "
                "send fewer, or the images themselves"
            ) from error

    async def _all(self, urls: Sequence[str]) -> dict[str, bytes]:
        """What each leads to; when one fails, the others are given up."""
        here = asyncio.Semaphore(AT_ONCE_HERE)
        found: dict[str, bytes] = {}

        async def one(url: str) -> None:
            async with here, self._turns:
                found[url] = await self._fetch(url, max_bytes=self._max_bytes)
            if sum(map(len, found.values())) > self._max_together:
                limit = self._max_together // MEGABYTE
                raise TooLong(f"the links of one request lead to more than {limit} MB; send several requests")

        tasks = [asyncio.ensure_future(one(url)) for url in urls]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return found
