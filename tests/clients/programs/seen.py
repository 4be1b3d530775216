"""What every Python program here needs: the server's address and the cases in, what the client saw out, as JSON."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

URL = os.environ["SERVER_URL"]
KEY = os.environ["SERVER_KEY"]
WITHOUT_CL100K = os.environ.get("SERVER_WITHOUT_CL100K", "")
_cases = json.loads(Path(os.environ["CASES"]).read_text())
EMBEDDER: str = _cases["embedder"]
RERANKER: str = _cases["reranker"]
LABELLER: str = _cases["labeller"]
TEXTS: list[str] = _cases["texts"]
MANY: list[str] = _cases["many"]
LONG: str = _cases["long"][0]
QUERY: str = _cases["query"]
DOCUMENTS: list[str] = _cases["documents"]
SENTENCE: str = _cases["sentence"][0]
_seen: dict[str, object] = {}


def see(check: str, call: Callable[[], object]) -> None:
    """What a call gave, or the exception that the client raised."""
    try:
        _seen[check] = {"value": call()}
    except Exception as error:
        kinds = [f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__]
        _seen[check] = {"error": kinds, "message": str(error)[:500]}


def see_async(check: str, call: Callable[[], Awaitable[object]]) -> None:
    """As `see`, in an event loop of its own."""
    see(check, lambda: asyncio.run(_awaited(call)))


async def _awaited(call: Callable[[], Awaitable[object]]) -> object:
    return await call()


def report() -> None:
    """The last line of a program."""
    print(json.dumps(_seen, default=str))  # what is no JSON is no vector either
