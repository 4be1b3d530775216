"""Rankings of a file as a system."""

import gzip

import pytest

from embedstack.errors import ConfigError
from embedstack.evals.systems.opening import SystemHow, open_systems
from embedstack.evals.systems.system import Asked
from support.systems import DOCUMENTS, Opened, quiet, ranking

LINES = "q1 Q0 d1 1 3 x\nq1 Q0 d2 2 2.5 x\nq2 Q0 d9 1 1 x\nq1 Q0 d3 3 2.5 x\n"


def opened(tmp_path, lines: str = LINES):
    file = tmp_path / "old.run"
    file.write_text(lines)
    (system,) = open_systems([str(file)], Opened(), SystemHow())
    system.prepare(DOCUMENTS, quiet)
    return system


def test_queries_are_known_by_their_ids_and_of_equal_scores_the_higher_id_comes_first(tmp_path):
    system = opened(tmp_path)

    assert ranking(system, 10, [Asked("q2", ""), Asked("q1", "")]) == [
        [("d9", 1.0)],
        [("d1", 3.0), ("d3", 2.5), ("d2", 2.5)],
    ]


def test_no_more_than_the_limit_come(tmp_path):
    assert ranking(opened(tmp_path), 1, [Asked("q1", "")]) == [[("d1", 3.0)]]


def test_queries_that_are_not_there_get_nothing_and_are_counted_once(tmp_path):
    system = opened(tmp_path)

    assert ranking(system, 5, [Asked("q3", ""), Asked("q1", "")])[0] == []
    ranking(system, 5, [Asked("q3", "")])
    assert system.notes == ("1 queries are not in the file, such as 'q3'",)


def test_scores_that_are_equal_as_float32_do_not_rise(tmp_path):
    system = opened(tmp_path, "q Q0 a 1 1.0000000001 x\nq Q0 b 2 1.0 x\n")

    assert ranking(system, 5, [Asked("q", "")]) == [[("b", 1.0), ("a", 1.0)]]


def test_a_packed_file_is_read(tmp_path):
    file = tmp_path / "old.trec.gz"
    file.write_bytes(gzip.compress(LINES.encode()))
    (system,) = open_systems([str(file)], Opened(), SystemHow())

    assert ranking(system, 1, [Asked("q2", "")]) == [[("d9", 1.0)]]


def test_a_ranking_takes_no_time_that_a_server_would_take(tmp_path):
    assert opened(tmp_path).search([Asked("q1", "")], 5).took_s == {}


def test_a_file_that_is_not_there_is_refused_when_it_is_opened(tmp_path):
    with pytest.raises(ConfigError, match=r"missing\.run' cannot be read"):
        open_systems([str(tmp_path / "missing.run")], Opened(), SystemHow())
