"""Vectors that are not as they should be -> what was done wrong, by trying it: or that this cannot be told."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np

from embedstack.errors import Mismatch
from embedstack.inputs.text import TextInput
from embedstack.models import encoder, family
from embedstack.models.heads import finish
from embedstack.models.weights import open_weights
from embedstack.modelspec import Architecture, ModelSpec, Output, Precision
from embedstack.proof.drawn import is_picture
from embedstack.proof.faults import Candidate, candidates
from embedstack.proof.fidelity import LENGTH, TINY, Array, distances, unit
from embedstack.proof.kept import Truth
from embedstack.proof.probes import PAST_LIMIT, Probe, probes
from embedstack.proof.proving import HALF
from embedstack.proof.truth import pack, readable
from embedstack.runtimes.numpy import NumpyOps
from embedstack.types import Encoding, Floats

SHORT = ("short", "short-query", "mixed-case", "case-query", "letter", "latin-query", "medium-query", "d-panda")
SHORT_PAIRS = ("q-bread d-yeast", "q-oven d-oven", "q-tides d-tides", "q-eclipse d-phases", "p-word", "p-case",
               "q-bread d-tides", "q-oven d-eclipse")  # fmt: skip
LONG = ("past-128", "past-256", "past-512", "p-past-128", "p-past-256", "p-past-512", *PAST_LIMIT)
CLEARLY = 4.0  # times as near: noise makes the right recipe seem that far off only if half of it points at the fault
ALIKE = 2.0  # candidates that fit within this of the best are all named: these probes cannot tell between them
SAME = 1e-13  # 1 - cosine of two recipes that are one: float32 rows are no nearer
KEPT = 1e-11  # 1 - cosine: of float64 computed on another processor, rounded to float32
SAMPLED, SHORT_TOKENS = 4, 64  # probes besides the short ones that are made again to see whether truth is true
STRANGE = 0.5  # 1 - cosine: of vectors that have nothing to do with each other it is about 1, less where rows are few
# 1 - cosine to its own recipe that a precision may show, ten times what its limits allow on average
NOISE: Mapping[Precision, float] = {
    "float64": 1e-6, "float32": 1e-6, "tf32": 1e-3, "bfloat16": 1e-3, "float16": 1e-3, "int8": 1e-2
}  # fmt: skip

Step = Callable[[float], object]
Verdict = Literal["right", "fault", "another model", "unknown"]
SAYS: Mapping[Verdict, str] = {
    "right": "it fits the model's own recipe",
    "another model": "it fits no recipe of this model: another model answers, or other weights",
    "unknown": "it is not as the model should be, and none of the known faults explains it",
}
MOVED = ("rows in another order", "gives rows in another order than their texts")
NO_NUMBER = "it gives what is not a finite number"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What the vectors fit.

    Args:
        names: faults that fit clearly better than the right recipe, best first; several if they cannot be told apart.
        hidden: faults that may be there too, since this precision's noise is larger than what they change.
        evidence: mean distance (1 - cosine; of scores, by their spread) to each recipe; "right" is the model's own.
    """

    verdict: Verdict
    names: tuple[str, ...] = ()
    says: str = ""
    hidden: tuple[str, ...] = ()
    evidence: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Fit:
    """How near a candidate comes, and how near the right recipe does on the same probes."""

    candidate: Candidate
    off: float
    right: float

    @property
    def share(self) -> float:
        """Of the right recipe's distance; the less, the better it fits."""
        return self.off / max(self.right, TINY)

    @property
    def is_clear(self) -> bool:
        """Whether it fits clearly better than the right recipe."""
        return self.off * CLEARLY <= self.right

    @property
    def is_hidden(self) -> bool:
        """Neither of the two fits clearly better."""
        return self.right * CLEARLY > self.off and not self.is_clear


def asked_for(spec: ModelSpec) -> tuple[Probe, ...]:
    """The probes that candidates are tried on; the late one only if somebody made it."""
    return probes(spec).named(*SHORT, *SHORT_PAIRS, *LONG)


