"""The cases of all families' test modules, for what must hold of every family: a family that is added is among them."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from support.families import FamilyTests, Tiny

MODELS = Path(__file__).parents[1] / "models"


@dataclass(frozen=True)
class Folder:
    """A small folder of a row of FAMILIES."""

    row: str
    case: Tiny
    tests: type[FamilyTests]

    @property
    def kind(self) -> str:
        """What the model gives: an output, or `labels` of a classifier."""
        names = self.case.config.get("id2label", {})
        return "labels" if isinstance(names, Mapping) and len(names) > 1 else self.case.output

    def write(self, to: Path) -> Path:
        return self.tests.placed(self.case, to)


@cache
def folders() -> Mapping[str, Folder]:
    """All of them, by the name of the case."""
    every = [Folder(tests().family_of(case), case, tests) for tests in _tests() for case in tests.cases]
    return {one.case.name: one for one in every}


def one_of_each_kind() -> Mapping[str, Folder]:
    """The first case of each row of FAMILIES and of each kind of model in it."""
    seen: dict[tuple[str, str], str] = {}
    for name, one in folders().items():
        if not one.case.image:
            seen.setdefault((one.row, one.kind), name)
    return {name: folders()[name] for name in seen.values()}


def _tests() -> Iterator[type[FamilyTests]]:
    for path in sorted(MODELS.glob("test_*.py")):
        if "(FamilyTests)" in path.read_text("utf-8"):
            found = [value for value in vars(_module(path)).values() if isinstance(value, type)]
            yield from (value for value in found if issubclass(value, FamilyTests) and value is not FamilyTests)


def _module(path: Path) -> ModuleType:
    """Under a name of its own, so that pytest still collects the file itself."""
    name = f"cases_of_{path.stem}"
    if name not in sys.modules:
        spec = spec_from_file_location(name, path)
        assert spec
        assert spec.loader
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
