"""Work beside work: nothing hangs, no error is lost."""

import asyncio
import threading
from collections.abc import Coroutine

import pytest

from embedstack.jobs.pipeline import Threads, beside


async def forever() -> None:
    await asyncio.Event().wait()


async def gives(value: int) -> int:
    return value


async def fails(message: str) -> None:
    raise ValueError(message)


def test_the_end_of_the_work_ends_what_is_beside_it() -> None:
    assert asyncio.run(asyncio.wait_for(beside(gives(3), forever()), 30)) == 3


@pytest.mark.parametrize(("main", "aside"), [(forever, lambda: fails("aside")), (lambda: fails("main"), forever)])
def test_an_error_of_either_ends_both(main: "type[Coroutine]", aside: "type[Coroutine]") -> None:
    with pytest.raises(ValueError, match=r"aside|main"):
        asyncio.run(asyncio.wait_for(beside(main(), aside()), 30))


def test_who_is_cancelled_cancels_both() -> None:
    ended = []

    async def noted() -> None:
        try:
            await forever()
        finally:
            ended.append(1)

    async def ran() -> None:
        both = asyncio.ensure_future(beside(noted(), noted()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        both.cancel()
        await asyncio.gather(both, return_exceptions=True)

    asyncio.run(ran())

    assert ended == [1, 1]


def test_threads_that_still_work_are_waited_for() -> None:
    begun, go, done = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        go.wait(30)
        done.append(1)

    async def ran() -> list[int]:
        threads = Threads()
        running = asyncio.ensure_future(threads.write(work))
        await asyncio.to_thread(begun.wait, 30)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        asyncio.get_running_loop().call_later(0.01, go.set)
        await threads.close()
        return list(done)

    assert asyncio.run(ran()) == [1]


def test_questions_do_not_wait_behind_uploads() -> None:
    go = threading.Event()

    async def ran() -> int:
        threads = Threads()
        uploads = [asyncio.ensure_future(threads.write(lambda: go.wait(30))) for _ in range(8)]
        answer = await asyncio.wait_for(threads.ask(lambda: 7), 20)
        go.set()
        await asyncio.gather(*uploads)
        await threads.close()
        return answer

    assert asyncio.run(ran()) == 7
