"""A collection of which the index misses points: as it is searched, and as it is."""

from collections.abc import Iterator

import numpy as np
import pytest

from embedstack.databases.bound import origin_of
from embedstack.databases.database import pages
from embedstack.databases.pgvector.server import PgvectorDatabase
from embedstack.evals.evaluating import EvaluateHow, evaluate
from embedstack.evals.sets.labelled import Labelled
from embedstack.evals.systems.opening import SystemHow, open_systems
from embedstack.evals.systems.system import Asked
from support.postgres import Postgres, running
from support.systems import Opened, encoded, filled, quiet, ranking

pytestmark = pytest.mark.faults

URL, NAME = "postgresql://somewhere", "docs"
POINTS = 3_000
QUERIES = [Asked(f"q{number}", f"word{number} word{number + 1}") for number in range(20)]


@pytest.fixture(scope="module")
def database() -> Iterator[PgvectorDatabase]:
    """Its index is the poorest that there can be, and always read: pgvector's usual one misses hardly any of so few."""
    postgres = running()
    with postgres.database() as name:
        postgres.run(name, f"ALTER DATABASE {name} SET enable_seqscan = off")
        made = PgvectorDatabase(postgres.url(name))
        signed = origin_of(encoded(["word"], "document"), "document")
        drawn = np.random.default_rng(3).standard_normal((POINTS, signed.identity.dim)).astype(np.float32)
        filled(made, [(f"d{number}", "word") for number in range(POINTS)], NAME, origin=signed, column=drawn)
        worsen(postgres, name)
        yield made
        made.close()


def worsen(postgres: Postgres, name: str) -> None:
    """Make its one HNSW index anew, with 2 neighbours of each point."""
    ((index, made),) = postgres.run(
        name, "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'docs' AND indexdef LIKE '%USING hnsw%'"
    )
    postgres.run(name, f'DROP INDEX "{index}"')
    postgres.run(name, f"{made} WITH (m = 2, ef_construction = 4)")


def exact(database: PgvectorDatabase) -> list[list[str]]:
    """The nearest ten, by numpy."""
    read = pages(lambda after: database.read(NAME, after=after, vectors=("",), limit=1000))
    rows = [point for page in read for point in page.points]
    there = np.stack([point.vectors[""] for point in rows]).astype(np.float64)
    there /= np.linalg.norm(there, axis=1, keepdims=True)
    asked = encoded([query.text for query in QUERIES], "query").dense
    return [[str(rows[place].payload["doc_id"]) for place in np.argsort(-(there @ row))[:10]] for row in asked]


def test_the_exact_leg_finds_all_and_the_collection_what_its_index_finds(database) -> None:
    (system,) = open_systems([f"{URL}#{NAME}"], Opened(None, {URL: database}), SystemHow())
    system.prepare({}, quiet)
    (leg,) = system.legs
    truth = exact(database)

    def share(found) -> float:
        pairs = zip(ranking(found, 10, QUERIES), truth, strict=True)
        return float(np.mean([len({document for document, _ in hits} & set(wanted)) / 10 for hits, wanted in pairs]))

    assert leg.name == f"{URL}#{NAME} (exact)"
    assert share(leg) == 1
    assert share(system) < 0.9


def test_a_report_says_what_the_index_costs(database) -> None:
    (system,) = open_systems([f"{URL}#{NAME}"], Opened(None, {URL: database}), SystemHow())
    truth = exact(database)
    labelled = Labelled(
        name="nearest",
        digest="0",
        documents={},
        queries={query.id: query.text for query in QUERIES},
        qrels={query.id: dict.fromkeys(wanted, 1) for query, wanted in zip(QUERIES, truth, strict=True)},
    )

    report = evaluate(labelled, [system], EvaluateHow(measures=("recall@10",), depth=10)).report

    searched, compared = (one.measures["recall@10"].value for one in report.outcomes)
    assert compared == 1 > searched
    (loss,) = report.comparisons
    assert (loss.baseline, loss.candidate) == (f"{URL}#{NAME} (exact)", f"{URL}#{NAME}")
    assert loss.delta.value == pytest.approx(searched - 1)
