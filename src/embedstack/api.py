"""A model's name becomes something that encodes: `load` for scripts, `open_engine` for servers and commands."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from embedstack import __version__
from embedstack.catalog import Located, find
from embedstack.catalog.catalog import entry_of, parse
from embedstack.catalog.locate import in_folder, in_store
from embedstack.catalog.network import to_stderr
from embedstack.catalog.store import Store
from embedstack.engine.admission import Limits
from embedstack.engine.building import How, Recipe, open_all, recipe_of
from embedstack.engine.engine import Engine
from embedstack.engine.loaded import Loaded
from embedstack.engine.loader import Rules
from embedstack.engine.naming import parse_asked
from embedstack.engine.pool import Pool
from embedstack.errors import ConfigError, UnknownModel, Unsupported
from embedstack.model import Model
from embedstack.proof.kept import kept
from embedstack.proof.startup import check_start
from embedstack.runtimes.library import library_of, processor_of
from embedstack.runtimes.processor import usable_threads
from embedstack.settings import DEFAULT_MODEL, Settings, read_settings

if TYPE_CHECKING:
    from embedstack.client.plan import Plan
    from embedstack.client.router import Router
    from embedstack.client.space import Known

Say = Callable[[str], None]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ForJob:
    """A model opened for long work, with all that decides the last bits of its vectors."""

    engine: Engine
    loaded: Loaded
    runtime: str  # the library, with its version
    processor: str
    precision: str
    threads: int
    lanes: int
    batch_tokens: int


def open_for_job(settings: Settings, name: str, say: Say = to_stderr) -> ForJob:
    """A model on this machine for a batch job: lanes as they were measured, no cache, nobody refused.

    Where settings name threads and lanes nothing is measured: so vectors have the same bits in every run.

    Raises:
        Unsupported: it gives no vectors. ConfigError, UnknownModel, Mismatch: the message says what to do.
    """
    alone = replace(settings, vector_cache_mb=0, memory_mb=0)  # a row from a cache was made in another batch
    (recipe,) = _recipes([name], alone, say, serving=True)
    if recipe.spec.task != "embed":
        raise Unsupported(f"{recipe.spec.name!r} is made for the task {recipe.spec.task!r}; name a model for vectors")
    engine = open_all([recipe], lambda models: Engine(models, batch_tokens=alone.batch_tokens))
    loaded = engine.find("", "embed")
    return ForJob(
        engine=engine,
        loaded=loaded,
        runtime=library_of(recipe.how.runtime),
        processor=processor_of(loaded.runtime.device),
        precision=loaded.runtime.precision,
        threads=alone.threads or usable_threads(),
        lanes=loaded.runtime.lanes,
        batch_tokens=alone.batch_tokens,
    )


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
