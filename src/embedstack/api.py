"""A model's name becomes something that encodes: `load` for scripts, `open_engine` for servers and commands."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from embedstack import __version__
from embedstack.catalog import Located, find
from embedstack.catalog.catalog import entry_of, parse
from embedstack.catalog.locate import in_folder, in_store
from embedstack.catalog.network import to_stderr
from embedstack.catalog.store import Store
from embedstack.engine.admission import Limits
from embedstack.engine.background import wait
from embedstack.engine.building import How, Recipe, open_all, recipe_of
from embedstack.engine.engine import Engine
from embedstack.engine.loaded import Loaded
from embedstack.engine.loader import Rules
from embedstack.engine.naming import parse_asked
from embedstack.engine.pool import Pool
from embedstack.errors import BadRequest, ConfigError, NotReady, UnknownModel, Unsupported
from embedstack.modelspec import ModelSpec, Output, Task, Truncate
from embedstack.proof.kept import kept
from embedstack.proof.startup import check_start
from embedstack.settings import DEFAULT_MODEL, Settings, read_settings
from embedstack.types import (
    Classified,
    Classify,
    Encode,
    Encoded,
    Encoder,
    Image,
    Pair,
    Score,
    Scored,
    Text,
    Tokenize,
    Tokenized,
)

if TYPE_CHECKING:
    from embedstack.client.plan import Plan
    from embedstack.client.router import Router
    from embedstack.client.space import Known

Say = Callable[[str], None]
SMALL_RERANKER = "ms-marco-MiniLM-L6-v2"
EXAMPLES: dict[Task, str] = {"embed": DEFAULT_MODEL, "rerank": SMALL_RERANKER}
PURPOSES: dict[Task, str] = {"embed": "embedding", "rerank": "reranking", "classify": "classifying"}
VERBS: dict[Task, str] = {"embed": "encode", "rerank": "score", "classify": "classify"}


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
    recipes = _recipes(model_names(settings) if names is None else names, settings, say, serving=serving)
    return open_all(recipes, lambda models: _engine(models, settings, serving=serving))


def open_pool(settings: Settings, names: Sequence[str] | None = None, say: Say = to_stderr) -> Pool:
    """As `open_engine`, for a server: models come and go as memory_mb, lazy and idle_unload_s say.

    Raises:
        As `open_engine`, if no model can be loaded. One of several that cannot is shown as failed.
    """
    recipes = _recipes(model_names(settings) if names is None else names, settings, say, serving=True)
    rules = Rules(
        is_lazy=settings.lazy, ceiling_bytes=settings.memory_mb * 1_000_000, idle_unload_s=settings.idle_unload_s
    )
    pool = Pool(
        recipes,
        _engine([], settings, serving=True),
        rules,
        find=lambda name: _known(name, settings, say),
        check=lambda encoder, precision: check_start(encoder, settings.cache_dir, precision),
    )
    try:
        if not settings.lazy:
            pool.fill()
    except BaseException:
        pool.close()
        raise
    return pool


def open_router(plan: "Plan", settings: Settings, say: Say = to_stderr, *, serving: bool = False) -> "Router":
    """Endpoints elsewhere, as a plan says; models that it opens here are opened when they are asked.

    Args:
        serving: it will run for long, so ask each endpoint first how it is and have it prove itself.
    Raises:
        ConfigError: the plan's probes cannot be read.
    """
    from embedstack.client.router import Router  # httpx takes longer to import than many a command takes

    router = Router(
        plan,
        known=_known_here(plan.embed.model, settings),
        local=lambda model: open_engine(settings, [model] if model else None, say),
    )
    if serving:
        asyncio.run(router.look())
    return router


def _known_here(name: str, settings: Settings) -> "Known | None":
    """The model of that name if it is on this machine; nothing is fetched for it."""
    if not name:
        return None
    try:
        wanted = parse(name)
        store = Store(settings.cache_dir)
        found = in_folder(wanted, store.digests) if isinstance(wanted, Path) else in_store(wanted, store)
    except (UnknownModel, ConfigError, Unsupported):  # of a model that is elsewhere nobody need know more than its name
        return None
    from embedstack.client.space import Known

    return Known(found.spec, kept(found.spec, settings.cache_dir)) if found is not None else None


def _known(name: str, settings: Settings, say: Say) -> Recipe:
    """A model that a running server may take on: one of the catalog, so that callers name no folders or addresses."""
    if entry_of(parse_asked(name).model) is None:
        raise UnknownModel(
            f"model {name!r} is not served and not in the catalog; only catalog names can be added while it runs"
        )
    return _recipe(name, settings, say, serving=True)


def _engine(models: Sequence[Loaded], settings: Settings, *, serving: bool) -> Engine:
    return Engine(
        models,
        batch_tokens=settings.batch_tokens,
        cache_bytes=settings.vector_cache_mb * 1_000_000,
        limits=_limits(settings, serving=serving),
        max_request_tokens=settings.max_request_tokens,
    )


def _limits(settings: Settings, *, serving: bool) -> Limits:
    """A script waits for what it asks for; only a server refuses."""
    return Limits(
        max_wait_s=settings.max_wait_ms / 1000 if serving else None,
        max_bulk_wait_s=settings.max_bulk_wait_s,
        bulk_batch_s=settings.bulk_batch_ms / 1000,
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


def _recipes(names: Sequence[str], settings: Settings, say: Say, *, serving: bool) -> list[Recipe]:
    """Each model once, with every name it was asked for by; no weight is read."""
    found: dict[Hashable, Recipe] = {}
    called: dict[str, Recipe] = {}
    for name in names:
        recipe = _recipe(name, settings, say, serving=serving)
        if (before := found.get(recipe.key)) is not None:
            recipe = before.called_also((recipe.spec.name, *recipe.aliases))
        other = called.setdefault(recipe.spec.name, recipe)
        if other.key != recipe.key:
            raise ConfigError(
                f"{str(other.folder)!r} and {str(recipe.folder)!r} are both called {recipe.spec.name!r}; "
                "rename one of the folders, or name one of them: ALIAS=MODEL"
            )
        found[recipe.key] = recipe
    return list(found.values())


def _recipe(name: str, settings: Settings, say: Say, *, serving: bool) -> Recipe:
    how = How(
        runtime=settings.runtime,
        precision=settings.precision,
        device=settings.device,
        threads=settings.threads,
        lanes=settings.lanes,
        batch_tokens=settings.batch_tokens,
        max_text_chars=settings.max_text_chars,
        max_image_bytes=settings.max_image_mb * 2**20,
        max_image_pixels=settings.max_image_pixels,
        cache_dir=settings.cache_dir,
        version=__version__,
        is_serving=serving,
        is_weighed=serving and settings.memory_mb > 0,
        allow_unproven=settings.allow_unproven,
    )
    asked = parse_asked(name)
    return recipe_of(asked, lambda model, runtime: locate(model, replace(settings, runtime=runtime), say), how, say)


def load(
    name: str = DEFAULT_MODEL,
    *,
    runtime: str | None = None,
    precision: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    offline: bool | None = None,
    allow_unproven: bool | None = None,
) -> "Model":
    """A model for use in this process; fetched on first use.

    Args:
        name: a catalog name, a Hugging Face id or a folder.
        runtime and all that follow: as the settings of these names, which apply where they are None.
    Raises:
        ConfigError, UnknownModel, Mismatch, Unsupported: the message says what to do.
    """
    flags = {
        "runtime": runtime, "precision": precision, "device": device, "threads": threads, "offline": offline,
        "allow_unproven": allow_unproven,
    }  # fmt: skip
    return Model(open_engine(read_settings(flags), [name], say=_silent))


def _silent(line: str) -> None:
    """A library prints nothing about its own start; downloads still show their progress bar."""


class Closable(Encoder, Protocol):
    """An Encoder that holds something until it is closed."""

    def close(self) -> Coroutine[object, object, None] | None: ...


class Model:
    """One model, for scripts. Every method has an `_async` twin for event loops; both may be used from any thread.

    Args:
        engine: holds the model; it is closed with this object.
        task: what the model is for, where it holds several; its first model if None.
    """

    def __init__(self, engine: Closable, task: Task | None = None) -> None:
        self._engine = engine
        self._is_open = True
        self.spec: ModelSpec = next(spec for spec in engine.models() if task in (None, spec.task))

    def encode(
        self, texts: str | Image | Sequence[str | Image], *, role: str = "document",
        outputs: Output | Sequence[Output] = "dense", dim: int | None = None, max_tokens: int | None = None,
        truncate: Truncate = "right", normalize: bool | None = None, late_chunking: bool = False,
    ) -> Encoded:  # fmt: skip
        """Vectors in input order, with their spec, fingerprint and usage.

        Args:
            texts: one text or many; for a model of images, images too: `Image(bytes)`.
            role: query or document, or another of the model's prompts.
            outputs: one or more of dense, sparse, multi: those that the model has.
            dim: a width that the model was trained for (Matryoshka).
            max_tokens: a limit below the model's own.
            truncate: which end is cut from a text over the limit, or refuse it.
            normalize: bring rows to length 1; the model's own rule if None.
            late_chunking: the texts are parts of one, joined as they are; each is read with all of it around.
        Raises:
            BadRequest: an empty text, not a string, an unknown role, a broken image. TooLong: `truncate` is refuse.
            Unsupported: a reranker; an output or a width that the model does not have.
        """
        return wait(self.encode_async(
            texts, role=role, outputs=outputs, dim=dim, max_tokens=max_tokens, truncate=truncate, normalize=normalize,
            late_chunking=late_chunking,
        ))  # fmt: skip

    async def encode_async(
        self, texts: str | Image | Sequence[str | Image], *, role: str = "document",
        outputs: Output | Sequence[Output] = "dense", dim: int | None = None, max_tokens: int | None = None,
        truncate: Truncate = "right", normalize: bool | None = None, late_chunking: bool = False,
    ) -> Encoded:  # fmt: skip
        """As `encode`."""
        self._check("embed")
        return await self._engine.encode(Encode(
            model=self.spec.name, items=_items(texts, role),
            outputs=frozenset([outputs] if isinstance(outputs, str) else outputs), dim=dim,
            max_tokens=max_tokens, truncate=truncate, normalize=normalize, late_chunking=late_chunking,
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
        return wait(self.score_async(
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

    def classify(
        self,
        texts: str | Sequence[str],
        *,
        max_tokens: int | None = None,
        truncate: Truncate = "right",
        raw_scores: bool = False,
    ) -> Classified:
        """Scores of all labels (`.spec.label_names`) for each text, in input order.

        Args:
            max_tokens, truncate: as for `encode`.
            raw_scores: logits instead of the model's own activation.
        Raises:
            BadRequest: an empty text, not a string. TooLong: `truncate` is refuse.
            Unsupported: not a classifier.
        """
        return wait(self.classify_async(texts, max_tokens=max_tokens, truncate=truncate, raw_scores=raw_scores))

    async def classify_async(
        self,
        texts: str | Sequence[str],
        *,
        max_tokens: int | None = None,
        truncate: Truncate = "right",
        raw_scores: bool = False,
    ) -> Classified:
        """As `classify`."""
        self._check("classify")
        return await self._engine.classify(Classify(
            model=self.spec.name, items=tuple(Text(text) for text in _texts(texts, "text")),
            max_tokens=max_tokens, truncate=truncate, raw_scores=raw_scores,
        ))  # fmt: skip

    def tokens(
        self,
        texts: str | Sequence[str],
        *,
        role: str = "document",
        max_tokens: int | None = None,
        truncate: Truncate = "right",
    ) -> Tokenized:
        """What the model reads of each text, and what truncation would cut of it (`.is_cut`).

        Raises:
            BadRequest: an empty text, not a string, an unknown role.
        """
        return wait(self.tokens_async(texts, role=role, max_tokens=max_tokens, truncate=truncate))

    async def tokens_async(
        self,
        texts: str | Sequence[str],
        *,
        role: str = "document",
        max_tokens: int | None = None,
        truncate: Truncate = "right",
    ) -> Tokenized:
        """As `tokens`."""
        self._check(None)
        return await self._engine.tokens(Tokenize(
            model=self.spec.name, items=tuple(Text(text, role) for text in _texts(texts, "text")),
            max_tokens=max_tokens, truncate=truncate,
        ))  # fmt: skip

    def _check(self, task: Task | None) -> None:
        if not self._is_open:
            raise NotReady(f"{self.spec.name!r} is closed; load it again")
        if task is not None and task != self.spec.task:
            example = f", for example {EXAMPLES[task]!r}" if task in EXAMPLES else ""
            raise Unsupported(
                f"{self.spec.name!r} is made for {PURPOSES[self.spec.task]} and cannot {VERBS[task]}; "
                f"take another model{example}"
            )

    def close(self) -> None:
        """Give the memory back; more than once does no harm."""
        if self._is_open:
            self._is_open = False
            closing = self._engine.close()
            if closing is not None:
                wait(closing)

    def __enter__(self) -> "Model":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _items(given: object, role: str) -> tuple[Text | Image, ...]:
    many = enumerate(_many(given))
    return tuple(one if isinstance(one, Image) else Text(_text(one, f"text {place}"), role) for place, one in many)


def _texts(given: object, what: str) -> list[str]:
    return [_text(one, f"{what} {place}") for place, one in enumerate(_many(given))]


def _many(given: object) -> Iterable[object]:
    """One or many; what a script hands over is not always what the signature says."""
    return [given] if isinstance(given, str) or not isinstance(given, Iterable) else given


def _text(given: object, what: str) -> str:
    if not isinstance(given, str):
        raise BadRequest(f"{what} is {type(given).__name__}, not a string; send text")
    return given
