"""A load goes on when the database's server is killed under it, or it itself is: in the end every point is there, once.

Servers are a real PostgreSQL, and Qdrant's engine behind a facade of ours: see docs/databases.md.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from embedstack.databases.database import Database, PointId
from embedstack.databases.opening import open_database
from embedstack.loading.opening import open_table
from embedstack.loading.source import How
from embedstack.settings import Settings
from support.commands import COMMAND, good, settings_only
from support.loaded import everything, shown
from support.tables import job

pytestmark = pytest.mark.faults

ROWS, DOCUMENT = 2000, 100
NAME = "docs"
PATIENCE_S = 60  # with a load whose server is away for some seconds, twice


@dataclass(frozen=True, slots=True)
class Server:
    """One that runs, and how it dies and comes back at the same address."""

    url: str
    kill: Callable[[], None]
    start: Callable[[], None]

    def restart(self) -> None:
        """From a kill."""
        self.kill()
        self.start()

    def open(self) -> Database:
        return open_database(self.url)

    def points(self) -> int:
        """That are there now; 0 where there is no collection yet."""
        with closing(self.open()) as database:
            there = database.describe(NAME)
        return there.points if there else 0


@pytest.fixture(params=["qdrant-facade", "pgvector"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    if request.param == "pgvector":
        from support.postgres import running

        postgres = running()
        with postgres.database() as name:
            yield Server(postgres.url(name), postgres.kill, postgres.start)
            postgres.start()
    else:
        from support.qdrant_server import qdrant_server

        with qdrant_server(tmp_path / "qdrant") as facade:
            yield Server(facade.url, facade.kill, facade.start)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("job") / "job"
    docs = {
        f"doc-{number}": [f"text {number} {index}" for index in range(DOCUMENT)] for number in range(ROWS // DOCUMENT)
    }
    job(root, [docs])
    return root


@pytest.fixture(scope="module")
def truth(table: Path) -> dict[PointId, object]:
    """Each row, as it is to be there to the bit."""
    with closing(open_table(str(table), How(), model="", settings=Settings(), say=print)) as source:
        return {
            point: shown({name: column[row] for name, column in points.vectors.items()}, points.payloads[row])
            for points in source.batches(0, 256)
            for row, point in enumerate(points.ids)
        }


@contextmanager
def loading(table: Path, server: Server) -> "Iterator[subprocess.Popen[str]]":
    """In a process of its own, slowly enough to be met in its middle."""
    words = ["load", str(table), server.url, "-c", NAME, "--batch", "32", "--patience", "60", "--json"]
    process = subprocess.Popen(
        [*COMMAND, *words], env=settings_only(PYTHONPATH=os.pathsep.join(sys.path)), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: "subprocess.Popen[str]") -> tuple[dict[str, object], str]:
    """The last line for machines, and all that was said to people."""
    out, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    return json.loads(out.splitlines()[-1]), said


def until_more(process: "subprocess.Popen[str]", server: Server, than: int) -> int:
    """How many points there are, once there are more than that; the load still runs then."""
    ends_s = time.monotonic() + PATIENCE_S
    while (now := server.points()) <= than:
        assert time.monotonic() < ends_s
        assert process.poll() is None, process.communicate()
    assert now < ROWS
    return now


def test_a_load_that_is_killed_and_then_its_server_twice_has_every_point_in_the_end(
    server: Server, table: Path, truth: dict[PointId, object]
) -> None:
    with loading(table, server) as process:
        before = until_more(process, server, 0)
        process.send_signal(signal.SIGKILL)
        code = process.wait(PATIENCE_S)
    with loading(table, server) as process:
        for part in (0.1, 0.3):
            until_more(process, server, before + round(part * ROWS))
            server.restart()
        done, said = ended(process)

    with closing(server.open()) as database:
        there = everything(database)
    again = json.loads(good("load", str(table), server.url, "-c", NAME, "--json").stdout.splitlines()[-1])
    assert code == -signal.SIGKILL
    assert (done["why"], done["is_whole"], done["points"]) == ("goes on", True, ROWS)
    assert said.count("trying again in") >= 2
    assert there == truth
    assert (again["why"], again["written"], again["points"]) == ("whole", 0, ROWS)
