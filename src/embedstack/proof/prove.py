"""An encoder, seen through the door alone, and the truth -> a report: how near it is, and if it is not, why."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from embedstack.errors import BadRequest, Mismatch, Unsupported
from embedstack.proof.diagnosis import Diagnosis, asked_for, diagnose
from embedstack.proof.fidelity import Fidelity, fidelity, of_sparse, precision_of
from embedstack.proof.kept import Truth
from embedstack.proof.probes import Probe, probes
from embedstack.types import DENSE, Encode, Encoded, Encoder, Floats, ModelSpec, Output, Pair, Precision, Score, Text

MOST_ITEMS = 32  # in one request: what a TEI server takes unless it was told otherwise
ALONE = ("word", "short", "short-query", "cyrillic", "numbers", "past-128", "p-word", "q-tides d-tides", "p-past-128")
Made = dict[Output, dict[str, Floats]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found.

    Args:
        precision: whose limits were applied, and `judged_as` says why that.
        failures: what is beyond the limits, in words; empty means proven.
        notes: what could not be asked.
    """

    spec: ModelSpec
    precision: Precision
    judged_as: str
    rows: tuple[Fidelity, ...]
    failures: tuple[str, ...]
    diagnosis: Diagnosis
    notes: tuple[str, ...] = ()

    @property
    def is_proven(self) -> bool:
        """Whether everything that was asked for is as it should be."""
        return not self.failures


async def prove(
    encoder: Encoder, spec: ModelSpec, truth: Truth, folder: Path, *, precision: Precision | None = None
) -> Report:
    """Embed the probes and compare them with the truth; where they differ, say why.

    Args:
        folder: weights and tokeniser, to try faults with.
        precision: what it is held to; what the fingerprint says if None.
    Raises:
        Mismatch: vectors of another width, or of another space.
    """
    asking = _Asking(encoder, spec)
    wanted = [p for p in probes(spec).all if all(p.name in rows for rows in _single(truth).values())]
    made = await asking.together(wanted)
    alone = await asking.alone([p for p in wanted if p.name in ALONE])
    held, why = (precision, "as asked") if precision else precision_of(spec, asking.fingerprint)
    rows = tuple(_compared(spec, output, truth, made, alone) for output in made)
    failures = [text for row in rows for text in row.fails(held)]
    read = {probe.name for probe in asked_for(spec)}
    judged = made["score" if spec.task == "rerank" else "dense"]
    found = diagnose(spec, folder, truth, {name: row for name, row in judged.items() if name in read}, held)
    if found.verdict != "right" and not failures:
        failures.append(f"every limit of {held} is kept, and yet {found.says}")
    return Report(
        spec=spec,
        precision=held,
        judged_as=why,
        rows=rows,
        failures=tuple(failures),
        diagnosis=found,
        notes=tuple(asking.notes),
    )


def _single(truth: Truth) -> Mapping[Output, Mapping[str, Floats]]:
    """The outputs that every probe has."""
    return {output: rows for output, rows in truth.rows.items() if output in ("dense", "score")}


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
    )


