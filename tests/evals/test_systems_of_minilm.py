"""Systems over the real weights of the default model."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from embedstack.api import open_engine
from embedstack.engine.engine import Engine
from embedstack.evals.sentences import SENTENCES
from embedstack.evals.systems.opening import SystemHow, open_systems
from embedstack.evals.systems.system import Asked
from embedstack.settings import read_settings
from support.systems import Opened, one_by_one, quiet, ranking

DOCUMENTS = {f"s{number}": text for number, text in enumerate(SENTENCES)}
QUERIES = [Asked("harbour", "ice on the sea in winter"), Asked("bread", "at what time do bakers begin?")]


@pytest.fixture(scope="module")
def engine(minilm_folder: Path) -> Iterator[Engine]:
    opened = open_engine(read_settings(env_file=None), [str(minilm_folder)], say=lambda line: None)
    yield opened
    opened.close()


@pytest.mark.weights
@pytest.mark.slow
def test_what_is_meant_is_found(engine):
    systems = open_systems(["minilm", "bm25+minilm"], Opened({"minilm": engine}), SystemHow())
    for system in systems:
        system.prepare(DOCUMENTS, quiet)

    assert [hits[0][0] for hits in ranking(systems[0], 3, QUERIES)] == ["s0", "s1"]
    assert [hits[0][0] for hits in ranking(systems[1], 3, QUERIES)] == ["s0", "s1"]
    assert [name for name, _ in ranking(systems[0], 3, QUERIES)[0]] == [
        name for name, _ in one_by_one(systems[0], 3, QUERIES)[0]
    ]
