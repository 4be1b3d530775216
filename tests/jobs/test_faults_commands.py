"""What becomes of `embedstack job run` when its processes are killed, by somebody or by a text."""

import pytest

from support import commanded
from support.commanded import Commanded

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Commanded:
    return Commanded(tmp_path_factory.mktemp("commanded"))


def test_a_run_that_was_killed_leaves_no_process_and_goes_on(on: Commanded) -> None:
    outcome = commanded.killed_supervisor(on)

    assert not outcome.wrong


def test_a_run_that_was_told_to_end_goes_on(on: Commanded) -> None:
    outcome = commanded.terminated(on)

    assert not outcome.wrong


def test_a_process_that_was_killed_is_replaced(on: Commanded) -> None:
    outcome = commanded.killed_child(on)

    assert not outcome.wrong


def test_a_document_that_ends_every_process_is_a_dead_letter(on: Commanded) -> None:
    outcome = commanded.crashing(on)

    assert not outcome.wrong