def _judge(
    spec: ModelSpec, fits: Sequence[_Fit], right: float, noise: float, lengths: tuple[str, str] | None, is_moved: bool
) -> Diagnosis:
    evidence = {"right": right, **{fit.candidate.name: fit.off for fit in fits}}
    if is_moved:
        return Diagnosis(verdict="fault", names=MOVED[:1], says=f"it {MOVED[1]}", evidence=evidence)
    clear = [fit for fit in fits if fit.is_clear and fit.off <= noise]
    if clear:
        nearest = min(fit.share for fit in clear)
        named = sorted((fit for fit in clear if fit.share <= ALIKE * nearest), key=lambda fit: fit.share)
        told = [(fit.candidate.name, fit.candidate.says) for fit in named]
        says = "it " + ", or it ".join(text for _, text in told)
        if lengths:
            told.append(lengths)
            says += f"; also, it {lengths[1]}"
        return Diagnosis(verdict="fault", names=tuple(name for name, _ in told), says=says, evidence=evidence)
    if not right <= noise:
        is_strange = spec.task == "embed" and min(evidence.values()) >= STRANGE
        verdict: Verdict = "another model" if is_strange else "unknown"
        return Diagnosis(verdict=verdict, says=SAYS[verdict], evidence=evidence)
    hidden = tuple(fit.candidate.name for fit in fits if fit.is_hidden)
    if lengths:
        name, says = lengths
        return Diagnosis(verdict="fault", names=(name,), says=f"it {says}", hidden=hidden, evidence=evidence)
    return Diagnosis(verdict="right", says=SAYS["right"], hidden=hidden, evidence=evidence)


def _lengths(spec: ModelSpec, truth: Mapping[str, Floats], made: Mapping[str, Floats]) -> tuple[str, str] | None:
    """Whether vectors have another length than they should, which no cosine sees; as name and sentence."""
    names = [name for name in made if name in truth]
    found, raw = (np.array([np.linalg.norm(rows[name]) for name in names]) for rows in (made, truth))
    if spec.normalize and np.abs(found - 1).max() > LENGTH:
        return "not normalised", "does not bring vectors to length 1"
    if not spec.normalize and np.abs(found - 1).max() <= LENGTH < np.abs(raw - 1).max():
        return "normalised", "brings vectors to length 1, which the model does not"
    return None


def _nothing(share: float) -> None:
    """Nobody watches."""


