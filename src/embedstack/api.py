"""A model's name becomes something that encodes: `load` for scripts, `open_engine` for servers and commands."""

import asyncio
import atexit
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from threading import Thread
from types import TracebackType
from typing import TypeVar

from embedstack import __version__
from embedstack.catalog import Located, find
from embedstack.catalog.catalog import entry_of
from embedstack.catalog.network import to_stderr
from embedstack.engine.engine import Engine, Loaded
from embedstack.engine.tuning import Remembered, choose_lanes, warm_up
from embedstack.errors import BadRequest, ConfigError, NotReady, Unsupported
from embedstack.inputs.text import TextInput
from embedstack.models.weights import open_weights, unread_weights
from embedstack.runtimes import Options, Runtime, open_runtime
from embedstack.runtimes.processor import flags, usable_threads
from embedstack.settings import DEFAULT_MODEL, Settings, read_settings
from embedstack.types import Encode, Encoded, ModelSpec, Output, Pair, Score, Scored, Task, Text, Truncate

T = TypeVar("T")
Say = Callable[[str], None]
WARM_UP_S = 1.0  # enough for every length up to 64 of a small model
SMALL_RERANKER = "ms-marco-MiniLM-L6-v2"
EXAMPLES: dict[Task, str] = {"embed": DEFAULT_MODEL, "rerank": SMALL_RERANKER}


def open_engine(
    settings: Settings, names: Sequence[str] | None = None, say: Say = to_stderr, *, serving: bool = False
) -> Engine:
    """Models on this machine, fetched if needed.

    Args:
        names: catalog names, Hugging Face ids or folders; those of the settings if None.
        say: takes a line for the person who waits.
        serving: it will run for long, so measure how many lanes pay if nobody has yet, and warm the graphs.
    Raises:
        ConfigError, UnknownModel, Mismatch, Unsupported: the message says what to do.
    """
    wanted = _locate(model_names(settings) if names is None else names, settings, say)
    return Engine(
        [_open(located, aliases, settings, say, serving=serving) for located, aliases in wanted],
        batch_tokens=settings.batch_tokens,
        cache_bytes=settings.vector_cache_mb * 1_000_000,
    )


def model_names(settings: Settings) -> list[str]:
    """The models that the settings name, at least one."""
    names = [name.strip() for name in settings.models.split(",") if name.strip()]
    if not names:
        raise ConfigError(f"models={settings.models!r} names no model; example: {DEFAULT_MODEL}")
    return names


def locate(name: str, settings: Settings, say: Say = to_stderr) -> Located:
    """The model that a name means, fetched as the settings say; see `catalog.find`."""
    return find(
        name,
        cache_dir=settings.cache_dir,
        offline=settings.offline,
        hf_endpoint=settings.hf_endpoint,
        hf_token=settings.hf_token,
        say=say,
        reference=settings.runtime == "reference",
    )


def _locate(names: Sequence[str], settings: Settings, say: Say) -> list[tuple[Located, tuple[str, ...]]]:
    """Each model once, with every name it was asked for by."""
    found: dict[str, tuple[Located, tuple[str, ...]]] = {}
    for name in names:
        located = locate(name, settings, say)
        before, aliases = found.get(located.spec.name, (located, ()))
        if before.folder != located.folder:
            raise ConfigError(
                f"{str(before.folder)!r} and {str(located.folder)!r} are both called {located.spec.name!r}; "
                "rename one of the folders"
            )
        found[located.spec.name] = located, (*aliases, name)
    return list(found.values())


def _open(located: Located, aliases: tuple[str, ...], settings: Settings, say: Say, *, serving: bool = False) -> Loaded:
    began, spec = time.monotonic(), located.spec
    with ThreadPoolExecutor(1) as beside:  # the tokeniser is read while the graph is compiled
        text = beside.submit(TextInput, located.folder, spec, max_text_chars=settings.max_text_chars)
        runtime = _runtime(located, settings, say, serving=serving)
    if serving:
        warm_up(runtime, spec, budget_s=WARM_UP_S)
    say(f"{spec.name}: {settings.runtime}, {runtime.reason}; ready in {time.monotonic() - began:.2f} s")
    return Loaded(spec, text.result(), runtime, aliases=(*aliases, *_spellings(spec)))


def _runtime(located: Located, settings: Settings, say: Say, *, serving: bool) -> Runtime:
    """The runtime with the lanes that were asked for, else those that were measured, else one."""
    threads = settings.threads or usable_threads()

    def build(lanes: int) -> Runtime:
        options = Options(precision=settings.precision, device=settings.device, threads=threads, lanes=lanes)
        read = unread_weights if settings.runtime == "reference" else open_weights
        return open_runtime(settings.runtime)(located.spec, read(located.folder), options)

    circumstances = (
        __version__, located.spec.space, settings.runtime, settings.precision, settings.device, threads,
        settings.batch_tokens, *sorted(flags()),
    )  # fmt: skip
    remembered = Remembered(settings.cache_dir, circumstances)
    lanes = settings.lanes or remembered.read(most=threads)
    if lanes or not serving or threads == 1:
        return build(lanes or 1)
    say(f"{located.spec.name}: measuring how many batches at once pay here; remembered for the next start")
    chosen = choose_lanes(build, located.spec, most=threads, budget=settings.batch_tokens)
    if chosen.failure:  # it may pass, so the next start measures again
        say(f"{located.spec.name}: lanes={chosen.lanes}, not remembered, because {chosen.failure}")
    else:
        remembered.write(chosen.lanes)
    return chosen.runtime


