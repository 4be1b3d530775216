"""Asking a client once, and what the fake encoder says when it is asked directly."""

import asyncio

from embedstack.client import Client
from embedstack.testing.fake import HashEncoder
from embedstack.types import Encode, Encoded, Pair, Score, Scored, Text

TEXTS = ("rain falls", "a cat is a small animal", "what is a cat?")
PAIRS = tuple(Pair("what is a cat?", text) for text in TEXTS)


def wish(*texts: str, role: str = "document", **terms) -> Encode:
    return Encode(model="hash", items=tuple(Text(text, role) for text in texts or TEXTS), **terms)


def ask(url: str, request: Encode | Score, **options) -> Encoded | Scored:
    async def run() -> Encoded | Scored:
        async with Client(url, **{"pause": no_pause, **options}) as client:
            return await (client.encode(request) if isinstance(request, Encode) else client.score(request))

    return asyncio.run(run())


async def no_pause(_: float) -> None:
    """Go on at once."""


def direct(request: Encode | Score, *specs) -> Encoded | Scored:
    encoder = HashEncoder(specs)
    return asyncio.run(encoder.encode(request) if isinstance(request, Encode) else encoder.score(request))


def rows(*vectors, order=None):
    """OpenAI's reply."""
    data = [{"object": "embedding", "embedding": list(one), "index": place} for place, one in enumerate(vectors)]
    return {"object": "list", "data": [data[i] for i in order or range(len(data))], "model": "m", "usage": None}
