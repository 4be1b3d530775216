"""A model's name becomes something that encodes: `load` for scripts, `open_engine` for servers and commands."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from functools import cache
from threading import Thread
from types import TracebackType
from typing import TypeVar

from embedstack.catalog import find
from embedstack.catalog.access import to_stderr
from embedstack.catalog.catalog import entry_of
from embedstack.engine.engine import Engine, Loaded
from embedstack.inputs.text import TextInput
from embedstack.models.weights import open_weights
from embedstack.runtimes import open_runtime
from embedstack.settings import DEFAULT_MODEL, Settings, read_settings
from embedstack.types import Encode, Encoded, ModelSpec, Output, Pair, Score, Scored, Text, Truncate

T = TypeVar("T")


def open_engine(settings: Settings, say: Callable[[str], None] = to_stderr) -> Engine:
    """Every model of the settings, fetched if needed, on this machine's processor.

    Raises:
        ConfigError, UnknownModel, Mismatch, Unsupported: the message says what to do.
    """
    names = [name.strip() for name in settings.models.split(",") if name.strip()]
    return Engine(
        [_open(name, settings, say) for name in dict.fromkeys(names or [DEFAULT_MODEL])],
        batch_tokens=settings.batch_tokens,
        cache_bytes=settings.vector_cache_mb * 1_000_000,
    )


def _open(name: str, settings: Settings, say: Callable[[str], None]) -> Loaded:
    located = find(
        name,
        cache_dir=settings.cache_dir,
        offline=settings.offline,
        hf_endpoint=settings.hf_endpoint,
        hf_token=settings.hf_token,
        say=say,
    )
    began = time.monotonic()
    runtime = open_runtime(settings.runtime)(
        located.spec, open_weights(located.folder), precision=settings.precision, threads=settings.threads
    )
    say(f"{located.spec.name}: {settings.runtime}, {runtime.reason}; ready in {time.monotonic() - began:.2f} s")
    entry = entry_of(located.spec.name)
    text = TextInput(located.folder, located.spec, max_text_chars=settings.max_text_chars)
    return Loaded(located.spec, text, runtime, aliases=(name, *(entry.spellings if entry else ())))


def load(
    name: str = DEFAULT_MODEL,
    *,
    runtime: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
    offline: bool | None = None,
) -> "Model":
    """A model for use in this process; fetched on first use.

    Args:
        name: a catalog name, a Hugging Face id or a folder.
        runtime, precision, threads, offline: as the settings of these names, which apply where they are None.
    Raises:
        ConfigError, UnknownModel, Mismatch, Unsupported: the message says what to do.
    """
    flags = {"models": name, "runtime": runtime, "precision": precision, "threads": threads, "offline": offline}
    return Model(open_engine(read_settings(flags), say=_silent))


def _silent(line: str) -> None:
    """A library prints nothing about its own start; downloads still show their progress bar."""


class Model:
    """One model, for scripts. Every method has an `_async` twin for event loops; both may be used from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.spec: ModelSpec = engine.models()[0]

    def encode(
        self,
        texts: str | Sequence[str],
        *,
        role: str = "document",
        outputs: Sequence[Output] = ("dense",),
        dim: int | None = None,
        max_tokens: int | None = None,
        truncate: Truncate = "right",
        normalize: bool | None = None,
    ) -> Encoded:
        """Vectors in input order, with their spec, fingerprint and usage.

        Args:
            texts: one text or many.
            role: query or document, or another of the model's prompts.
            outputs: dense, sparse, multi: those that the model has.
            dim: a width that the model was trained for (Matryoshka).
            max_tokens: a limit below the model's own.
            truncate: which end is cut from a text over the limit, or refuse it.
            normalize: bring rows to length 1; the model's own rule if None.
        """
        return _wait(self.encode_async(
            texts, role=role, outputs=outputs, dim=dim, max_tokens=max_tokens, truncate=truncate, normalize=normalize
        ))  # fmt: skip

    async def encode_async(
        self,
        texts: str | Sequence[str],
        *,
        role: str = "document",
        outputs: Sequence[Output] = ("dense",),
        dim: int | None = None,
        max_tokens: int | None = None,
        truncate: Truncate = "right",
        normalize: bool | None = None,
    ) -> Encoded:
        """As `encode`."""
        items = tuple(Text(text, role) for text in ([texts] if isinstance(texts, str) else texts))
        return await self._engine.encode(Encode(
            model="", items=items, outputs=frozenset(outputs), dim=dim,
            max_tokens=max_tokens, truncate=truncate, normalize=normalize,
        ))  # fmt: skip

    def score(self, query: str, documents: Sequence[str], *, raw_scores: bool = False) -> Scored:
        """The relevance of each document to the query, in input order; `.order` sorts them.

        Args:
            raw_scores: logits instead of the model's own activation.
        """
        return _wait(self.score_async(query, documents, raw_scores=raw_scores))

    async def score_async(self, query: str, documents: Sequence[str], *, raw_scores: bool = False) -> Scored:
        """As `score`."""
        items = tuple(Pair(query, document) for document in documents)
        return await self._engine.score(Score(model="", items=items, raw_scores=raw_scores))

    def close(self) -> None:
        """Give the memory back."""
        self._engine.close()

    def __enter__(self) -> "Model":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _wait(work: Coroutine[object, object, T]) -> T:
    """Run on the one background loop, so that scripts and notebooks with a loop of their own both work."""
    running: Future[T] = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        return running.result()
    except KeyboardInterrupt:
        running.cancel()
        raise


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name="embedstack-loop", daemon=True).start()
    return loop
