"""A request becomes vectors made from hashes: an Encoder without a model, for tests that need vectors but not sense."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from embedstack.errors import BadRequest, DeadlineExceeded, TooLong, UnknownModel, Unsupported
from embedstack.inputs.text import MAX_TEXT_CHARS, check_text
from embedstack.types import (
    Architecture,
    Encode,
    Encoded,
    Floats,
    ModelSpec,
    Pair,
    Score,
    Scored,
    Text,
    Tokens,
    Truncate,
    Usage,
)

VOCAB = 1000
LENGTH = 2.0  # of a vector that was not asked to be of length 1
SHARPNESS = 8.0  # logits run from -4 (no word of the query is in the document) to 4 (all are)


def hash_spec(
    name: str = "hash", *, dim: int = 32, max_tokens: int = 256, cuts: tuple[int, ...] = (8, 16), revision: str = "1"
) -> ModelSpec:
    """An embedding model that is only a name."""
    return ModelSpec(
        name=name,
        revision=revision,
        task="embed",
        architecture=_architecture(dim, max_tokens),
        outputs=("dense",),
        dim=dim,
        max_tokens=max_tokens,
        weights=hashlib.sha256(name.encode()).hexdigest(),
        tokenizer="words",
        cuts=cuts,
    )


def overlap_spec(name: str = "overlap", *, max_tokens: int = 256) -> ModelSpec:
    """A reranker that is only a name."""
    return ModelSpec(
        name=name,
        revision="1",
        task="rerank",
        architecture=_architecture(32, max_tokens),
        outputs=("score",),
        dim=0,
        max_tokens=max_tokens,
        weights=hashlib.sha256(name.encode()).hexdigest(),
        tokenizer="words",
        labels=1,
    )


def _architecture(dim: int, max_tokens: int) -> Architecture:
    return Architecture(
        family="hash", layers=0, hidden=dim, heads=1, intermediate=dim, vocab=VOCAB, positions=max_tokens
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """What is left of an item after truncation."""

    words: tuple[str, ...]
    role: str
    dropped: int = 0


class HashEncoder:
    """Deterministic unit vectors from the words and the role; a word is a token. Satisfies `Encoder`.

    Args:
        run_s: how long a request occupies the device that is not there.
        clock: what deadlines are compared with.
    """

    def __init__(
        self,
        specs: Sequence[ModelSpec] = (),
        *,
        run_s: float = 0.0,
        max_text_chars: int = MAX_TEXT_CHARS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._specs = tuple(specs) or (hash_spec(), overlap_spec())
        self._run_s = run_s
        self._max_text_chars = max_text_chars
        self._clock = clock
        self.alive = True

    def models(self) -> tuple[ModelSpec, ...]:
        """The specs it was given."""
        return self._specs

    async def encode(self, request: Encode) -> Encoded:
        """Vectors made from sha256 of each text and its role."""
        spec = self._spec(request)
        if request.outputs != {"dense"}:
            raise Unsupported(f"model {spec.name!r} has dense vectors only; ask for dense")
        dim = _width(spec, request.dim)
        unit = spec.normalize if request.normalize is None else request.normalize
        read = [self._read(item, place, spec, request) for place, item in enumerate(request.items)]
        await self._run(request)
        rows = [_vector(one, spec.dim, dim) for one in read]
        dense = np.array(rows, np.float32).reshape(-1, dim) * np.float32(1.0 if unit else LENGTH)
        fingerprint = spec.fingerprint("float32", dim, normalize=unit)
        return Encoded(spec=spec, fingerprint=fingerprint, usage=self._usage(read), dense=dense)

    async def score(self, request: Score) -> Scored:
        """The share of the query's words that stand in the document; ties are broken by a hash."""
        spec = self._spec(request)
        read = [self._read(item, place, spec, request) for place, item in enumerate(request.items)]
        await self._run(request)
        logits = np.array([_logit(pair, one) for pair, one in zip(request.items, read, strict=True)], np.float32)
        raw = request.raw_scores or spec.score_activation == "identity"
        scores: Floats = logits if raw else np.asarray(1 / (1 + np.exp(-logits)), np.float32)
        return Scored(spec=spec, fingerprint=spec.fingerprint("float32"), usage=self._usage(read), scores=scores)

    async def close(self) -> None:
        """Nothing can be had afterwards."""
        self.alive = False

    def _spec(self, request: Encode | Score) -> ModelSpec:
        named = {spec.name: spec for spec in self._specs}
        spec = named.get(request.model)
        if spec is None:
            near = get_close_matches(request.model, named, n=1, cutoff=0.0)[0]
            raise UnknownModel(f"model {request.model!r} is not served here; the nearest is {near!r}")
        if (spec.task == "rerank") != isinstance(request, Score):
            raise Unsupported(f"model {spec.name!r} is made for the task {spec.task!r}; name another model")
        return spec

    def _read(self, item: Text | Tokens | Pair, place: int, spec: ModelSpec, request: Encode | Score) -> _Read:
        limit = min(spec.max_tokens, request.max_tokens or spec.max_tokens)
        match item:
            case Text(text, role):
                check_text(text, f"text {place}", self._max_text_chars)
                return _fit(tuple(text.split()), role, limit, request.truncate, place)
            case Pair(query, document):
                check_text(query, "the query", self._max_text_chars)
                check_text(document, f"document {place}", self._max_text_chars)
                return _fit(tuple(document.split()), "document", limit, request.truncate, place)
            case Tokens(ids):
                if not ids or min(ids) < 0 or max(ids) >= VOCAB:
                    raise BadRequest(f"text {place} has a token id outside 0..{VOCAB - 1}; send the model's own ids")
                return _fit(tuple(str(i) for i in ids), "document", limit, request.truncate, place)

    async def _run(self, request: Encode | Score) -> None:
        if self._run_s:
            await asyncio.sleep(self._run_s)
        if request.deadline is not None and self._clock() > request.deadline:
            raise DeadlineExceeded("the deadline passed before the request was done; allow more time or send less")

    def _usage(self, read: Sequence[_Read]) -> Usage:
        return Usage(
            items=len(read),
            tokens=sum(max(1, len(one.words)) for one in read),
            dropped=sum(one.dropped for one in read),
            truncated=sum(one.dropped > 0 for one in read),
            run_s=self._run_s,
        )


