"""An encoder, and texts as scripts have them -> vectors, scores, labels and tokens; with and without an event loop."""

from collections.abc import Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Protocol

from embedstack.engine.background import wait
from embedstack.errors import BadRequest, NotReady, Unsupported
from embedstack.modelspec import ModelSpec, Output, Task, Truncate
from embedstack.settings import DEFAULT_MODEL
from embedstack.types import (
    Classified,
    Classify,
    Encode,
    Encoded,
    Encoder,
    Image,
    Pair,
    Score,
    Scored,
    Text,
    Tokenize,
    Tokenized,
)

SMALL_RERANKER = "ms-marco-MiniLM-L6-v2"
EXAMPLES: dict[Task, str] = {"embed": DEFAULT_MODEL, "rerank": SMALL_RERANKER}
PURPOSES: dict[Task, str] = {"embed": "embedding", "rerank": "reranking", "classify": "classifying"}
VERBS: dict[Task, str] = {"embed": "encode", "rerank": "score", "classify": "classify"}


class Closable(Encoder, Protocol):
    """An Encoder that holds something until it is closed."""

    def close(self) -> Coroutine[object, object, None] | None: ...


class Model:
    """One model, for scripts. Every method has an `_async` twin for event loops; both may be used from any thread.

    Args:
        engine: holds the model; it is closed with this object.
        task: what the model is for, where it holds several; its first model if None.
    """

    def __init__(self, engine: Closable, task: Task | None = None) -> None:
        self._engine = engine
        self._is_open = True
        self.spec: ModelSpec = next(spec for spec in engine.models() if task in (None, spec.task))

    def encode(
        self, texts: str | Image | Sequence[str | Image], *, role: str = "document",
        outputs: Output | Sequence[Output] = "dense", dim: int | None = None, max_tokens: int | None = None,
        truncate: Truncate = "right", normalize: bool | None = None, late_chunking: bool = False,
    ) -> Encoded:  # fmt: skip
        """Vectors in input order, with their spec, fingerprint and usage.

        Args:
            texts: one text or many; for a model of images, images too: `Image(bytes)`.
            role: query or document, or another of the model's prompts.
            outputs: one or more of dense, sparse, multi: those that the model has; or states, of all tokens, alone.
            dim: a width that the model was trained for (Matryoshka).
            max_tokens: a limit below the model's own.
            truncate: which end is cut from a text over the limit, or refuse it.
            normalize: bring rows to length 1; the model's own rule if None.
            late_chunking: the texts are parts of one, joined as they are; each is read with all of it around.
        Raises:
            BadRequest: an empty text, not a string, an unknown role, a broken image. TooLong: `truncate` is refuse.
            Unsupported: a reranker; an output or a width that the model does not have.
        """
        return wait(self.encode_async(
            texts, role=role, outputs=outputs, dim=dim, max_tokens=max_tokens, truncate=truncate, normalize=normalize,
            late_chunking=late_chunking,
        ))  # fmt: skip

    async def encode_async(
        self, texts: str | Image | Sequence[str | Image], *, role: str = "document",
        outputs: Output | Sequence[Output] = "dense", dim: int | None = None, max_tokens: int | None = None,
        truncate: Truncate = "right", normalize: bool | None = None, late_chunking: bool = False,
    ) -> Encoded:  # fmt: skip
        """As `encode`."""
        self._check("embed")
        return await self._engine.encode(Encode(
            model=self.spec.name, items=_items(texts, role),
            outputs=frozenset([outputs] if isinstance(outputs, str) else outputs), dim=dim,
            max_tokens=max_tokens, truncate=truncate, normalize=normalize, late_chunking=late_chunking,
        ))  # fmt: skip

    def score(
        self,
        query: str,
        documents: str | Sequence[str],
        *,
        max_tokens: int | None = None,
        truncate: Truncate = "right",
        raw_scores: bool = False,
    ) -> Scored:
        """The relevance of each document to the query, in input order; `.order` sorts them.

        Args:
            max_tokens: a limit for a query with its document, below the model's own.
            truncate: which end is cut from them, the longer first, or refuse.
            raw_scores: logits instead of the model's own activation.
        Raises:
            BadRequest: an empty text, not a string. TooLong: `truncate` is refuse.
            Unsupported: not a reranker.
        """
        return wait(self.score_async(
            query, documents, max_tokens=max_tokens, truncate=truncate, raw_scores=raw_scores
        ))  # fmt: skip

    async def score_async(
        self,
        query: str,
        documents: str | Sequence[str],
        *,
        max_tokens: int | None = None,
        truncate: Truncate = "right",
        raw_scores: bool = False,
    ) -> Scored:
        """As `score`."""
        self._check("rerank")
        asked = _text(query, "the query")
        return await self._engine.score(Score(
            model=self.spec.name, items=tuple(Pair(asked, text) for text in _texts(documents, "document")),
            max_tokens=max_tokens, truncate=truncate, raw_scores=raw_scores,
        ))  # fmt: skip

    def classify(
        self,
        texts: str | Sequence[str],
        *,
        max_tokens: int | None = None,
        truncate: Truncate = "right",
        raw_scores: bool = False,
    ) -> Classified:
        """Scores of all labels (`.spec.label_names`) for each text, in input order.

        Args:
            max_tokens, truncate: as for `encode`.
            raw_scores: logits instead of the model's own activation.
        Raises:
            BadRequest: an empty text, not a string. TooLong: `truncate` is refuse.
            Unsupported: not a classifier.
        """
        return wait(self.classify_async(texts, max_tokens=max_tokens, truncate=truncate, raw_scores=raw_scores))

    async def classify_async(
        self,
        texts: str | Sequence[str],
        *,
        max_tokens: int | None = None,
        truncate: Truncate = "right",
        raw_scores: bool = False,
    ) -> Classified:
        """As `classify`."""
        self._check("classify")
        return await self._engine.classify(Classify(
            model=self.spec.name, items=tuple(Text(text) for text in _texts(texts, "text")),
            max_tokens=max_tokens, truncate=truncate, raw_scores=raw_scores,
        ))  # fmt: skip

    def tokens(
        self,
        texts: str | Sequence[str],
        *,
        role: str = "document",
        max_tokens: int | None = None,
        truncate: Truncate = "right",
    ) -> Tokenized:
        """What the model reads of each text, and what truncation would cut of it (`.is_cut`).

        Raises:
            BadRequest: an empty text, not a string, an unknown role.
        """
        return wait(self.tokens_async(texts, role=role, max_tokens=max_tokens, truncate=truncate))

    async def tokens_async(
        self,
        texts: str | Sequence[str],
        *,
        role: str = "document",
        max_tokens: int | None = None,
        truncate: Truncate = "right",
    ) -> Tokenized:
        """As `tokens`."""
        self._check(None)
        return await self._engine.tokens(Tokenize(
            model=self.spec.name, items=tuple(Text(text, role) for text in _texts(texts, "text")),
            max_tokens=max_tokens, truncate=truncate,
        ))  # fmt: skip

    def _check(self, task: Task | None) -> None:
        if not self._is_open:
            raise NotReady(f"{self.spec.name!r} is closed; load it again")
        if task is not None and task != self.spec.task:
            example = f", for example {EXAMPLES[task]!r}" if task in EXAMPLES else ""
            raise Unsupported(
                f"{self.spec.name!r} is made for {PURPOSES[self.spec.task]} and cannot {VERBS[task]}; "
                f"take another model{example}"
            )

    def close(self) -> None:
        """Give the memory back; more than once does no harm."""
        if self._is_open:
            self._is_open = False
            closing = self._engine.close()
            if closing is not None:
                wait(closing)

    def __enter__(self) -> "Model":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _items(given: object, role: str) -> tuple[Text | Image, ...]:
    many = enumerate(_many(given))
    return tuple(one if isinstance(one, Image) else Text(_text(one, f"text {place}"), role) for place, one in many)


def _texts(given: object, what: str) -> list[str]:
    return [_text(one, f"{what} {place}") for place, one in enumerate(_many(given))]


def _many(given: object) -> Iterable[object]:
    """One or many; what a script hands over is not always what the signature says."""
    return [given] if isinstance(given, str) or not isinstance(given, Iterable) else given


def _text(given: object, what: str) -> str:
    if not isinstance(given, str):
        raise BadRequest(f"{what} is {type(given).__name__}, not a string; send text")
    return given
