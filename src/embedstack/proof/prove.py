"""An encoder, seen through the door alone, and the truth -> a report: how near it is, and if it is not, why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from embedstack.inputs.text import TextInput
from embedstack.modelspec import ModelSpec, Output, Precision
from embedstack.proof.asking import Asking, Made, groups
from embedstack.proof.diagnosis import Diagnosis, Trials
from embedstack.proof.fidelity import Fidelity, fidelity, precision_of
from embedstack.proof.kept import Truth, due
from embedstack.proof.probes import Probe, probes
from embedstack.proof.proving import HALF, Proving
from embedstack.types import Encoder, Floats

ALONE = (
    "word", "short", "short-query", "cyrillic", "numbers", "past-128", "p-word", "q-tides d-tides", "p-past-128",
    "image-checkers", "image-wide",
)  # fmt: skip
UNTRIED = Diagnosis(verdict="right", says="no known mistake was tried")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found.

    Args:
        precision: whose limits were applied, and `judged_as` says why that.
        failures: what is beyond the limits, in words; empty means proven.
        is_texts_alone: whether it refused the pictures, so that nothing is known of those.
        notes: what could not be asked.
    """

    spec: ModelSpec
    precision: Precision
    judged_as: str
    rows: tuple[Fidelity, ...]
    failures: tuple[str, ...]
    diagnosis: Diagnosis
    is_texts_alone: bool = False
    notes: tuple[str, ...] = ()

    @property
    def is_proven(self) -> bool:
        """Whether everything that was answered is as it should be."""
        return not self.failures

    @property
    def verdict(self) -> str:
        """In words."""
        if not self.is_proven:
            return "not proven"
        return "proven for texts only, not for images" if self.is_texts_alone else "proven"


async def prove(
    encoder: Encoder,
    spec: ModelSpec,
    truth: Truth,
    folder: Path,
    *,
    precision: Precision | None = None,
    is_ours: bool = False,
    proving: Proving | None = None,
) -> Report:
    """Embed the probes and compare them with the truth; where they differ, say why.

    Args:
        folder: weights and tokeniser, to try faults with.
        precision: what it is held to; what the fingerprint says if None.
        is_ours: a graph that was built here from this spec, so the limits decide and no mistake of others is tried.
        proving: is told how far it is.
    Raises:
        Mismatch: vectors of another width or space, or of two fingerprints; or the truth is not what the weights give.
    """
    step = (proving or Proving()).step
    trials = Trials(spec, folder, truth, step)  # refuses a truth that is none before anybody is asked
    wanted = [
        p for p in probes(spec).all
        if all(p.name in rows for output, rows in _single(truth).items() if due(output, [p.name]))
    ]  # fmt: skip
    singly = [p for p in wanted if p.name in ALONE]
    asking = Asking(encoder, spec, partial(step, HALF / max(1, len(groups(wanted)) + len(singly))))
    made = await asking.together(wanted)
    judged = made[spec.outputs[0]]
    alone = await asking.alone([p for p in singly if p.name in judged])
    held, why = (precision, "as asked") if precision else precision_of(spec, asking.fingerprint)
    rows = tuple(_compared(spec, output, truth, made, alone) for output in made)
    refused, notes = _refusals(asking.refused, spec, folder)
    found = UNTRIED if is_ours else trials.judge(judged, held)
    return Report(
        spec=spec,
        precision=held,
        judged_as=why,
        rows=rows,
        failures=(*(text for row in rows for text in row.fails(held)), *refused, *_unlike(found, rows, held)),
        diagnosis=_beyond(found, [row.worst for row in rows if row.fails(held)], is_refusing=bool(refused)),
        is_texts_alone=asking.is_texts_alone,
        notes=(*asking.notes, *notes),
    )


def _refusals(refused: Mapping[Probe, str], spec: ModelSpec, folder: Path) -> tuple[list[str], list[str]]:
    """Failures and notes: a text that the model takes must be taken; one past its limit may be refused."""
    failures, notes = [], []
    encodings = TextInput(folder, spec).encode([probe.item for probe in refused]) if refused else []
    for (probe, why), encoding in zip(refused.items(), encodings, strict=True):
        if encoding.dropped:
            notes.append(f"{probe.name} is left out, since the endpoint refuses it: {why}")
        else:
            tokens = f"{probe.name!r} has {encoding.cost} tokens, {spec.name!r} takes {spec.max_tokens}"
            failures.append(f"{tokens}, and the endpoint refuses it: {why}")
    return failures, notes


def _unlike(found: Diagnosis, rows: Sequence[Fidelity], held: Precision) -> list[str]:
    """A fault that no limit shows."""
    if found.verdict == "right" or any(row.fails(held) for row in rows):
        return []
    return [f"every limit of {held} is kept, and yet {found.says}"]


def _beyond(found: Diagnosis, worst: Sequence[str], *, is_refusing: bool) -> Diagnosis:
    """The right recipe in words that say what is wrong all the same."""
    wrong = [f"beyond the limits, most at {worst[0]!r}"] if worst else []
    wrong += ["refuses texts that the model takes"] if is_refusing else []
    if found.verdict != "right" or not wrong:
        return found
    return replace(found, says=f"it is near the model's own recipe, but {' and '.join(wrong)}")


def _single(truth: Truth) -> Mapping[Output, Mapping[str, Floats]]:
    """The outputs that every probe has: vectors for each token are kept for some only."""
    return {output: rows for output, rows in truth.rows.items() if output != "multi"}


def _compared(spec: ModelSpec, output: Output, truth: Truth, made: Made, alone: Made) -> Fidelity:
    set_ = probes(spec)
    rows = {name: row for name, row in made[output].items() if name in truth.rows[output]}
    return fidelity(
        output,
        truth.rows[output],
        rows,
        alone={name: row for name, row in alone.get(output, {}).items() if name in rows},
        queries=set_.queries,
        documents=set_.documents,
        is_unit=spec.normalize,
    )
