"""Foreign clients see through our server what the library gives; the run writes results.json for docs/clients.md."""

import datetime
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from environments import VARIABLE, Broken, clients
from judge import fault

from embedstack import __version__

RESULTS = Path(__file__).parent / "results.json"
CLIENTS = clients()
CHECKS = [pytest.param(name, check, id=f"{name}-{check}") for name, one in CLIENTS.items() for check in one.expects]
OURS = ("openai", "huggingface_hub")  # that the tests' own environment has


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, dict[str, str]]]:
    """Of each client its checks and what was wrong, kept for the docs."""
    found: dict[str, dict[str, str]] = {}
    yield found
    if found:
        RESULTS.write_text(json.dumps(_as_results(found), indent=2, ensure_ascii=False) + "\n")


def _as_results(found: dict[str, dict[str, str]]) -> dict[str, object]:
    """With those of clients that did not run this time."""
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    now = {
        name: {
            "packages": list(CLIENTS[name].packages),
            "base": CLIENTS[name].base,
            "embedstack": __version__,
            "date": today,
            "checks": {check: why or "passed" for check, why in checks.items()},
        }
        for name, checks in found.items()
    }
    return {name: now.get(name, before.get(name)) for name in CLIENTS if name in now or name in before}


@pytest.fixture(scope="module")
def seen_by(ground):
    """What each client saw; its program runs once."""

    kept: dict[tuple[str, str], dict[str, dict[str, object]]] = {}

    def run(name: str, python: str = "", **more: str) -> dict[str, dict[str, object]]:
        if (name, python) not in kept:
            try:
                kept[name, python] = ground.run(CLIENTS[name], python, more)
            except Broken as error:
                broken = {"error": ["the program"], "message": str(error)}
                kept[name, python] = dict.fromkeys(CLIENTS[name].expects, broken)
        return kept[name, python]

    return run


@pytest.mark.clients
@pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} is not set")
@pytest.mark.parametrize(("name", "check"), CHECKS)
def test_a_foreign_client_sees_what_the_library_gives(ground, openai_ids, seen_by, outcomes, name, check):
    client = CLIENTS[name]
    assert client.is_ready, "run: python tests/clients/environments.py"

    why = fault(client.expects[check], seen_by(name, **openai_ids).get(check), ground.truth)
    outcomes.setdefault(name, {})[check] = why

    assert not why


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.parametrize("name", OURS)
def test_the_clients_that_are_installed_here_see_what_the_library_gives(ground, seen_by, name):
    seen = seen_by(name, sys.executable)

    faults = {check: fault(wanted, seen.get(check), ground.truth) for check, wanted in CLIENTS[name].expects.items()}
    assert not {check: why for check, why in faults.items() if why}
