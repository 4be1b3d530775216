"""Texts, keys and shares -> the requests of a load: short interactive ones and bulk ones, as they will be offered."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Literal

from embedstack.catalog import Located
from embedstack.evals import sentences
from embedstack.inputs.text import TextInput
from embedstack.types import Text
from texts import xquad

Priority = Literal["interactive", "bulk"]
QUERY_TOKENS, PARAGRAPH_TOKENS = (10, 20), (60, 140)
QUERIES, PARAGRAPHS = 800, 160
ITEMS = (16, 32)  # of a bulk request
KEYS: Mapping[str, int] = {"heavy": 9, "light": 1}  # and what they offer, in tokens
INTERACTIVE = 0.2  # of the tokens offered
PATH = "/v1/embeddings"


@dataclass(frozen=True)
class Texts:
    """What is asked for, with the tokens of each; the queries come first."""

    queries: Sequence[str]
    paragraphs: Sequence[str]
    tokens: Sequence[int]

    @cached_property
    def all(self) -> list[str]:
        return [*self.queries, *self.paragraphs]


def texts_for(data: Path | None, model: Located) -> Texts:
    """XQuAD's, or our own words where it is not here; those of the usual lengths."""
    if data is None:
        queries, paragraphs = sentences.questions(QUERIES), sentences.long(PARAGRAPHS, 80)
    else:
        given = xquad(data, "en", 240, 1190)
        paragraphs, queries = given[:240], given[240:]
    reader = TextInput(model.folder, model.spec)

    def counted(texts: list[str]) -> list[int]:
        return [encoding.cost for encoding in reader.encode([Text(text, "document") for text in texts])]

    kept: list[tuple[str, int]] = []
    counts = []
    for texts, (least, most), limit in (
        (list(dict.fromkeys(queries)), QUERY_TOKENS, QUERIES),
        (paragraphs, PARAGRAPH_TOKENS, PARAGRAPHS),
    ):
        found = [(text, tokens) for text, tokens in zip(texts, counted(texts), strict=True) if least <= tokens <= most]
        kept += found[:limit]
        counts.append(len(found[:limit]))
    words = [text for text, _ in kept]
    return Texts(words[: counts[0]], words[counts[0] :], [tokens for _, tokens in kept])


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, ready to be sent."""

    key: str
    priority: Priority
    places: tuple[int, ...]  # of its texts
    tokens: int
    raw: bytes


class Traffic:
    """Draws requests of four kinds: two keys, two priorities.

    Args:
        secrets: by key.
        interactive: share of the tokens that interactive requests have; the keys have theirs of both.
    """

    def __init__(
        self, texts: Texts, secrets: Mapping[str, str], *, interactive: float = INTERACTIVE, seed: int = 0
    ) -> None:
        self._texts, self._secrets, self._draw = texts, secrets, Random(seed)
        queries = len(texts.queries)
        self._query_places = range(queries)
        self._paragraph_places = range(queries, len(texts.tokens))
        self._quoted = [json.dumps(text) for text in texts.all]
        self.mean_tokens: dict[Priority, float] = {
            "interactive": fmean(texts.tokens[:queries]),
            "bulk": fmean(texts.tokens[queries:]) * fmean(ITEMS),
        }
        shares: dict[Priority, float] = {"interactive": interactive, "bulk": 1 - interactive}
        whole = sum(KEYS.values())
        self._kinds: list[tuple[str, Priority]] = [(key, priority) for key in KEYS for priority in shares]
        # requests for each token that is offered
        self._weights = [KEYS[key] / whole * shares[kind] / self.mean_tokens[kind] for key, kind in self._kinds]

    @property
    def requests_per_token(self) -> float:
        """Of all kinds together."""
        return sum(self._weights)

    def draw(self) -> Ask:
        """The next request of the mix."""
        return self.of(*self._draw.choices(self._kinds, self._weights)[0])

    def of(self, key: str, priority: Priority) -> Ask:
        """A request of one kind."""
        if priority == "interactive":
            return self.asking(key, priority, (self._draw.choice(self._query_places),))
        count = self._draw.randint(*ITEMS)
        return self.asking(key, priority, tuple(self._draw.choices(self._paragraph_places, k=count)))

    def asking(self, key: str, priority: Priority, places: tuple[int, ...]) -> Ask:
        """A request for these texts."""
        body = f'{{"encoding_format":"base64","input":[{",".join(self._quoted[place] for place in places)}]}}'.encode()
        head = (
            f"POST {PATH} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {self._secrets[key]}\r\n"
            f"content-type: application/json\r\nx-embedstack-priority: {priority}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        ).encode()
        return Ask(key, priority, places, sum(self._texts.tokens[place] for place in places), head + body)

    def each_text_once(self) -> Iterator[Ask]:
        """Bulk requests that hold them all."""
        key, places = next(iter(KEYS)), [*self._query_places, *self._paragraph_places]
        for start in range(0, len(places), ITEMS[1]):
            yield self.asking(key, "bulk", tuple(places[start : start + ITEMS[1]]))

    def due_after(self, tokens_per_s: float) -> Callable[[], float]:
        """A function that draws the seconds to the next arrival, so that arrivals are random and independent."""
        rate = tokens_per_s * self.requests_per_token
        return lambda: self._draw.expovariate(rate)


def vectors(encoded: Sequence[str]) -> list[bytes]:
    """The float32 numbers of a reply, as OpenAI's clients ask for them."""
    return [base64.b64decode(one) for one in encoded]
