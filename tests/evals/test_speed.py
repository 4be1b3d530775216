"""The speed of anything that encodes, by a clock that the tests move."""

from collections.abc import Sequence

import pytest

from embedstack.errors import BadRequest
from embedstack.evals.sentences import long, mixed, questions
from embedstack.evals.speed import Run, Spread, measure, private_mb
from embedstack.types import Usage


class Clock:
    """Stands still but for what the contenders take."""

    def __init__(self) -> None:
        self.now = 0.0
        self.seen: list[tuple[str, int]] = []

    def __call__(self) -> float:
        return self.now

    def contender(self, name: str, seconds_per_text: float) -> Run:
        def run(texts: Sequence[str]) -> Usage:
            self.seen.append((name, len(texts)))
            self.now += seconds_per_text * len(texts)
            return Usage(items=len(texts), tokens=10 * len(texts))

        return run


def test_rates_are_texts_and_tokens_over_the_seconds_of_a_round() -> None:
    clock = Clock()

    speeds = measure({"a": clock.contender("a", 0.5)}, ["x"] * 4, ["y"], clock=clock)

    assert speeds["a"].texts_per_s == Spread(2.0, 2.0, 2.0)
    assert speeds["a"].tokens_per_s == Spread(20.0, 20.0, 20.0)
    assert (speeds["a"].p50_ms, speeds["a"].p99_ms) == pytest.approx((500, 500))


def test_the_first_round_only_warms_up() -> None:
    clock = Clock()
    slow_start = iter([10.0, *[1.0] * 100])

    def run(texts: Sequence[str]) -> Usage:
        clock.now += next(slow_start)
        return Usage(items=len(texts), tokens=1)

    assert measure({"a": run}, ["x"], ["y"], rounds=3, clock=clock)["a"].texts_per_s.least == 1.0


def test_contenders_take_turns() -> None:
    clock = Clock()
    both = {name: clock.contender(name, 1.0) for name in ("a", "b")}

    measure(both, ["x"] * 7, ["y"], rounds=2, clock=clock)

    assert [name for name, count in clock.seen if count == 7] == ["a", "b"] * 3


def test_every_single_text_is_sent_once_in_the_counted_rounds() -> None:
    clock = Clock()

    measure({"a": clock.contender("a", 1.0)}, ["x"] * 2, ["y"] * 11, rounds=5, clock=clock)

    warming = len(range(0, 11, 5))
    assert sum(count == 1 for _, count in clock.seen) == warming + 11


def test_fewer_single_texts_than_rounds_are_enough() -> None:
    clock = Clock()

    assert measure({"a": clock.contender("a", 1.0)}, ["x"], ["y"], rounds=5, clock=clock)["a"].p50_ms == 1000


def test_each_turn_is_told() -> None:
    clock, turns = Clock(), []

    measure({"a": clock.contender("a", 1.0)}, ["x"], ["y"], rounds=2, done=lambda: turns.append(1), clock=clock)

    assert len(turns) == 3


@pytest.mark.parametrize(("rounds", "texts", "singles"), [(0, ["x"], ["y"]), (1, [], ["y"]), (1, ["x"], [])])
def test_nothing_to_measure_is_refused(rounds: int, texts: list[str], singles: list[str]) -> None:
    with pytest.raises(BadRequest, match="each must be 1 or more"):
        measure({}, texts, singles, rounds=rounds)


def test_memory_is_that_of_a_process_which_holds_numpy() -> None:
    assert 10 < private_mb() < 100_000


# ------------------------------------------------------------------------------------------------ texts


def test_the_same_seed_gives_the_same_texts() -> None:
    assert (mixed(20, 3), questions(20, 3)) == (mixed(20, 3), questions(20, 3))
    assert mixed(20, 3) != mixed(20, 4)


def test_questions_have_five_to_fifteen_words() -> None:
    lengths = {len(text.split()) for text in questions(500)}

    assert (min(lengths), max(lengths)) == (5, 15)


def test_mixed_texts_are_about_half_questions_and_half_paragraphs() -> None:
    lengths = [len(text.split()) for text in mixed(500)]

    assert (min(lengths), max(lengths)) == (4, 220)
    assert 230 < sum(length <= 20 for length in lengths) < 300
    assert all(length <= 20 or length >= 60 for length in lengths)


def test_long_texts_have_the_words_asked_for() -> None:
    assert {len(text.split()) for text in long(3, 450)} == {450}
