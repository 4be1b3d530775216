"""What is away for a while is called again; what will not pass is not."""

from collections.abc import Callable

import pytest

from embedstack.errors import ConfigError, Mismatch, Upstream
from embedstack.loading.retrying import Retrying, pause_of, rows_of
from embedstack.loading.stopping import Stop
from support.loaded import Clock, Drawn


def retrying(
    clock: Clock, patience_s: float = 300.0, stop: Stop | None = None, said: list[str] | None = None
) -> Retrying:
    say = (said if said is not None else []).append
    return Retrying(patience_s, clock=clock, pause=clock.pause, stop=stop or Stop(), say=say)


def failing(times: int, error: Callable[[], Exception] = lambda: Upstream("away", retry=True)) -> Callable[[], str]:
    """Fails so often, and then gives something."""
    left = [error() for _ in range(times)]

    def work() -> str:
        if left:
            raise left.pop()
        return "done"

    return work


def test_pauses_double_up_to_half_a_minute() -> None:
    assert [pause_of(tries) for tries in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert pause_of(10_000) == 30


def test_what_works_again_in_time_is_no_failure() -> None:
    clock = Clock()

    assert retrying(clock)(failing(3)) == "done"
    assert clock.pauses == [1, 2, 4]


def test_patience_is_used_up_and_no_more() -> None:
    clock = Clock()

    with pytest.raises(Upstream, match=r"away; tried 6 times in 20 s; what was written stays") as caught:
        retrying(clock, 20)(failing(99))

    assert clock.pauses == [1, 2, 4, 8, 5]
    assert not caught.value.retry


def test_patience_begins_anew_after_a_success() -> None:
    clock = Clock()
    retry = retrying(clock, 10)
    retry(failing(3))

    assert retry(failing(3)) == "done"


def test_without_patience_nothing_is_tried_twice() -> None:
    clock = Clock()

    with pytest.raises(Upstream, match=r"^away$"):
        retrying(clock, 0)(failing(1))

    assert clock.pauses == []


@pytest.mark.parametrize("error", [ConfigError("no"), Mismatch("no"), Upstream("no")])
def test_what_does_not_pass_is_raised_at_once(error: Exception) -> None:
    clock = Clock()

    with pytest.raises(type(error), match=r"^no$"):
        retrying(clock)(failing(1, lambda: error))

    assert clock.pauses == []


def test_each_pause_is_said() -> None:
    said: list[str] = []

    retrying(Clock(), said=said)(failing(2))

    assert said == ["away; trying again in 1 s", "away; trying again in 2 s"]


def test_what_is_left_of_patience_is_said_in_few_digits() -> None:
    said: list[str] = []

    with pytest.raises(Upstream):
        retrying(Clock(), 2.99769, said=said)(failing(9))

    assert said[-1] == "away; trying again in 2 s"


def test_two_threads_that_meet_the_same_failure_say_it_once() -> None:
    said: list[str] = []
    clock = Clock()
    retry = Retrying(300, clock=clock, pause=lambda pause_s: None, stop=Stop(), say=said.append)

    retry(failing(1))
    retry(failing(1))

    assert len(said) == 1


def test_nobody_waits_once_the_end_is_wanted() -> None:
    stop, clock = Stop(), Clock()
    retry = Retrying(300, clock=clock, pause=lambda pause_s: stop.give_up(), stop=stop, say=lambda text: None)

    with pytest.raises(Upstream, match=r"^away$"):
        retry(failing(1))
    with pytest.raises(Upstream, match=r"^away$"):
        retry(failing(1))


def test_a_table_that_is_away_is_read_on_from_where_it_was() -> None:
    table, clock = Drawn(100, away=[0, 50, 64]), Clock()

    batches = list(rows_of(table, 0, 32, retrying(clock)))

    assert [len(batch) for batch in batches] == [32, 32, 32, 4]
    assert [id_ for batch in batches for id_ in batch.ids] == [id_ for ids in table.ids() for id_ in ids]
    assert len(clock.pauses) == 3
