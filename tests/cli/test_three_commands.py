"""As a new user would: an emulator, a worker and a client, three commands that the guide tells, three processes."""

import json
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from embedstack.proof.fidelity import LIMITS
from embedstack.settings import DEFAULT_MODEL, read_settings
from support.commands import COMMAND, settings_only
from support.handing import PATIENCE_S, Worker

pytest.importorskip("runpod", reason="RunPod's SDK is not installed")
pytestmark = [pytest.mark.sdk, pytest.mark.weights, pytest.mark.timeout(120)]

GUIDE = Path(__file__).parents[2] / "docs" / "runpod.md"
TEXT = "a text"


@dataclass(frozen=True)
class Emulated:
    """What the emulator told its user, with a worker that was started as it said."""

    url: str
    client: str
    home: Path


def variables(**more: str) -> dict[str, str]:
    """Of somebody who has set nothing, but has the model already."""
    others = settings_only(
        EMBEDSTACK_CACHE_DIR=str(read_settings(env_file=None).cache_dir), NO_PROXY="127.0.0.1", **more
    )
    return {name: value for name, value in others.items() if not name.startswith("RUNPOD_") or name in more}


def taken_apart(line: str) -> tuple[dict[str, str], list[str]]:
    """A line as it is typed: the variables in front, and the program with its arguments."""
    words = shlex.split(line)
    first = next(place for place, word in enumerate(words) if "=" not in word)
    assert words[first] == "embedstack"
    return dict(word.split("=", 1) for word in words[:first]), [*COMMAND, *words[first + 1 :]]


@contextmanager
def started(line: str, home: Path, *more: str) -> Iterator[Worker]:
    """A process that goes on."""
    given, command = taken_apart(line)
    process = subprocess.Popen(
        [*command, *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=home, env=variables(**given)
    )
    running = Worker(process)
    running.listener = threading.Thread(target=running.listen, daemon=True)
    running.listener.start()
    try:
        yield running
    finally:
        process.terminate()
        try:
            running.ended()
        finally:
            process.kill()
            process.stdout.close()


def printed(line: str, home: Path) -> list[dict[str, object]]:
    """The JSON lines of a command."""
    given, command = taken_apart(line)
    done = subprocess.run(
        command, capture_output=True, timeout=PATIENCE_S, cwd=home, env=variables(**given), check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(row) for row in done.stdout.splitlines() if row.startswith(b"{")]


def vectors(line: str, home: Path) -> np.ndarray:
    """What a command prints."""
    return np.array([row["embedding"] for row in printed(line, home)], np.float64)


def said_after(words: str, text: str) -> str:
    found = re.search(rf"^{re.escape(words)} *(.*)$", text, re.MULTILINE)
    assert found, text
    return found[1]


@pytest.fixture(scope="module")
def emulated(minilm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    home = tmp_path_factory.mktemp("home")
    with started("embedstack emulate runpod", home, "--port", "0", "--control-port", "0") as emulator:
        emulator.heard("a client:")
        url = said_after("jobs:", emulator.text).removesuffix("/v2/local")
        with started(said_after("a worker:", emulator.text), home) as worker:
            worker.heard("event=ready")
            yield Emulated(url, said_after("a client:", emulator.text), home)


@pytest.fixture(scope="module")
def here(emulated: Emulated) -> np.ndarray:
    return vectors(f'embedstack embed "{TEXT}"', emulated.home)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    assert one.shape == other.shape == (1, 384)
    return float((one @ other.T)[0, 0] / np.linalg.norm(one) / np.linalg.norm(other))


def test_the_command_that_the_emulator_tells_gives_the_vectors_of_this_machine(
    emulated: Emulated, here: np.ndarray
) -> None:
    assert cosine(vectors(emulated.client, emulated.home), here) >= LIMITS["float32"].least


def test_the_provider_by_name_gives_them_where_the_environment_says_which_endpoint(
    emulated: Emulated, here: np.ndarray
) -> None:
    where = f"RUNPOD_ENDPOINT_BASE_URL={emulated.url}/v2 RUNPOD_ENDPOINT_ID=local RUNPOD_API_KEY=local"

    assert cosine(vectors(f'{where} embedstack embed --via runpod "{TEXT}"', emulated.home), here) >= (
        LIMITS["float32"].least
    )


def test_a_job_over_the_endpoint_makes_the_table_of_this_machine(emulated: Emulated) -> None:
    home = emulated.home
    (home / "pages").mkdir()
    for number in range(6):
        (home / "pages" / f"{number}.md").write_text(f"# Page {number}\n\nThe tide of day {number} rose and fell.\n")
    where = f"RUNPOD_ENDPOINT_BASE_URL={emulated.url}/v2 RUNPOD_ENDPOINT_ID=local RUNPOD_API_KEY=local"
    tables = {}
    for out, before, after in (("there", where, "--via runpod"), ("local", "", "")):
        printed(f"{before} embedstack job plan pages -o {out} -m {DEFAULT_MODEL} --shard-docs 2 {after}", home)
        printed(f"{before} embedstack job run {out} --processes 0 {after}", home)
        tables[out] = printed(f"embedstack job export {out} --format jsonl", home)

    made, wanted = (np.array([row.pop("embedding") for row in table], np.float64) for table in tables.values())
    assert [{**row, "fingerprint": ""} for row in tables["there"]] == [
        {**row, "fingerprint": ""} for row in tables["local"]
    ]
    assert (made * wanted).sum(axis=1).min() >= LIMITS["float32"].least


def test_the_guide_tells_the_same_three_commands(emulated: Emulated) -> None:
    part = GUIDE.read_text().partition("Three commands")[2]
    block = part.partition("```bash\n")[2].partition("```")[0].splitlines()
    usual = "http://127.0.0.1:8001"

    assert block[:2] == ["embedstack emulate runpod", "embedstack worker runpod --emulator"]
    assert emulated.client.replace(emulated.url, usual) in block[2:]
    assert sys.executable not in "".join(block)
