"""A wish and the settings -> the model that makes its vectors, here or elsewhere, and what decides their bits."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from embedstack import __version__
from embedstack.api import locate, open_for_job, open_router
from embedstack.catalog.network import to_stderr
from embedstack.chunks.chunk import Chunking
from embedstack.errors import ConfigError, UnknownModel
from embedstack.inputs.measure import TextRuler
from embedstack.inputs.text import TextInput
from embedstack.jobs.opened import Opened, opened
from embedstack.jobs.plan import Exact, Wish
from embedstack.runtimes.library import is_installed, processor_of, runtime_of
from embedstack.runtimes.processor import usable_threads
from embedstack.settings import Settings

if TYPE_CHECKING:
    from embedstack.client.plan import Plan as Endpoints

HERE = "here"
Say = Callable[[str], None]
Cut = Callable[[int], Chunking]


@asynccontextmanager
async def open_here(
    wish: Wish, settings: Settings, name: str = "", *, cut: Cut | None = None, say: Say = to_stderr
) -> AsyncIterator[Opened]:
    """A model in this process; within it vectors can be had.

    Args:
        name: the model, where it is called otherwise here than when the plan was made.
        cut: how texts are cut, told how many tokens the model takes; as the wish says if None.
    Raises:
        As `open_for_job` and `opened`.
    """
    made = await asyncio.to_thread(open_for_job, _roomy(settings, wish), name or wish.model, say)
    try:
        exact = Exact(
            where=HERE,
            version=__version__,
            runtime=made.runtime,
            processor=made.processor,
            precision=made.precision,
            threads=made.threads,
            lanes=made.lanes,
            batch_tokens=made.batch_tokens,
        )
        ruler = TextRuler(made.loaded.text, made.loaded.spec, wish.role)
        yield await opened(made.engine, _cut(wish, cut, ruler), ruler, exact)
    finally:
        await asyncio.to_thread(made.engine.close)


@asynccontextmanager
async def open_elsewhere(
    wish: Wish,
    endpoints: "Endpoints",
    settings: Settings,
    name: str = "",
    *,
    cut: Cut | None = None,
    say: Say = to_stderr,
) -> AsyncIterator[Opened]:
    """Endpoints of a model; its tokenizer is here all the same, since chunks are measured before they are sent.

    Raises:
        ConfigError: the tokenizer cannot be had here. As `opened`.
    """
    ruler = await asyncio.to_thread(_ruler, name or wish.model, wish, settings, say)
    where = ", ".join(target.shown for target in endpoints.embed.targets)
    async with open_router(endpoints, settings, say) as router:
        yield await opened(
            router, _cut(wish, cut, ruler), ruler, Exact(where=where, version=__version__), is_here=False
        )


def _cut(wish: Wish, cut: Cut | None, ruler: TextRuler) -> Wish:
    return msgspec.structs.replace(wish, chunking=cut(ruler.max_tokens)) if cut else wish


def as_planned(settings: Settings, exact: Exact, given: Collection[str], processes: int = 1) -> Settings:
    """Settings that make the same bits as the plan's machine, as far as nobody asked for others and this one can.

    Several processes share threads and lanes of one.

    Args:
        given: names of settings that somebody asked for, by a flag or the environment.
    """
    if exact.where == HERE:
        settings = replace(settings, **_like(exact, given))  # type: ignore[arg-type]  # as it was read
    if processes < 2:
        return settings
    threads = settings.threads or usable_threads()
    lanes = settings.lanes and max(1, settings.lanes // processes)
    return replace(settings, threads=max(1, threads // processes), lanes=lanes)


def _like(exact: Exact, given: Collection[str]) -> dict[str, str | int]:
    """Vectors of another precision have another fingerprint, so it is the plan's on every machine. All else decides no
    more than the last bits.
    """
    planned: dict[str, str | int] = {"precision": exact.precision, "batch_tokens": exact.batch_tokens}
    if exact.processor == processor_of("cpu"):
        runtime = runtime_of(exact.runtime)
        planned["runtime"] = runtime if is_installed(runtime) else ""
        if exact.threads <= usable_threads() and not {"threads", "lanes"} & set(given):
            planned |= {"threads": exact.threads, "lanes": exact.lanes}
    return {name: value for name, value in planned.items() if value and name not in given}


def _roomy(settings: Settings, wish: Wish) -> Settings:
    """A document is measured as a whole before it is cut, however long it may be."""
    return replace(settings, max_text_chars=max(settings.max_text_chars, wish.reading.max_document_bytes))


def _ruler(name: str, wish: Wish, settings: Settings, say: Say) -> TextRuler:
    try:
        located = locate(name, settings, say)
    except UnknownModel as error:
        raise ConfigError(
            f"an endpoint gives vectors, and chunks are measured here, with the tokenizer of {name!r}; it cannot be "
            f"found ({error.message}); name the model as it is on Hugging Face, or its folder, with --model: of it "
            "only the tokenizer is needed"
        ) from error
    chars = _roomy(settings, wish).max_text_chars
    return TextRuler(TextInput(located.folder, located.spec, max_text_chars=chars), located.spec, wish.role)
