"""Running the commands as users do: in this process where only the outcome counts, else in one of their own."""

import json
import os
import subprocess
import sys

import numpy as np
from click.testing import CliRunner, Result

from embedstack import load
from embedstack.cli import cli

PATIENCE_S = 30
COMMAND = (sys.executable, "-m", "embedstack")
SPEED = {"EMBEDSTACK_PRECISION": "float32", "EMBEDSTACK_THREADS": "1"}


def settings_only(**settings: str) -> dict[str, str]:
    """This environment, but with these settings, the speed and no others."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(("EMBEDSTACK_", "HF_"))}
    return {**others, **SPEED, **settings}


def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
    """The outcome, whatever it is."""
    return CliRunner().invoke(cli, arguments, input=stdin)


def good(*arguments: str, stdin: str | bytes | None = None) -> Result:
    """The outcome of a command that must succeed."""
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def process(*arguments: str, stdin: bytes = b"", **options: object) -> subprocess.CompletedProcess[bytes]:
    """The outcome as the shell sees it."""
    return subprocess.run(
        [*COMMAND, *arguments], input=stdin, capture_output=True, timeout=PATIENCE_S, check=False, **options
    )


def vectors_of(output: str) -> np.ndarray:
    """The vectors of JSON lines."""
    return np.array([json.loads(line)["embedding"] for line in output.splitlines()], np.float32)


def wanted(folder: str, *texts: str) -> np.ndarray:
    """The vectors that the library gives."""
    with load(folder) as model:
        return model.encode(texts).dense
