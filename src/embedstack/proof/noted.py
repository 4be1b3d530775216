"""int8 of a model that passed its proof on this machine -> a note in the cache; without it: proven once, or refused."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from embedstack.catalog.digests import write_whole
from embedstack.errors import ConfigError, Mismatch
from embedstack.modelspec import ModelSpec, Precision
from embedstack.proof.kept import kept
from embedstack.runtimes.int8 import METHOD
from embedstack.runtimes.processor import ELSEWHERE, int8_reason
from embedstack.types import Encoder

if TYPE_CHECKING:
    from embedstack.proof.prove import Report

ROUNDED: Precision = "int8"  # a graph of its own, whose fidelity the model decides: see docs/models.md
RUNTIME = ELSEWHERE[ROUNDED]
LIBRARIES = ("onnxruntime", "onnxruntime-gpu")  # what computes it, by the names that it is installed under
ALLOWED = "allow it with the setting allow_unproven (--allow-unproven, EMBEDSTACK_ALLOW_UNPROVEN=true)"
log = logging.getLogger(__name__)


class _Kept(msgspec.Struct, frozen=True):
    """What is read of a note; the rest of it is for people."""

    circumstances: list[str]


@dataclass(frozen=True, slots=True)
class Note:
    """That int8 of one model passed, here and now: another release, library or processor has to pass anew.

    Args:
        spec: under the model's own name.
        release: of this package.
    """

    spec: ModelSpec
    cache_dir: Path
    release: str

    def is_there(self) -> bool:
        """Whether it passed."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=_Kept).circumstances == self._circumstances
        except (OSError, msgspec.DecodeError):
            return False

    def write(self, report: Report) -> None:
        """Keep that it passed, and what it reached; nothing of a report that says less than that."""
        if report.precision != ROUNDED or report.verdict != "proven":
            return
        content = {
            "model": self.spec.name,
            "circumstances": self._circumstances,
            "date": datetime.now(timezone.utc).date().isoformat(),
            "reached": [asdict(row) for row in report.rows],
        }
        try:
            write_whole(self.path, json.dumps(content, indent=1).encode())
        except OSError as error:  # it costs the time to prove it again, and changes nothing
            log.warning("event=note_not_kept path=%s error=%s", json.dumps(str(self.path)), json.dumps(str(error)))

    @property
    def path(self) -> Path:
        """One small file for each model and circumstance."""
        digest = hashlib.sha256(repr(self._circumstances).encode()).hexdigest()[:32]
        return self.cache_dir / "proven" / f"{digest}.json"

    @property
    def _circumstances(self) -> list[str]:
        fingerprint = self.spec.fingerprint(ROUNDED, calibration=METHOD)
        return [fingerprint, f"embedstack {self.release}", _library(), int8_reason()]


def _library() -> str:
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            return f"{name} {version(name)}"
    return ""


def require_truth(note: Note, called: str) -> None:
    """Refuse int8 that cannot be proven, before anything of it is read.

    Args:
        called: the model, as a command would name it.
    Raises:
        ConfigError: there is no truth to prove it by.
    """
    if kept(note.spec, note.cache_dir) is None:
        command = f"embedstack models prove {called} --runtime {RUNTIME} --precision {ROUNDED}"
        raise ConfigError(
            f"{ROUNDED} of {note.spec.name!r} is not proven here; prove it first with `{command}`, or {ALLOWED}"
        )


def prove_once(encoder: Encoder, note: Note, folder: Path, say: Callable[[str], None]) -> None:
    """The full comparison, as `models prove --quick` makes it, and the note that spares the next start.

    Args:
        encoder: gives int8 of this model.
        folder: weights and tokeniser.
        say: takes a line for the person who waits.
    Raises:
        Mismatch: it is not near enough to the truth, or the truth that was kept is none.
    """
    from embedstack.proof.prove import prove  # reads faults and graphs, which a start with a note does without
    from embedstack.proof.truth import ensure

    spec = note.spec
    say(f"{spec.name}: proving {ROUNDED} once; remembered for the next start")
    log.info("event=proving model=%s precision=%s space=%s", spec.name, ROUNDED, spec.space)
    truth = ensure(spec, folder, note.cache_dir)
    with ThreadPoolExecutor(1) as beside:  # whoever loads a model may be inside an event loop, which has room for one
        work = prove(encoder, spec, truth, folder, precision=ROUNDED)
        report = beside.submit(asyncio.run, work).result()
    if not report.is_proven:
        raise Mismatch(
            f"{ROUNDED} of {spec.name!r} is not proven: {'; '.join(report.failures)}; take another precision, or "
            f"{ALLOWED}"
        )
    note.write(report)