def _spellings(spec: ModelSpec) -> tuple[str, ...]:
    """The catalog's names for this very revision; a user's own folder has none, whatever it is called."""
    entry = entry_of(spec.name)
    return entry.spellings if entry and entry.revision == spec.revision else ()


def load(
    name: str = DEFAULT_MODEL,
    *,
    runtime: str | None = None,
    precision: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    offline: bool | None = None,
) -> "Model":
    """A model for use in this process; fetched on first use.

    Args:
        name: a catalog name, a Hugging Face id or a folder.
        runtime, precision, device, threads, offline: as the settings of these names, which apply where they are None.
    Raises:
        ConfigError, UnknownModel, Mismatch, Unsupported: the message says what to do.
    """
    flags = {"runtime": runtime, "precision": precision, "device": device, "threads": threads, "offline": offline}
    return Model(open_engine(read_settings(flags), [name], say=_silent))


def _silent(line: str) -> None:
    """A library prints nothing about its own start; downloads still show their progress bar."""


class Model:
    """One model, for scripts. Every method has an `_async` twin for event loops; both may be used from any thread.

    Args:
        engine: holds the model, the first if there are more; it is closed with this object.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_open = True
        self.spec: ModelSpec = engine.models()[0]

    def encode(
        self,
        texts: str | Sequence[str],
        *,
        role: str = "document",
        outputs: Output | Sequence[Output] = "dense",
        dim: int | None = None,
        max_tokens: int | None = None,
        truncate: Truncate = "right",
        normalize: bool | None = None,
    ) -> Encoded:
        """Vectors in input order, with their spec, fingerprint and usage.

        Args:
            texts: one text or many.
            role: query or document, or another of the model's prompts.
            outputs: one or more of dense, sparse, multi: those that the model has.
            dim: a width that the model was trained for (Matryoshka).
            max_tokens: a limit below the model's own.
            truncate: which end is cut from a text over the limit, or refuse it.
            normalize: bring rows to length 1; the model's own rule if None.
        Raises:
            BadRequest: an empty text, not a string, an unknown role. TooLong: `truncate` is refuse.
            Unsupported: a reranker; an output or a width that the model does not have.
        """
        return _wait(self.encode_async(
            texts, role=role, outputs=outputs, dim=dim, max_tokens=max_tokens, truncate=truncate, normalize=normalize
        ))  # fmt: skip

    async def encode_async(
        self,
        texts: str | Sequence[str],
        *,
        role: str = "document",
        outputs: Output | Sequence[Output] = "dense",
        dim: int | None = None,
        max_tokens: int | None = None,
        truncate: Truncate = "right",
        normalize: bool | None = None,
    ) -> Encoded:
        """As `encode`."""
        self._check("embed")
        return await self._engine.encode(Encode(
            model=self.spec.name, items=tuple(Text(text, role) for text in _texts(texts, "text")),
            outputs=frozenset([outputs] if isinstance(outputs, str) else outputs), dim=dim,
            max_tokens=max_tokens, truncate=truncate, normalize=normalize,
        ))  # fmt: skip

    def score(
        self,
        query: str,
        documents: str | Sequence[str],
        *,
        max_tokens: int | None = None,
        truncate: Truncate = "right",
        raw_scores: bool = False,
    ) -> Scored:
        """The relevance of each document to the query, in input order; `.order` sorts them.

        Args:
            max_tokens: a limit for a query with its document, below the model's own.
            truncate: which end is cut from them, the longer first, or refuse.
            raw_scores: logits instead of the model's own activation.
        Raises:
            BadRequest: an empty text, not a string. TooLong: `truncate` is refuse.
            Unsupported: not a reranker.
        """
        return _wait(self.score_async(
            query, documents, max_tokens=max_tokens, truncate=truncate, raw_scores=raw_scores
        ))  # fmt: skip

    async def score_async(
        self,
        query: str,
        documents: str | Sequence[str],
        *,
        max_tokens: int | None = None,
        truncate: Truncate = "right",
        raw_scores: bool = False,
    ) -> Scored:
        """As `score`."""
        self._check("rerank")
        asked = _text(query, "the query")
        return await self._engine.score(Score(
            model=self.spec.name, items=tuple(Pair(asked, text) for text in _texts(documents, "document")),
            max_tokens=max_tokens, truncate=truncate, raw_scores=raw_scores,
        ))  # fmt: skip

    def _check(self, task: Task) -> None:
        if not self._is_open:
            raise NotReady(f"{self.spec.name!r} is closed; load it again")
        if self.spec.task != task:
            made, verb = {"embed": ("embedding", "score"), "rerank": ("reranking", "encode")}[self.spec.task]
            raise Unsupported(
                f"{self.spec.name!r} is made for {made} and cannot {verb}; take another model, "
                f"for example {EXAMPLES[task]!r}"
            )

    def close(self) -> None:
        """Give the memory back; more than once does no harm."""
        if self._is_open:
            self._is_open = False
            self._engine.close()

    def __enter__(self) -> "Model":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _texts(given: object, what: str) -> list[str]:
    """One or many; what a script hands over is not always what the signature says."""
    many = [given] if isinstance(given, str) or not isinstance(given, Iterable) else given
    return [_text(one, f"{what} {place}") for place, one in enumerate(many)]


def _text(given: object, what: str) -> str:
    if not isinstance(given, str):
        raise BadRequest(f"{what} is {type(given).__name__}, not a string; send text")
    return given


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
    thread = Thread(target=loop.run_forever, name="embedstack-loop", daemon=True)
    thread.start()

    def end() -> None:
        """A thread of ours that still ran while the interpreter ends could free a graph then; see `engine.lane`."""
        loop.call_soon_threadsafe(loop.stop)
        thread.join()

    atexit.register(end)
    return loop
