"""What a comparison showed -> the files beside the families that `models families` reads; with EMBEDSTACK_RECORD=1."""

import json
import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from embedstack.models import proofs_folder

RECORDS = bool(os.environ.get("EMBEDSTACK_RECORD"))
ROOT = Path(__file__).parents[2]
USUAL = ("transformers", "sentence-transformers", "torch")
_BEGUN: set[tuple[str, str]] = set()


def judges(*packages: str) -> str:
    """Who judges, in which versions."""
    return ", ".join(f"{name} {version(name)}" for name in packages or USUAL)


def note(family: str, case: str, what: str, off: float, *, heads: Sequence[str] = (), judge: str = "") -> None:
    """Keep what was proven, where it is asked for; call it after the assertion.

    Args:
        what: a runtime, or `mutation: ` and its name.
        off: how far off that runtime is.
        heads: what was compared: outputs, and `image` for vectors of pictures.
        judge: who said what is right, with versions, where that are not the usual ones; see `judges`.
    """
    if not RECORDS:
        return
    module = os.environ["PYTEST_CURRENT_TEST"].partition("::")[0]
    known = _known(family, module)
    rows = known["cases"].setdefault(case, {"module": module, "runtimes": {}, "mutations": []})
    rows |= {name: value for name, value in (("heads", sorted(heads)), ("judge", judge)) if value}
    if what.startswith("mutation: "):
        rows["mutations"] = sorted({*rows["mutations"], what.removeprefix("mutation: ")})
    else:
        rows["runtimes"][what] = float(f"{off:.1e}")
    _write(family, known)


def note_weights(family: str, model: str, off: float) -> None:
    """Keep how far off a published model with its real weights is, the most of all that was compared.

    Call it after the assertion. What was recorded of drawn weights stays as it is: whoever has the real ones need not
    have the judge.
    """
    if not RECORDS:
        return
    path = _path(family)
    known = json.loads(path.read_text()) if path.is_file() else {"judge": "", "cases": {}}
    weights = known.get("weights", {})
    before = weights.get(model, 0.0) if (family, model) in _BEGUN else 0.0
    _BEGUN.add((family, model))
    _write(family, {**known, "weights": {**weights, model: float(f"{max(off, before):.1e}")}})


def _known(family: str, module: str) -> dict[str, Any]:
    """What is kept so far, less what this module noted in earlier runs, and modules that are no more; nothing of
    other versions of the judge.
    """
    path = _path(family)
    known = json.loads(path.read_text()) if path.is_file() else {}
    if known.get("judge") != judges():
        known = {}
    cases = known.get("cases", {})
    if (family, module) not in _BEGUN:
        _BEGUN.add((family, module))
        cases = {name: rows for name, rows in cases.items() if _stays(rows.get("module", ""), module)}
    return {"judge": judges(), "cases": cases, "weights": known.get("weights", {})}


def _stays(noted_by: str, module: str) -> bool:
    return bool(noted_by) and noted_by != module and (ROOT / noted_by).is_file()


def _write(family: str, known: dict[str, Any]) -> None:
    _path(family).parent.mkdir(exist_ok=True)
    _path(family).write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def _path(family: str) -> Path:
    return proofs_folder() / f"{family}.json"