class Trials:
    """What every candidate gives for the probes; computed once, for as many endpoints as there are to judge.

    Args:
        step: told of each weight before it is read, with its share of the comparison; what it raises ends it.
    Raises:
        Mismatch: the truth that was kept is not what these weights give.
    """

    def __init__(self, spec: ModelSpec, folder: Path, truth: Truth, step: Step = _nothing) -> None:
        self._spec, self._folder, self._weights = spec, folder, open_weights(folder)
        self._step = partial(step, HALF / len(self._weights.names()))
        self._output: Output = spec.outputs[0]
        self._truth = self._comparable(truth.rows[self._output])
        self._probes = [probe for probe in asked_for(spec) if probe.name in self._truth]
        self._right = self._read(self._probes)
        self._spread = max(float(np.ptp([*self._truth.values()])), TINY)
        self._hidden: dict[tuple[Architecture, bytes, bytes, bytes], Array] = {}  # pooling candidates share one
        self._require_true()

    def _comparable(self, rows: Mapping[str, Floats]) -> Mapping[str, Floats]:
        """Lexical weights as rows over the vocabulary; all others as they are."""
        if self._output != "sparse":
            return rows
        return {name: _spread(row, self._spec.architecture.vocab) for name, row in rows.items()}

    def _read(self, asked: Sequence[Probe]) -> dict[str, Encoding]:
        return readable(self._spec, TextInput(self._folder, self._spec).encode, asked)

    def _require_true(self) -> None:
        """A truth that is not would make the wrong recipe look right, and the right one wrong."""
        short = {name: encoding for name, encoding in self._right.items() if name not in LONG} | self._sample()
        again = dict(zip(short, self._run(self._spec, list(short.values())), strict=True))
        if again and not self._off(self._truth, again) <= KEPT:
            raise Mismatch(
                f"the truth that was kept for {self._spec.name!r} is not what its weights give; remove truth.npz "
                f"beside them, or truth/{self._spec.space}.npz in the cache, to have it made anew"
            )

    def _sample(self) -> dict[str, Encoding]:
        """A few of the other probes from all over the set; which ones, the space decides."""
        known = {*self._right, *LONG}
        texts = [p for p in probes(self._spec).all if not is_picture(p.name)]
        others = [p for p in texts if p.name in self._truth and p.name not in known]
        few = [(name, e) for name, e in self._read(others).items() if e.cost <= SHORT_TOKENS]
        step = max(1, len(few) // SAMPLED)
        return dict(few[int(self._spec.space, 16) % step :: step][:SAMPLED])

    @cached_property
    def _tried(self) -> list[tuple[Candidate, dict[str, Floats]]]:
        """The candidates that change something, and what they give."""
        tried = [(candidate, self._rows(candidate)) for candidate in candidates(self._spec, self._folder)]
        return [(c, rows) for c, rows in tried if rows and self._off(self._truth, rows) > SAME]

    def judge(self, made: Mapping[str, Floats], precision: Precision) -> Diagnosis:
        """What the vectors fit.

        Args:
            made: by probe name, vectors (dim,), logits (labels,) or lexical weights (terms, 2); of those in
                `asked_for(spec)` at least.
            precision: what they were made in: how far off the right recipe may be.
        """
        made = self._comparable(made)
        if not all(np.isfinite(row).all() for row in made.values()):
            return Diagnosis(verdict="unknown", says=NO_NUMBER)
        fits = [fit for candidate, rows in self._tried if (fit := self._fit(candidate, rows, made)) is not None]
        right = self._off(made, {name: self._truth[name] for name in self._right if name in made})
        lengths = _lengths(self._spec, self._truth, made) if self._output == "dense" else None
        return _judge(self._spec, fits, right, NOISE[precision], lengths, self._is_moved(made, NOISE[precision]))

    def _is_moved(self, made: Mapping[str, Floats], noise: float) -> bool:
        """Whether rows are clearly nearer to those of other probes, and each of these is taken once.

        Scores are too alike to tell.
        """
        names = [name for name in made if name in self._truth]
        if self._output == "score" or not names:
            return False
        rows, true = (unit(np.stack([np.asarray(side[n], np.float64) for n in names])) for side in (made, self._truth))
        first = np.argmax(true @ true.T >= 1 - SAME, axis=1)  # of texts that are one to the model
        apart = 1 - rows @ true.T
        nearest = np.argmin(apart, axis=1)
        is_another_order = np.array_equal(np.sort(first[nearest]), np.sort(first)) and (first[nearest] != first).any()
        off, right = apart.min(axis=1).mean(), np.diagonal(apart).mean()
        return bool(is_another_order and off <= noise and off * CLEARLY <= right)

    def _fit(self, candidate: Candidate, rows: Mapping[str, Floats], made: Mapping[str, Floats]) -> _Fit | None:
        """None where nothing was made that could show it."""
        there = {name: row for name, row in rows.items() if name in made}
        if not there:
            return None
        right = {name: self._truth[name] for name in there}
        return _Fit(candidate, off=self._off(made, there), right=self._off(made, right))

    def _off(self, made: Mapping[str, Floats], rows: Mapping[str, Floats]) -> float:
        """The mean distance over the probes of `rows`."""
        one, other = (np.stack([np.asarray(side[name], np.float64) for name in rows]) for side in (made, rows))
        if self._output == "score":
            return float(np.mean(((one - other) / self._spread) ** 2) / 2)
        return float(distances(one, other).mean())

    def _rows(self, candidate: Candidate) -> dict[str, Floats]:
        """By probe; the truth itself where the candidate reads a text as the model does and computes the same."""
        read = [probe for probe in self._probes if (probe.name in LONG) == (candidate.reads == "long")]
        encodings = readable(self._spec, candidate.encode, read) if read else {}
        a = candidate.spec.architecture
        fitting = {name: e for name, e in encodings.items() if e.cost <= a.positions - a.position_offset}
        changed = {
            name: e for name, e in fitting.items() if candidate.spec != self._spec or not _same(e, self._right[name])
        }
        made = dict(zip(changed, self._run(candidate.spec, list(changed.values())), strict=True))
        return {name: made[name] if name in made else self._truth[name] for name in fitting}

    def _run(self, spec: ModelSpec, encodings: Sequence[Encoding]) -> Sequence[Floats]:
        if not encodings:
            return []
        batch = pack(encodings)
        ops = NumpyOps(self._weights, batch, self._step)
        key = (spec.architecture, batch.ids.tobytes(), batch.segments.tobytes(), batch.offsets.tobytes())
        if key not in self._hidden:
            self._hidden[key] = encoder(ops, spec)
        made = finish(ops, spec, self._hidden[key], frozenset({self._output}), project=family(spec).dense)
        return list(made[self._output].astype(np.float32))


def _spread(bag: Floats, vocab: int) -> Floats:
    """(terms, 2) ids and weights -> (vocab,)."""
    if len(bag) and not 0 <= bag[:, 0].min() <= bag[:, 0].max() < vocab:
        raise Mismatch(f"the endpoint gives weights of ids outside 0..{vocab - 1}; it serves another model")
    row = np.zeros(vocab, np.float32)
    row[bag[:, 0].astype(np.int64)] = bag[:, 1]
    return row


def _same(one: Encoding, other: Encoding) -> bool:
    first, second = pack([one]), pack([other])
    return bool(np.array_equal(first.ids, second.ids) and np.array_equal(first.segments, second.segments))
