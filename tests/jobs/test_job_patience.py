"""What is tried again, for how long, and whose fault an error is."""

import asyncio
from collections.abc import Sequence

import pytest

from embedstack.errors import (
    BadRequest,
    ConfigError,
    EmbedstackError,
    Forbidden,
    NotReady,
    Overloaded,
    RuntimeFailed,
    UnknownModel,
    Upstream,
)
from embedstack.jobs.patience import Patience, code_of, is_of_documents, is_panic, liveness_of, message_of
from embedstack.testing.fake import HashEncoder


class Failing:
    """Work that fails with each of these, and then gives a value; with a clock that only its pauses move."""

    def __init__(self, errors: Sequence[BaseException]) -> None:
        self.errors = list(errors)
        self.pauses: list[float] = []

    async def work(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "done"

    def clock(self) -> float:
        return sum(self.pauses)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def tried(self, most_s: float = 600.0, *, is_alive: bool = True) -> str:
        patience = Patience(most_s, is_alive=lambda: is_alive, clock=self.clock, sleep=self.sleep)
        return asyncio.run(patience.of(self.work))


@pytest.mark.parametrize("error", [NotReady("loading"), Overloaded("full"), Upstream("away", retry=True)])
def test_what_may_pass_is_tried_again(error: EmbedstackError) -> None:
    assert Failing([error] * 5).tried() == "done"


def test_pauses_grow_up_to_a_limit() -> None:
    failing = Failing([Upstream("away", retry=True)] * 7)
    failing.tried()

    assert failing.pauses == [1, 2, 4, 8, 16, 30, 30]


def test_what_a_server_asks_for_is_waited() -> None:
    failing = Failing([Overloaded("full", 12.5)])
    failing.tried()

    assert failing.pauses == [12.5]


def test_patience_ends() -> None:
    failing = Failing([Upstream("away", retry=True)] * 100)

    with pytest.raises(Upstream, match="away"):
        failing.tried(60.0)
    assert sum(failing.pauses) <= 60.0


def test_one_odd_reply_is_asked_for_again() -> None:
    assert Failing([Upstream("no JSON")] * 2).tried() == "done"


def test_odd_replies_in_a_row_end_it() -> None:
    with pytest.raises(Upstream, match="no JSON"):
        Failing([Upstream("no JSON")] * 3).tried()


@pytest.mark.parametrize(
    "error", [BadRequest("wrong"), ConfigError("no disk"), RuntimeFailed("broken"), ValueError("bug")]
)
def test_what_does_not_pass_is_raised_at_once(error: Exception) -> None:
    failing = Failing([error])

    with pytest.raises(type(error)):
        failing.tried()
    assert failing.pauses == []


def test_nobody_waits_for_a_dead_engine() -> None:
    with pytest.raises(RuntimeFailed, match="the engine has died"):
        Failing([NotReady("stopping")]).tried(is_alive=False)


def test_a_dead_engine_is_no_documents_fault() -> None:
    with pytest.raises(RuntimeFailed) as caught:
        Failing([RuntimeFailed("the engine has died")]).tried(is_alive=False)

    assert not is_of_documents(caught.value)


def test_an_encoder_that_dies_is_seen() -> None:
    encoder = HashEncoder()
    is_alive = liveness_of(encoder)
    before = is_alive()
    encoder.alive = False

    assert (before, is_alive()) == (True, False)


def test_an_encoder_elsewhere_counts_as_alive() -> None:
    assert liveness_of(object())()


# ------------------------------------------------------------------------------------------------ whose fault


class PanicException(BaseException):
    """What a panic in Rust looks like."""


PanicException.__module__ = "pyo3_runtime"


@pytest.mark.parametrize("error", [BadRequest("no token"), RuntimeFailed("not finite"), PanicException("boom")])
def test_a_document_can_be_the_reason(error: BaseException) -> None:
    assert is_of_documents(error)


@pytest.mark.parametrize(
    "error",
    [
        Forbidden("no"),
        UnknownModel("gone"),
        NotReady("later"),
        KeyboardInterrupt(),
        asyncio.CancelledError(),
        ValueError(),
    ],
)
def test_no_document_can_be_the_reason(error: BaseException) -> None:
    assert not is_of_documents(error)


def test_a_panic_is_told_without_its_words() -> None:
    error = PanicException("at 'a secret text'")

    assert is_panic(error)
    assert code_of(error) == "panic"
    assert "secret" not in message_of(error)


def test_some_work_has_less_time_than_usual() -> None:
    failing = Failing([Upstream("away", retry=True)] * 9)
    patience = Patience(600.0, clock=failing.clock, sleep=failing.sleep)

    with pytest.raises(Upstream):
        asyncio.run(patience.of(failing.work, 7.0))
    assert failing.pauses == [1, 2, 4]
