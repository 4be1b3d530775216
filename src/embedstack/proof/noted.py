"""int8 of a model that passed its proof on this machine -> a note in the cache; without it: proven once, or refused."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import msgspec

from embedstack.catalog.digests import write_whole
from embedstack.errors import ConfigError, Mismatch
from embedstack.modelspec import ModelSpec, Precision
from embedstack.proof.kept import kept
from embedstack.proof.proving import Proving
from embedstack.runtimes.int8 import METHOD
from embedstack.runtimes.processor import ELSEWHERE, int8_reason
from embedstack.types import Encoder

if TYPE_CHECKING:
    from embedstack.proof.prove import Report

ROUNDED: Precision = "int8"  # a graph of its own, whose fidelity the model decides: see docs/models.md
RUNTIME = ELSEWHERE[ROUNDED]
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
    """What computes it; nothing where that is not installed, and then nothing is opened."""
    try:
        from embedstack.runtimes.onnx import library  # of an extra
    except ImportError:
        return ""
    return library()


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


def prove_once(encoder: Encoder, note: Note, folder: Path, say: Callable[[str], None], proving: Proving) -> None:
    """The comparison of `models prove --quick` by all limits, without a diagnosis, and the note that spares the next.

    Args:
        encoder: gives int8 of this model.
        folder: weights and tokeniser.
        say: takes a line for the person who waits.
        proving: says when it is to be left.
    Raises:
        NotReady: it was left.
        Mismatch: it is not near enough to the truth, or the truth that was kept is none.
    """
    spec = note.spec
    say(f"{spec.name}: proving {ROUNDED} once; remembered for the next start")
    log.info("event=proving model=%s precision=%s space=%s", spec.name, ROUNDED, spec.space)
    report = _beside(lambda: _report(encoder, note, folder, proving), proving)
    if not report.is_proven:
        raise Mismatch(
            f"{ROUNDED} of {spec.name!r} is not proven: {'; '.join(report.failures)}; take another precision, or "
            f"{ALLOWED}"
        )
    note.write(report)


def _report(encoder: Encoder, note: Note, folder: Path, proving: Proving) -> Report:
    from embedstack.proof.prove import prove  # reads faults and graphs, which a start with a note does without
    from embedstack.proof.truth import ensure

    proving.begin()
    truth = ensure(note.spec, folder, note.cache_dir, on_weight=proving.step)
    proving.begin()
    return asyncio.run(prove(encoder, note.spec, truth, folder, precision=ROUNDED, is_ours=True, proving=proving))


def _beside(work: Callable[[], Report], proving: Proving) -> Report:
    """In a thread of its own: whoever loads a model may be inside an event loop, and a thread has room for one.

    A daemon, and none of an executor: the interpreter waits for those before it tells anybody that it ends.
    """
    done: Future[Report] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # it ends the thread; who waits is told
            done.set_exception(error)

    thread = Thread(target=run, name="embedstack-proof", daemon=True)
    thread.start()
    try:
        return done.result()
    except BaseException:  # Ctrl-C, too
        proving.left.set()
        raise
    finally:
        thread.join()
