"""The emulated control plane on a port of this machine, and our client of it, in one event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from embedstack.compute import RunPodControl
from embedstack.emulator.serve import listen, served, url_of
from support.controlling import KEY, Control

Got = TypeVar("Got")


class Pauses(list[float]):
    """Waits for nothing and notes how long it should have.

    Args:
        then: what happens in each.
    """

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self._then = then

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)
        self._then()


def rented(
    call: Callable[[RunPodControl], Awaitable[Got]],
    control: Control,
    *,
    key: str = KEY,
    pause: Pauses | None = None,
    retries: int = 4,
    base: str = "/v2",
    timeout_s: float = 60.0,
) -> Got:
    """What the call gives."""

    async def run() -> Got:
        listener = listen("127.0.0.1", 0)
        async with (
            served(control.platform, {control.app: listener}),
            RunPodControl(
                key,
                url_of(listener) + base,
                pause=pause if pause is not None else Pauses(),
                retries=retries,
                timeout_s=timeout_s,
            ) as client,
        ):
            return await call(client)

    return asyncio.run(run())