def _width(spec: ModelSpec, dim: int | None) -> int:
    if dim is None or dim == spec.dim or dim in spec.cuts:
        return dim or spec.dim
    allowed = ", ".join(str(width) for width in (*spec.cuts, spec.dim))
    raise Unsupported(f"model {spec.name!r} has no vectors of width {dim}; ask for one of: {allowed}")


def _fit(words: tuple[str, ...], role: str, limit: int, truncate: Truncate, place: int) -> _Read:
    if len(words) <= limit:
        return _Read(words, role)
    if truncate == "refuse":
        raise TooLong(f"text {place} has {len(words)} tokens, the limit is {limit}; allow truncation or split it")
    kept = words[-limit:] if truncate == "left" else words[:limit]
    return _Read(kept, role, len(words) - limit)


def _vector(read: _Read, full: int, dim: int) -> Floats:
    """Cut first and then brought to length 1, as Matryoshka vectors are."""
    seed = hashlib.sha256("\0".join((read.role, *read.words)).encode()).digest()
    row = np.random.default_rng(int.from_bytes(seed[:8], "little")).standard_normal(full)[:dim]
    return np.asarray(row / np.linalg.norm(row), np.float32)


def _logit(pair: Pair, read: _Read) -> float:
    query = set(pair.query.lower().split())
    share = len(query & {word.lower() for word in read.words}) / max(1, len(query))
    tie = hashlib.sha256(" ".join(read.words).encode()).digest()[0] / 25_600  # below a hundredth
    return SHARPNESS * (share - 0.5) + tie
