"""When a result is sent again, what is sent instead, and when it is given up."""

import asyncio
import json
import logging
from collections.abc import Sequence

import pytest

from embedstack.worker.sending import LONGEST_PAUSE_S, PATIENCE_S, LostError, deliver

LOST = "lost"


class Line:
    """A connection with a clock: it answers as told, the last answer for ever; pauses take no time."""

    def __init__(self, answers: Sequence[int | str]) -> None:
        self.answers = list(answers)
        self.bodies: list[bytes] = []
        self.pauses: list[float] = []

    async def post(self, body: bytes) -> int:
        self.bodies.append(body)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, str):
            raise LostError('ServerDisconnectedError: "gone"')
        return answer

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def clock(self) -> float:
        return sum(self.pauses)


def sent(*answers: int | str) -> tuple[bool, Line]:
    line = Line(answers)
    work = deliver(line.post, b'{"output":1}', "job", clock=line.clock, sleep=line.sleep, draw=lambda: 0.5)
    return asyncio.run(work), line


@pytest.mark.parametrize("answer", [200, 201, 204])
def test_a_result_that_is_taken_is_sent_once(answer: int) -> None:
    is_taken, line = sent(answer)

    assert (is_taken, line.bodies, line.pauses) == (True, [b'{"output":1}'], [])


@pytest.mark.parametrize("answer", [LOST, 408, 429, 500, 502, 503, 524, 401, 403])
def test_what_may_pass_is_tried_again_with_growing_pauses(answer: int | str) -> None:
    is_taken, line = sent(answer, answer, answer, 200)

    assert (is_taken, line.pauses) == (True, [0.5, 1.0, 2.0])
    assert set(line.bodies) == {b'{"output":1}'}


def test_after_ten_minutes_it_is_given_up_aloud(caplog: pytest.LogCaptureFixture) -> None:
    is_taken, line = sent(LOST)

    assert not is_taken
    assert PATIENCE_S - 2 * LONGEST_PAUSE_S < sum(line.pauses) <= PATIENCE_S
    assert max(line.pauses) == LONGEST_PAUSE_S
    assert [record.getMessage().split()[:2] for record in caplog.records if record.levelno == logging.ERROR] == [
        ["event=not_sent", "job=job"]
    ]


@pytest.mark.parametrize("answer", [404, 410])
def test_a_job_that_is_gone_is_given_up_at_once_and_aloud(answer: int, caplog: pytest.LogCaptureFixture) -> None:
    is_taken, line = sent(answer)

    assert (is_taken, len(line.bodies)) == (False, 1)
    assert f"event=not_sent job=job answer={answer}" in caplog.text


@pytest.mark.parametrize("answer", [400, 413, 422])
def test_a_result_that_is_refused_is_replaced_by_a_small_failure(answer: int) -> None:
    is_taken, line = sent(answer, 200)

    assert is_taken
    assert f"refused the output of 12 bytes (status {answer})" in json.loads(line.bodies[1])["error"]


def test_the_failure_that_replaces_a_result_is_itself_sent_until_it_is_taken() -> None:
    is_taken, line = sent(400, LOST, 503, 200)

    assert is_taken
    assert line.bodies[1] == line.bodies[2] == line.bodies[3] != line.bodies[0]


def test_a_failure_that_is_refused_too_is_given_up() -> None:
    is_taken, line = sent(400)

    assert (is_taken, len(line.bodies)) == (False, 2)


def test_pauses_differ_from_worker_to_worker() -> None:
    line = Line([LOST, 200])
    asyncio.run(deliver(line.post, b"{}", "job", clock=line.clock, sleep=line.sleep, draw=lambda: 0.0))

    assert line.pauses == [0.25]
