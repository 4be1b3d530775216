"""A request for late chunking -> a vector for each part of its text, or why this model cannot have it."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np

from embedstack.catalog.reference import REFERENCE
from embedstack.engine import finish
from embedstack.engine.loaded import Loaded
from embedstack.engine.reading import INLINE_CHARS, INLINE_NUMBERS, off_loop, usage_of, within
from embedstack.engine.rows import Parts, Rows
from embedstack.errors import NotReady, Unsupported
from embedstack.inputs.late import Joined, Means, join
from embedstack.models import family
from embedstack.modelspec import ModelSpec
from embedstack.runtimes import Runtime
from embedstack.types import DENSE, STATES, Encode, Encoded, Floats, Text, Usage


class Late:
    """Late chunking in one engine."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        # one thread, so that those who wait for the same graph take no other's
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embedstack-late")

    async def encode(self, loaded: Loaded, request: Encode, dim: int) -> Encoded:
        """The items as parts of one text; see `inputs.late`.

        Raises:
            As `Engine.encode`.
        """
        began, spec = time.monotonic(), loaded.spec
        texts = parts_of(request, spec)
        unit = spec.is_unit(request.normalize, dim)
        make = partial(Encoded, spec=spec, fingerprint=loaded.fingerprint(request, dim, normalize=unit))
        if not texts:
            return make(usage=Usage(0, 0), dense=np.empty((0, dim), np.float32), spans=())
        work = partial(
            join, loaded.text, texts, request.max_tokens, request.truncate, vocab=spec.architecture.vocab
        )  # fmt: skip
        is_long = sum(len(item.text) for item in texts) > INLINE_CHARS
        joined = await within(request.deadline, off_loop(is_long, work))
        await self.ready(loaded.runtime, request.deadline)
        pooled, usage = await self._pooled(loaded, request, joined, began)
        dense = finish.dense(pooled, dim, normalize=unit, cut_norm=spec.cut_norm)
        return make(usage=replace(usage, items=len(texts)), dense=dense, spans=joined.spans)

    async def ready(self, runtime: Runtime, deadline: float | None) -> None:
        """The graph is there before the text stands in the line, where others would wait for it, too.

        Raises:
            DeadlineExceeded, NotReady, RuntimeFailed.
        """
        try:
            work = self._thread.submit(runtime.ready, STATES)
        except RuntimeError as error:
            raise NotReady("the engine is stopping; send the request to another replica") from error
        await within(deadline, asyncio.wrap_future(work))

    async def _pooled(self, loaded: Loaded, request: Encode, joined: Joined, began: float) -> tuple[Floats, Usage]:
        """(parts, hidden), and what that cost; some windows at a time, whose states go before the next ones come."""
        whole, hidden = usage_of(joined.encodings), loaded.spec.architecture.hidden
        means, stages = Means(joined, hidden), Usage(0, 0)
        for group in joined.groups(hidden):
            parts = Parts(whole.tokens, is_let_in=group.start > 0)
            rows, usage = await self._rows.of_texts(loaded, request, STATES, joined.encodings[group], began, parts)
            states = [row["states"] for row in rows]
            is_long = sum(each.size for each in states) > INLINE_NUMBERS
            await off_loop(is_long, partial(means.add, joined.windows[group], states))
            del rows, states
            stages = stages if group.start else usage
        run_s = time.monotonic() - began - stages.tokenize_s - stages.wait_s
        return means.rows(), replace(whole, tokenize_s=stages.tokenize_s, wait_s=stages.wait_s, run_s=run_s)

    def close(self) -> None:
        """What is being made is finished; nothing else is."""
        self._thread.shutdown(wait=False)


def parts_of(request: Encode, spec: ModelSpec) -> Sequence[Text]:
    """The items, all of them texts.

    Raises:
        Unsupported: see `why_not`; another output than dense vectors; an item that is no text.
    """
    if why := why_not(spec):
        raise Unsupported(f"late chunking is not available for {spec.name!r}: {why}; leave it out")
    if request.outputs != DENSE:
        raise Unsupported(f"late chunking gives dense vectors, not {', '.join(sorted(request.outputs))}; leave it out")
    texts = [item for item in request.items if isinstance(item, Text)]
    if len(texts) < len(request.items):
        place = next(place for place, item in enumerate(request.items) if not isinstance(item, Text))
        raise Unsupported(f"item {place} is no text, and late chunking reads the parts of one text; send texts")
    return texts


def why_not(spec: ModelSpec) -> str:
    """Why a model has no late chunking; empty if it has.

    The mean of a part's states must mean what the model's vectors mean: vectors of pictures and of tokens alone, a
    decoder's last token and rows that go through another layer after pooling mean something else.
    """
    a = spec.architecture
    if a.vision is not None:
        return "it compares texts with images"
    if "dense" not in spec.outputs:
        return "it gives no dense vectors"
    if a.family.startswith(REFERENCE):
        return "the reference runtime shows no states of tokens"
    if spec.pooling == "last":
        return "its vector is that of the last token, which alone has read all of the text"
    if not a.layers:
        return "its tokens do not see each other"
    if family(spec).dense is not None:
        return "its vectors go through a layer of their own after pooling"
    return ""