class _Asking:
    """Requests through the door, and what was learnt from their answers."""

    def __init__(self, encoder: Encoder, spec: ModelSpec) -> None:
        self._encoder, self._spec = encoder, spec
        self._outputs = frozenset(spec.outputs)
        self.fingerprint = ""
        self.notes: list[str] = []
        self._raw = True  # logits, as long as the endpoint gives them

    async def together(self, wanted: Sequence[Probe]) -> Made:
        """In requests of one role each, since many servers take one role at a time."""
        made: Made = {}
        for group in _groups(wanted):
            try:
                _add(made, group, await self._answer(group))
            except BadRequest as error:
                if not _is_long(group[0]):
                    raise
                self.notes.append(f"{group[0].name} is left out, since the endpoint refuses it: {error}")
        return made

    async def alone(self, wanted: Sequence[Probe]) -> Made:
        """Each in a request of its own."""
        made: Made = {}
        for probe in wanted:
            _add(made, [probe], await self._answer([probe]))
        return made

    async def _answer(self, group: Sequence[Probe]) -> dict[Output, list[Floats]]:
        if self._spec.task == "rerank":
            return {"score": list(await self._scores(group))}
        try:
            answer = await self._encoded(group)
        except Unsupported:
            if self._outputs == DENSE:
                raise
            self.notes.append("it gives dense vectors only; its other outputs are not proven")
            self._outputs = DENSE
            answer = await self._encoded(group)
        return _rows(answer)

    async def _encoded(self, group: Sequence[Probe]) -> Encoded:
        items = tuple(probe.item for probe in group if isinstance(probe.item, Text))
        answer = await self._encoder.encode(Encode(model=self._spec.name, items=items, outputs=self._outputs))
        self._note(answer.spec, answer.fingerprint)
        if answer.dense is not None and answer.dense.shape[1] != self._spec.dim:
            raise Mismatch(
                f"the endpoint gives vectors of {answer.dense.shape[1]} numbers, {self._spec.name!r} has "
                f"{self._spec.dim}; it serves another model, or cuts vectors"
            )
        return answer

    async def _scores(self, group: Sequence[Probe]) -> Floats:
        items = tuple(probe.item for probe in group if isinstance(probe.item, Pair))
        try:
            answer = await self._encoder.score(Score(model=self._spec.name, items=items, raw_scores=self._raw))
        except Unsupported:
            if not self._raw:
                raise
            self._raw = False
            return await self._scores(group)
        self._note(answer.spec, answer.fingerprint)
        scores = answer.scores if self._raw else logits(answer.scores, self._spec)
        return scores[:, None]

    def _note(self, spec: ModelSpec, fingerprint: str) -> None:
        if spec.space != self._spec.space:
            raise Mismatch(
                f"the endpoint answers in the space {spec.space}, {self._spec.name!r} is {self._spec.space}; "
                "it serves another model, or one that is read in another way"
            )
        self.fingerprint = fingerprint


def logits(scores: Floats, spec: ModelSpec) -> Floats:
    """What scores were before their activation; for one that float32 rounds to 0 or 1, the last that it does not."""
    if spec.score_activation == "identity":
        return scores
    last = np.finfo(np.float32).eps
    shares = np.clip(scores.astype(np.float64), last, 1 - last)
    return np.asarray(np.log(shares / (1 - shares)), np.float32)


def _groups(wanted: Sequence[Probe]) -> list[list[Probe]]:
    """Of one role and of a size that servers take; what may be refused for its length stands alone."""
    role: Callable[[Probe], str] = lambda p: p.item.role if isinstance(p.item, Text) else ""  # noqa: E731
    usual = sorted((p for p in wanted if not _is_long(p)), key=role)
    groups = [[p] for p in wanted if _is_long(p)]
    for _, members in groupby(usual, key=role):
        group = list(members)
        groups += [group[start : start + MOST_ITEMS] for start in range(0, len(group), MOST_ITEMS)]
    return groups


def _is_long(probe: Probe) -> bool:
    return "past-" in probe.name


def _add(made: Made, group: Sequence[Probe], rows: Mapping[Output, Sequence[Floats]]) -> None:
    for output, values in rows.items():
        if len(values) != len(group):
            raise Mismatch(f"the endpoint gave {len(values)} {output} rows for {len(group)} texts; it loses some")
        made.setdefault(output, {}).update(zip([probe.name for probe in group], values, strict=True))


def _rows(answer: Encoded) -> dict[Output, list[Floats]]:
    made: dict[Output, list[Floats]] = {}
    if answer.dense is not None:
        made["dense"] = list(np.asarray(answer.dense, np.float32))
    if answer.sparse is not None:
        made["sparse"] = [of_sparse(sparse) for sparse in answer.sparse]
    if answer.multi is not None:
        made["multi"] = list(answer.multi)
    return made
