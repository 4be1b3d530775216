"""A request becomes vectors made from hashes: an Encoder without a model, for tests that need vectors but not sense."""

import asyncio
import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import accumulate, pairwise

import numpy as np

from embedstack.errors import BadRequest, DeadlineExceeded, TooLong, UnknownModel, Unsupported
from embedstack.inputs.checks import MAX_TEXT_CHARS, check_pair, check_text
from embedstack.modelspec import Architecture, Input, ModelSpec, Output, Task, Truncate
from embedstack.testing import hashes
from embedstack.testing.hashes import VOCAB
from embedstack.types import (
    STATES,
    Classified,
    Classify,
    Decode,
    Decoded,
    Encode,
    Encoded,
    Floats,
    Image,
    Ints,
    Item,
    Link,
    Pair,
    Piece,
    Request,
    Score,
    Scored,
    Span,
    Text,
    Tokenize,
    Tokenized,
    Tokens,
    Usage,
)
from embedstack.watching import Load

LENGTH = 2.0  # of a vector that was not asked to be of length 1


def hash_spec(
    name: str = "hash",
    *,
    dim: int = 32,
    max_tokens: int = 256,
    cuts: tuple[int, ...] = (8, 16),
    revision: str = "1",
    inputs: tuple[Input, ...] = ("text",),
    outputs: tuple[Output, ...] = ("dense",),
) -> ModelSpec:
    """An embedding model that is only a name."""
    return ModelSpec(
        name=name,
        revision=revision,
        task="embed",
        architecture=_architecture(dim, max_tokens),
        inputs=inputs,
        outputs=outputs,
        dim=dim,
        max_tokens=max_tokens,
        weights=hashlib.sha256(name.encode()).hexdigest(),
        tokenizer="words",
        cuts=cuts,
        similarity="sigmoid" if set(inputs) == {"text", "image"} else "",
        logit_scale=10.0,
    )


def overlap_spec(name: str = "overlap", *, max_tokens: int = 256) -> ModelSpec:
    """A reranker that is only a name."""
    return _scorer(name, "rerank", max_tokens, ("LABEL_0",))


def labels_spec(
    name: str = "labels", *, labels: tuple[str, ...] = ("calm", "glad", "sad"), max_tokens: int = 256
) -> ModelSpec:
    """A classifier that is only a name: it finds the labels that are among the words."""
    return _scorer(name, "classify", max_tokens, labels)


