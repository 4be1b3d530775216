"""Probes and an encoder, seen through the door alone -> the rows that it gives for them, and what was learnt of it."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

import numpy as np

from embedstack.errors import BadRequest, Mismatch, Unsupported
from embedstack.modelspec import ModelSpec, Output
from embedstack.proof.fidelity import of_sparse
from embedstack.proof.probes import Probe
from embedstack.types import (
    DENSE,
    Classified,
    Classify,
    Encode,
    Encoded,
    Encoder,
    Floats,
    Image,
    Pair,
    Score,
    Scored,
    Text,
)

MOST_ITEMS = 32  # in one request: what a TEI server takes unless it was told otherwise
Made = dict[Output, dict[str, Floats]]
"""By output, then by probe; see `fidelity.Rows`."""


def _nothing() -> None:
    """Nobody watches."""


class Asking:
    """Requests of one model, and what was learnt from their answers.

    Args:
        on_request: called before each; what it raises ends the asking.
    Attributes:
        fingerprint: of all replies; empty if they had none.
        refused: long probes that `together` was refused, and in which words.
        is_texts_alone: whether the pictures that were to be asked were refused.
        notes: what could not be asked.
    """

    def __init__(self, encoder: Encoder, spec: ModelSpec, on_request: Callable[[], object] = _nothing) -> None:
        self._encoder, self._spec, self._on_request = encoder, spec, on_request
        self._outputs = frozenset(spec.outputs)
        self._fingerprints: list[str] = []
        self.refused: dict[Probe, str] = {}
        self.is_texts_alone = False
        self.notes: list[str] = []
        self._raw = True  # logits, as long as the endpoint gives them

    @property
    def fingerprint(self) -> str:
        """What all replies claimed."""
        return self._fingerprints[0] if self._fingerprints else ""

    async def together(self, wanted: Sequence[Probe]) -> Made:
        """In requests of one role each, since many servers take one role at a time."""
        made: Made = {}
        for group in groups(wanted):
            try:
                _add(made, group, await self._answer(group))
            except BadRequest as error:
                if made and isinstance(error, Unsupported) and isinstance(group[0].item, Image):
                    self.is_texts_alone = True
                    self.notes.append(f"its images are not proven: {error}")
                elif _is_long(group[0]):
                    self.refused[group[0]] = str(error)
                else:
                    raise
        return made

    async def alone(self, wanted: Sequence[Probe]) -> Made:
        """Each in a request of its own."""
        made: Made = {}
        for probe in wanted:
            _add(made, [probe], await self._answer([probe]))
        return made

    async def _answer(self, group: Sequence[Probe]) -> dict[Output, list[Floats]]:
        self._on_request()
        if self._spec.task != "embed":
            return {"score": list(await self._scores(group))}
        try:
            answer = await self._encoded(group)
        except Unsupported:
            if self._outputs == DENSE or "dense" not in self._spec.outputs:
                raise
            self.notes.append("it gives dense vectors only; its other outputs are not proven")
            self._outputs = DENSE
            answer = await self._encoded(group)
        return _rows(answer)

    async def _encoded(self, group: Sequence[Probe]) -> Encoded:
        items = tuple(probe.item for probe in group if not isinstance(probe.item, Pair))
        outputs = DENSE if isinstance(items[0], Image) else self._outputs
        answer = await self._encoder.encode(Encode(model=self._spec.name, items=items, outputs=outputs))
        self._note(answer.spec, answer.fingerprint)
        if answer.dense is not None and answer.dense.shape[1] != self._spec.dim:
            raise Mismatch(
                f"the endpoint gives vectors of {answer.dense.shape[1]} numbers, {self._spec.name!r} has "
                f"{self._spec.dim}; it serves another model, or cuts vectors"
            )
        return answer

    async def _scores(self, group: Sequence[Probe]) -> Floats:
        """(probes, labels) logits."""
        try:
            answer = await self._scored(group)
        except Unsupported:
            if not self._raw or self._spec.score_activation == "softmax":  # which many logits could have become
                raise
            self._raw = False
            return await self._scores(group)
        self._note(answer.spec, answer.fingerprint)
        scores = answer.scores.reshape(len(group), -1)
        return scores if self._raw else logits(scores, self._spec)

    async def _scored(self, group: Sequence[Probe]) -> Scored | Classified:
        name, raw = self._spec.name, self._raw
        if self._spec.task == "classify":
            items = tuple(probe.item for probe in group if not isinstance(probe.item, Image))
            return await self._encoder.classify(Classify(model=name, items=items, raw_scores=raw))
        pairs = tuple(probe.item for probe in group if isinstance(probe.item, Pair))
        return await self._encoder.score(Score(model=name, items=pairs, raw_scores=raw))

    def _note(self, spec: ModelSpec, fingerprint: str) -> None:
        if spec.space != self._spec.space:
            raise Mismatch(
                f"the endpoint answers in the space {spec.space}, {self._spec.name!r} is {self._spec.space}; "
                "it serves another model, or one that is read in another way"
            )
        self._fingerprints.append(fingerprint)
        if len(told := sorted(set(self._fingerprints))) > 1:
            raise Mismatch(
                f"the replies carry two fingerprints, {' and '.join(each or 'none' for each in told)}: different "
                "servers or settings answer there, so prove each of them on its own"
            )


def logits(scores: Floats, spec: ModelSpec) -> Floats:
    """What scores were before their activation; for one that float32 rounds to 0 or 1, the last that it does not."""
    if spec.score_activation == "identity":
        return scores
    last = np.finfo(np.float32).eps
    shares = np.clip(scores.astype(np.float64), last, 1 - last)
    return np.asarray(np.log(shares / (1 - shares)), np.float32)


def groups(wanted: Sequence[Probe]) -> list[list[Probe]]:
    """Of one role or one kind and of a size that servers take; what may be refused for its length stands alone."""
    role: Callable[[Probe], str] = lambda p: (  # noqa: E731
        p.item.role if isinstance(p.item, Text) else "~" if isinstance(p.item, Image) else ""
    )  # pictures come last, so that an endpoint without them is known to give texts
    usual = sorted((p for p in wanted if not _is_long(p)), key=role)
    made = [[p] for p in wanted if _is_long(p)]
    for _, members in groupby(usual, key=role):
        group = list(members)
        made += [group[start : start + MOST_ITEMS] for start in range(0, len(group), MOST_ITEMS)]
    return made


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
