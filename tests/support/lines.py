"""Requests for a scheduler without an engine: a text costs as many tokens as it has letters."""

import numpy as np

from embedstack.engine.admission import Limits
from embedstack.engine.line import Call, Job, Line
from embedstack.engine.scheduler import Scheduler
from embedstack.errors import Overloaded
from embedstack.types import Encoding


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def ask(
    loop,
    scheduler: Scheduler,
    *texts: str,
    caller: str = "",
    priority: str = "interactive",
    whole: bool = False,
    deadline: float | None = None,
    group: str = "m",
    lanes: int = 0,
) -> Call:
    """A request whose texts are as long as they read: "aaa" costs 3."""
    call = Call(loop, loop.create_future(), [None] * len(texts), 0.0)
    call.jobs = [
        Job(Encoding(np.zeros(len(text), np.int32)), text, [(call, place)]) for place, text in enumerate(texts)
    ]
    call.missing = len(texts)
    how = {"is_whole": whole, "deadline": deadline, "lanes": lanes}
    line = Line(group, call.jobs.copy(), priority, caller, 0.0, call=call, **how)  # type: ignore[arg-type]
    scheduler.submit(line)
    return call


def taken(scheduler: Scheduler) -> list[str]:
    run = scheduler.take()
    assert run.group == "m"
    return [str(job.key) for job in run.jobs]


def limited(clock: Clock, **limits: float) -> Scheduler:
    """As in a server. Before its first batch a model is taken for one of about 0.25 ms a token."""
    return Scheduler(100, clock, limits=Limits(**{"max_wait_s": 0.0, **limits}))


def fill(loop, scheduler: Scheduler, caller: str = "", **how) -> int:
    """Requests of ten tokens until one is refused; how many were let in."""
    for number in range(10_000):
        try:
            ask(loop, scheduler, f"{caller[:1] or 'x'}{number:09}", caller=caller, **how)
        except Overloaded:
            return number
    raise AssertionError("nobody was ever refused")