def _scorer(name: str, task: Task, max_tokens: int, labels: tuple[str, ...]) -> ModelSpec:
    return ModelSpec(
        name=name,
        revision="1",
        task=task,
        architecture=_architecture(32, max_tokens),
        outputs=("score",),
        dim=0,
        max_tokens=max_tokens,
        weights=hashlib.sha256(name.encode()).hexdigest(),
        tokenizer="words",
        labels=len(labels),
        label_names=labels,
        score_activation="softmax" if len(labels) > 1 else "sigmoid",
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

    Pictures have vectors where the spec's `inputs` hold image, and there are sparse and multi vectors where its
    `outputs` do. Words of any text have states, asked for alone, and so has the special token that `tokens` shows; it
    counts towards nothing.

    Args:
        specs: one embedding model and one reranker, if there are none.
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

    def load(self) -> Load:
        """Never busy."""
        return Load(precisions={spec.name: "float32" for spec in self._specs})

    async def encode(self, request: Encode) -> Encoded:
        """Vectors made from sha256 of each text and its role, or of a picture's bytes."""
        spec = self._spec(request, ("embed",))
        _check_wish(request, spec)
        dim = _width(spec, request.dim)
        unit = spec.is_unit(request.normalize, dim)
        read = self._read_all(request, spec)
        await self._run(request)
        around = tuple(word for one in read for word in one.words) if request.late_chunking else ()
        dense = np.array([hashes.vector((one.role, *one.words, *around), spec.dim, dim) for one in read], np.float32)
        length, wanted = np.float32(1.0 if unit else LENGTH), request.outputs
        return Encoded(
            spec=spec,
            fingerprint=spec.fingerprint("float32", dim, normalize=unit, late_chunking=request.late_chunking),
            usage=self._usage(read),
            spans=_spans(read) if request.late_chunking else None,
            dense=dense.reshape(-1, dim) * length if "dense" in wanted else None,
            sparse=tuple(hashes.sparse(one.words) for one in read) if "sparse" in wanted else None,
            multi=tuple(hashes.multi(one.words, spec.dim) * length for one in read) if "multi" in wanted else None,
            states=tuple(_states(one, spec) for one in read) if wanted == STATES else None,
        )

    async def score(self, request: Score) -> Scored:
        """The share of the query's words that stand in the document; ties are broken by a hash."""
        spec = self._spec(request, ("rerank",))
        read = self._read_all(request, spec, most=request.document_tokens)
        await self._run(request)
        pairs = zip(request.items, read, strict=True)
        logits = np.array([hashes.relevance(pair.query, one.words) for pair, one in pairs], np.float32)
        return Scored(
            spec=spec,
            fingerprint=spec.fingerprint("float32"),
            usage=self._usage(read),
            scores=_scores(logits[:, None], spec, is_raw=request.raw_scores)[:, 0],
        )

    async def classify(self, request: Classify) -> Classified:
        """Labels that are among the words have the largest scores."""
        spec = self._spec(request, ("classify", "rerank"))
        read = self._read_all(request, spec)
        await self._run(request)
        logits = np.array([hashes.label_logits(one.words, spec.label_names) for one in read], np.float32)
        return Classified(
            spec=spec,
            fingerprint=spec.fingerprint("float32"),
            usage=self._usage(read),
            scores=_scores(logits.reshape(-1, spec.labels), spec, is_raw=request.raw_scores),
        )

    async def tokens(self, request: Tokenize) -> Tokenized:
        """Each word, after one special token."""
        spec = self._spec(request)
        side: Truncate = "left" if request.truncate == "left" else "right"
        read = self._read_all(request, spec, side)
        await self._run(request)
        special = (Piece(0, hashes.BEGIN, special=True),) if request.special_tokens else ()
        limit = self._limit(spec, request)
        items = tuple((*special, *_pieces(item, limit, side)) for item in request.items)
        return Tokenized(spec=spec, usage=self._usage(read), items=items)

    async def decode(self, request: Decode) -> Decoded:
        """The id as a number, so that texts of numbers come back; of id 0 the special token."""
        spec = self._spec(request)
        read = [_known(item.ids, place) for place, item in enumerate(request.items)]
        texts = tuple(" ".join(hashes.id_word(i) for i in ids if i or not request.skip_special_tokens) for ids in read)
        await self._run(request)
        return Decoded(spec=spec, usage=Usage(len(read), sum(len(ids) for ids in read)), texts=texts)

    async def close(self) -> None:
        """Nothing can be had afterwards."""
        self.alive = False

    def _spec(self, request: Request, tasks: Sequence[Task] = ()) -> ModelSpec:
        named = {spec.name: spec for spec in self._specs}
        spec = named.get(request.model)
        if spec is None:
            near = get_close_matches(request.model, named, n=1, cutoff=0.0)[0]
            raise UnknownModel(f"model {request.model!r} is not served here; the nearest is {near!r}")
        if tasks and spec.task not in tasks:
            raise Unsupported(f"model {spec.name!r} is made for the task {spec.task!r}; name another model")
        return spec

    def _read_all(
        self,
        request: Encode | Score | Classify | Tokenize,
        spec: ModelSpec,
        truncate: Truncate | None = None,
        *,
        most: int | None = None,
    ) -> list[_Read]:
        """What is left of each item.

        Args:
            most: words of a document; only these count here, so its own limit is one of the pair.
        """
        limit, how = self._limit(spec, request), truncate or request.truncate
        limit = limit if most is None else min(limit, most)
        return [_fit(*self._read(item, place, spec), limit, how, place) for place, item in enumerate(request.items)]

    @staticmethod
    def _limit(spec: ModelSpec, request: Request) -> int:
        return min(spec.max_tokens, request.max_tokens or spec.max_tokens)

    def _read(self, item: Item, place: int, spec: ModelSpec) -> tuple[tuple[str, ...], str]:
        """Its words and its role."""
        match item:
            case Text(text, role):
                check_text(text, f"text {place}", self._max_text_chars)
                return tuple(text.split()), role
            case Pair():
                check_pair(item, place, self._max_text_chars)
                return tuple(item.document.split()), "document"
            case Tokens(ids):
                return tuple(str(i) for i in _known(ids, place)), "document"
            case Image(data) if "image" in spec.inputs:
                return (hashlib.sha256(data).hexdigest(),), "image"
            case Image():
                raise Unsupported(f"item {place} is an image, and {spec.name!r} reads text; name another model")
            case Link():
                raise Unsupported(f"item {place} is a link that nobody followed; send the image itself")

    async def _run(self, request: Request) -> None:
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


def _check_wish(request: Encode, spec: ModelSpec) -> None:
    if request.late_chunking and not all(isinstance(item, Text) for item in request.items):
        raise Unsupported("late chunking reads the parts of one text; send texts alone")
    if request.outputs == STATES:
        return
    for output in sorted(request.outputs - set(spec.outputs)):
        raise Unsupported(f"model {spec.name!r} has no {output} vectors; ask for: {', '.join(spec.outputs)}")


def _states(read: _Read, spec: ModelSpec) -> Floats:
    """Of the special token and of each word."""
    return np.asarray(hashes.multi((hashes.BEGIN, *read.words), spec.dim) * LENGTH, np.float32)


def _spans(read: Sequence[_Read]) -> tuple[Span, ...]:
    """A word is a token."""
    ends = accumulate((len(one.words) for one in read), initial=0)
    return tuple(Span(number, start, stop) for number, (start, stop) in enumerate(pairwise(ends)))


def _width(spec: ModelSpec, dim: int | None) -> int:
    if dim is None or dim == spec.dim or dim in spec.cuts:
        return dim or spec.dim
    allowed = ", ".join(str(width) for width in (*spec.cuts, spec.dim))
    raise Unsupported(f"model {spec.name!r} has no vectors of width {dim}; ask for one of: {allowed}")


def _known(ids: Sequence[int], place: int) -> Sequence[int]:
    if not ids or min(ids) < 0 or max(ids) >= VOCAB:
        raise BadRequest(f"text {place} has a token id outside 0..{VOCAB - 1}; send the model's own ids")
    return ids


def _fit(words: tuple[str, ...], role: str, limit: int, truncate: Truncate, place: int) -> _Read:
    if len(words) <= limit:
        return _Read(words, role)
    if truncate == "refuse":
        raise TooLong(f"text {place} has {len(words)} tokens, the limit is {limit}; allow truncation or split it")
    kept = words[-limit:] if truncate == "left" else words[:limit]
    return _Read(kept, role, len(words) - limit)


def _pieces(item: Text | Pair, limit: int, side: Truncate) -> tuple[Piece, ...]:
    """The words of a text; of a pair those of the document, since only these count."""
    words = list(re.finditer(r"\S+", item.text if isinstance(item, Text) else item.document))
    first = max(0, len(words) - limit) if side == "left" else 0
    kept = range(first, first + limit)
    return tuple(
        Piece(hashes.word_id(m[0]), m[0], special=False, start=m.start(), stop=m.end(), is_cut=place not in kept)
        for place, m in enumerate(words)
    )


def _scores(logits: Floats, spec: ModelSpec, *, is_raw: bool) -> Floats:
    """(items, labels) in, and out."""
    if is_raw or spec.score_activation == "identity":
        return logits
    shares = np.exp(logits) if spec.score_activation == "softmax" else 1 / (1 + np.exp(-logits))
    whole = shares.sum(axis=1, keepdims=True) if spec.score_activation == "softmax" else 1
    return np.asarray(shares / whole, np.float32)


class WordRuler:
    """Counts as `HashEncoder` does: a word is a token. Satisfies `chunks.chunk.Ruler`."""

    added = 0
    adds_up = True

    def __init__(self, max_tokens: int = 256) -> None:
        self.max_tokens = max_tokens

    def offsets(self, texts: Sequence[str]) -> list[Ints]:
        """Of each text (words, 2)."""
        found = ([match.span() for match in re.finditer(r"\S+", text)] for text in texts)
        return [np.array(spans, np.int32).reshape(-1, 2) for spans in found]

    def count(self, texts: Sequence[str]) -> list[int]:
        """At least 1, as a request counts."""
        return [max(1, len(text.split())) for text in texts]
