"""One job, wherever its table goes and whoever computes: buckets and endpoints give what this machine gives."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from embedstack.api import open_engine
from embedstack.proof.fidelity import LIMITS
from embedstack.settings import read_settings
from support.commands import COMMAND, PATIENCE_S, good, settings_only
from support.serving import serving
from support.xml_bucket import Scheme, XmlBucket, variables

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

PAGES = 60
PAGE = "---\ntitle: Page {0}\n---\n# Page {0}\n\nThe tide of day {0} rose {1} and fell.\n"
SMALL = ("--chunk-tokens", "24", "--shard-docs", "3", "--checkpoint-docs", "12")
Row = dict[str, object]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of pages, in an environment in which nothing is set but two lanes of one thread each."""
    root = tmp_path_factory.mktemp("places")
    (root / "pages").mkdir()
    for number in range(PAGES):
        (root / "pages" / f"page-{number:02d}.md").write_text(PAGE.format(number, "and rose " * (number % 9)))
    given = settings_only(
        EMBEDSTACK_CACHE_DIR=str(root / "cache"), EMBEDSTACK_THREADS="2", EMBEDSTACK_LANES="2", NO_PROXY="127.0.0.1"
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        patch.chdir(root)
        yield root


@pytest.fixture(scope="module")
def model(folders: dict[str, str]) -> str:
    return folders["bert-mean"]


@pytest.fixture(scope="module")
def here(home: Path, model: str) -> list[Row]:
    """The table of the job that nothing happened to."""
    return made("here", model)


def made(out: str, model: str, *more: str) -> list[Row]:
    planned(out, model, *more)
    good("job", "run", out, "--processes", "0", *more)
    return table(out)


def planned(out: str, model: str, *more: str) -> None:
    good("job", "plan", "pages", "--output", out, "--model", model, *SMALL, *more)


def table(out: str) -> list[Row]:
    """The rows of a finished job whose files are what its records say."""
    good("job", "verify", out, "--deep")
    return [json.loads(line) for line in good("job", "export", out, "--format", "jsonl").stdout.splitlines()]


def without_vectors(rows: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name != "embedding"} for row in rows]


def vectors(rows: list[Row]) -> np.ndarray:
    return np.array([row["embedding"] for row in rows], np.float64)


def killed_once(out: str, commits: int, count: Callable[[], int], *more: str) -> None:
    """A run in a process of its own, which is killed (SIGKILL) once so many shards are committed."""
    child = subprocess.Popen([*COMMAND, "job", "run", out, "--processes", "0", *more], stderr=subprocess.DEVNULL)
    until = time.monotonic() + PATIENCE_S
    while child.poll() is None and count() < commits:
        assert time.monotonic() < until, "nothing was committed"
        time.sleep(0.005)
    child.kill()
    child.wait()


def test_the_table_has_all_pages(here: list[Row]) -> None:
    assert len({row["doc_id"] for row in here}) == PAGES
    assert len(here) > PAGES


def test_killed_and_gone_on_with_the_engine_gives_the_same_bits(home: Path, model: str, here: list[Row]) -> None:
    planned("again", model)
    killed_once("again", 3, lambda: len(list((home / "again" / "_commits").glob("*"))))
    assert not (home / "again" / "_SUCCESS").exists()

    good("job", "run", "again", "--processes", "0")

    assert table("again") == here


@pytest.mark.parametrize(
    ("scheme", "preconditions", "more"),
    [("s3", True, ()), ("gs", True, ()), ("gs", False, ("--single-writer",))],
)
def test_in_a_bucket_it_is_the_same_table_also_when_it_was_killed(
    scheme: Scheme, preconditions: bool, more: tuple[str, ...], model: str, here: list[Row]
) -> None:
    with XmlBucket(preconditions=preconditions) as bucket, pytest.MonkeyPatch.context() as patch:
        for name, value in variables(scheme, bucket.address).items():
            patch.setenv(name, value)
        out = f"{scheme}://bucket/out"
        planned(out, model, *more)
        killed_once(out, 3, lambda: sum("_commits/" in key for key in list(bucket.state.objects)), *more)
        assert "out/_SUCCESS" not in bucket.state.objects
        if not preconditions:
            del bucket.state.objects["out/_lease.json"]  # as the error says, where the other runner is dead

        good("job", "run", out, "--processes", "0", *more)

        assert table(out) == here
        assert f"{PAGES} of {PAGES} documents" in good("job", "status", out).output


def test_over_a_server_it_is_the_same_table_to_rounding(model: str, here: list[Row]) -> None:
    settings = read_settings(env_file=None)
    with serving(lambda: open_engine(settings, [model])) as url:
        there = made("there", model, "--via", url)

    assert without_vectors(there) == without_vectors(here)
    assert (vectors(there) * vectors(here)).sum(axis=1).min() >= LIMITS["float32"].least
