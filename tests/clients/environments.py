"""Environments of foreign clients: each one's pinned packages in, a folder of its own with its interpreter out.

python tests/clients/environments.py            # makes those that are not there yet
python tests/clients/environments.py cohere     # or only some

They are kept in the folder EMBEDSTACK_CLIENTS, else in the user's cache. Another pin is another folder.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
VARIABLE = "EMBEDSTACK_CLIENTS"
READY = "ready"  # written last, so that half an environment is made again


class Broken(Exception):
    """A program that did not reach its end."""


@dataclass(frozen=True)
class Client:
    """A row of environments.toml: a program that uses packages only as their documentation says."""

    name: str
    shown: str
    base: str  # what follows the server's address in the base URL
    lines: str  # what a user writes
    calls: str  # what the program calls
    expects: Mapping[str, str]  # of each check; see judge.py
    packages: tuple[str, ...] = ()  # the client, pinned; none: the tests' own interpreter
    beside: tuple[str, ...] = ()  # what else is in its environment
    language: Literal["python", "node"] = "python"
    environment: str = ""  # the client whose environment this one shares
    note: str = ""
    limits: tuple[str, ...] = field(default=())  # what the client itself cannot do, whatever the server

    @property
    def all_packages(self) -> tuple[str, ...]:
        return self.packages + self.beside

    @property
    def folder(self) -> Path:
        kept = Path(os.environ.get(VARIABLE) or Path.home() / ".cache/embedstack-clients")
        pins = "\n".join([self.language, *sorted(self.all_packages)])
        return kept / f"{self.environment or self.name}-{hashlib.sha256(pins.encode()).hexdigest()[:10]}"

    @property
    def is_ready(self) -> bool:
        return not self.packages or (self.folder / READY).exists()

    @property
    def program(self) -> Path:
        return HERE / "programs" / f"with_{self.name}{'.mjs' if self.language == 'node' else '.py'}"

    def command(self, python: str = "") -> list[str]:
        """How its program is run: a Python script, or a module that node reads from its input."""
        if self.language == "node":
            return ["node", "--input-type=module", "-"]
        return [python or (str(self.folder / "bin/python") if self.packages else sys.executable), str(self.program)]


def clients() -> dict[str, Client]:
    """All of them, by name."""
    table = tomllib.loads((HERE / "environments.toml").read_text())
    lists = ("packages", "beside", "limits")
    return {
        name: Client(name=name, **{key: tuple(value) if key in lists else value for key, value in row.items()})
        for name, row in table.items()
    }


TOOLS = {
    "prism": Client(  # a server made of an OpenAPI document, see tests/compute/test_runpod_prism.py
        name="prism",
        shown="Prism",
        base="",
        lines="",
        calls="",
        expects={},
        packages=("@stoplight/prism-cli@5.16.0",),
        language="node",
    )
}
"""What tests run beside clients, in environments of the same kind."""


def make(client: Client) -> None:
    """Its folder, if it is not there yet."""
    if client.is_ready:
        return
    shutil.rmtree(client.folder, ignore_errors=True)
    client.folder.mkdir(parents=True)
    if client.language == "node":
        quietly = ("--silent", "--no-fund", "--no-audit")
        _run("npm", "install", *quietly, "--prefix", str(client.folder), *client.all_packages)
    else:
        _run(sys.executable, "-m", "venv", str(client.folder))
        _run(str(client.folder / "bin/python"), "-m", "pip", "install", "--quiet", *client.all_packages)
    (client.folder / READY).touch()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")


if __name__ == "__main__":
    known = clients() | TOOLS
    for name in sys.argv[1:] or list(known):
        print(name, flush=True)
        make(known[name])
