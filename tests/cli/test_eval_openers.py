"""Who opens models and databases for an evaluation: each once, local models together, and all are closed."""

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from embedstack.api import open_engine
from embedstack.cli.eval_openers import EvalOpeners, models_here, parts
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.engine.background import wait
from embedstack.engine.engine import Engine
from embedstack.errors import NotReady, UnknownModel
from embedstack.evals.systems.naming import parse_system
from embedstack.settings import Settings, read_settings
from embedstack.testing.fake import HashEncoder
from embedstack.types import Encode, Encoder, Text
from support.serving import serving

pytestmark = pytest.mark.usefixtures("machine")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The names of each engine that is opened."""
    asked: list[list[str]] = []

    def opening(settings: Settings, names: Sequence[str], say: Callable[[str], None]) -> Engine:
        asked.append(list(names))
        return open_engine(settings, names, say)

    monkeypatch.setattr("embedstack.cli.eval_openers.open_engine", opening)
    return asked


def openers(*systems: str) -> EvalOpeners:
    names = [parse_system(system) for system in systems]
    return EvalOpeners(names, read_settings(), {}, lambda line: None)


def width(encoder: Encoder, model: str = "") -> int:
    dense = wait(encoder.encode(Encode(model=model, items=(Text("a text"),)))).dense
    assert dense is not None
    return int(dense.shape[1])


def test_a_system_is_made_of_all_that_it_names() -> None:
    name = parse_system("bm25+a:sparse~b~c@tei")

    assert [part.name for part in parts(name)][1:] == [
        "bm25+a:sparse~b",
        "bm25+a:sparse",
        "bm25",
        "a:sparse",
        "b",
        "c@tei",
    ]
    assert list(models_here(name)) == ["a", "b"]


def test_models_on_this_machine_share_one_engine(embedder: str, reranker: str, opened: list[list[str]]) -> None:
    with openers(f"bm25+{embedder}~{reranker}", embedder) as opening:
        first, second = opening.model(embedder), opening.model(reranker)

        assert opened == [[embedder, reranker]]
        assert [spec.task for encoder in (first, second) for spec in encoder.models()] == ["embed", "rerank"]
        assert width(first, first.models()[0].name) == first.models()[0].dim


def test_the_same_name_gives_the_same_model(embedder: str) -> None:
    with openers(embedder) as opening:
        assert opening.model(embedder) is opening.model(embedder)


def test_a_model_that_no_system_names_has_an_engine_of_its_own(
    embedder: str, reranker: str, opened: list[list[str]]
) -> None:
    with openers(embedder) as opening:
        opening.model(reranker)
        opening.model(embedder)

        assert opened == [[reranker], [embedder]]


def test_a_model_that_cannot_be_found_is_told_as_such() -> None:
    with openers("db#docs") as opening, pytest.raises(UnknownModel):
        opening.model("no-such-model")


def test_after_the_end_nothing_answers(embedder: str) -> None:
    with openers(embedder) as opening:
        encoder = opening.model(embedder)

    with pytest.raises(NotReady):
        width(encoder)


def test_an_endpoint_is_opened_once_for_each_task() -> None:
    with serving(HashEncoder) as url, openers() as opening:
        first = opening.endpoint("hash", url, "embed")

        assert opening.endpoint("hash", url, "embed") is first
        assert opening.endpoint("hash", url, "rerank") is not first
        assert width(first) == HashEncoder().models()[0].dim


def test_a_database_is_opened_once_and_closed_at_the_end() -> None:
    with closing(EmbeddedDatabase(Path("db"))):
        pass
    with openers() as opening:
        database = opening.database("db")

        assert opening.database("db") is database
        assert database.names() == []
