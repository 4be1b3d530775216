"""A request for the states of tokens -> those of each item, as the last layer made them, or why there are none."""

import time
from dataclasses import replace
from functools import partial

from embedstack.catalog.reference import REFERENCE
from embedstack.engine.late import Late
from embedstack.engine.loaded import Loaded
from embedstack.engine.reading import INLINE_NUMBERS, in_groups, off_loop, usage_of
from embedstack.engine.rows import Rows
from embedstack.errors import TooLong, Unsupported
from embedstack.modelspec import ModelSpec
from embedstack.types import STATES, Encode, Encoded, Floats, Image, Link, Vectors

MAX_BYTES = 64 << 20  # of one request: 32 texts of 512 tokens, 1024 wide, which is all that TEI takes by default
NUMBER_BYTES = 4


class States:
    """The states of tokens, in one engine.

    Args:
        late: sees to it that the graph is there; late chunking reads the same one.
    """

    def __init__(self, rows: Rows, late: Late) -> None:
        self._rows, self._late = rows, late

    async def encode(self, loaded: Loaded, request: Encode) -> Encoded:
        """(tokens, hidden) of each item: every token that the model reads, special ones and those of a prompt too.

        Raises:
            Unsupported: see `check`.
            TooLong: the states are over `MAX_BYTES`.
            And as `Engine.encode`.
        """
        began, spec = time.monotonic(), loaded.spec
        check(request, spec)
        encodings = await in_groups(request, request.items, lambda group, first: loaded.text.encode(
            group, request.max_tokens, request.truncate, first=first
        ))  # fmt: skip
        size_bytes = usage_of(encodings).tokens * spec.architecture.hidden * NUMBER_BYTES
        if size_bytes > MAX_BYTES:
            raise TooLong(
                f"the states of all tokens are {size_bytes / 2**20:.1f} MiB of float32, the limit is "
                f"{MAX_BYTES >> 20} MiB; send fewer texts at once, or shorter ones"
            )
        asked = time.monotonic()
        await self._late.ready(loaded.runtime, request.deadline)
        ready_s = time.monotonic() - asked
        rows, usage = await self._rows.of_texts(loaded, request, STATES, encodings, began + ready_s)
        states = await off_loop(size_bytes // NUMBER_BYTES > INLINE_NUMBERS, partial(_own, rows))
        return Encoded(
            spec=spec,
            fingerprint=loaded.fingerprint(request, spec.dim, normalize=False),
            usage=replace(usage, wait_s=usage.wait_s + ready_s),
            states=states,
        )


def check(request: Encode, spec: ModelSpec) -> None:
    """Refuse what no states can be had for.

    Raises:
        Unsupported: the reference runtime, a picture, another output beside them, or a wish that changes vectors.
    """
    if spec.architecture.family.startswith(REFERENCE):
        raise Unsupported(f"the reference runtime, which runs {spec.name!r}, shows no states of tokens; leave them out")
    if request.outputs != STATES:
        said = ", ".join(sorted(request.outputs - STATES))
        raise Unsupported(f"states of tokens come alone, not with {said}; ask for them in a request of their own")
    changed = {"dim": request.dim, "normalize": request.normalize, "late_chunking": request.late_chunking}
    if wrong := next((name for name, value in changed.items() if value), None):
        raise Unsupported(f"states of tokens come as the last layer made them; leave {wrong} out")
    if place := next((n for n, item in enumerate(request.items, 1) if isinstance(item, Image | Link)), 0):
        raise Unsupported(f"item {place - 1} is an image, and states are of a text's tokens; send texts")


def _own(rows: list[Vectors]) -> tuple[Floats, ...]:
    """Never a view of what others see."""
    return tuple(row["states"].copy() for row in rows)
