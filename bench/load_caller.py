"""Requests of the load, sent and judged: each becomes a line in the books, with what is wrong with its reply."""

import time

import msgspec
import numpy as np

from load_stats import Seen
from load_traffic import Ask, vectors
from load_wire import Reply, Wire

PATIENCE_S = {"interactive": 30.0, "bulk": 180.0}  # bulk is let in with 30 s of work before it; others overtake
SAME = 0.999  # cosine of a text's vector under load to the one before


class Row(msgspec.Struct):
    embedding: str
    index: int


class Count(msgspec.Struct):
    prompt_tokens: int


class Good(msgspec.Struct):
    data: list[Row]
    usage: Count


class Said(msgspec.Struct):
    message: str
    type: str
    code: str


class Bad(msgspec.Struct):
    error: Said


GOOD, BAD = msgspec.json.Decoder(Good), msgspec.json.Decoder(Bad)


class Caller:
    """Sends requests and keeps the books of one phase.

    Args:
        known: vectors of texts by place, filled by the first replies and compared with later ones.
    """

    def __init__(self, wire: Wire, known: dict[int, np.ndarray]) -> None:
        self._wire, self._known = wire, known
        self._began = time.perf_counter()
        self.seen: list[Seen] = []
        self.refused = self.refused_without_retry_after = 0
        self.in_flight: dict[int, Ask] = {}
        self.longest_retry_s = 0.0

    def now(self) -> float:
        """Seconds since the phase began."""
        return time.perf_counter() - self._began

    async def send(self, ask: Ask, due: float | None = None) -> Seen:
        """One request to its end."""
        due = self.now() if due is None else due
        number = len(self.in_flight) + len(self.seen)
        self.in_flight[number] = ask
        reply = await self._wire.ask(ask.raw, PATIENCE_S[ask.priority])
        del self.in_flight[number]
        sent, ended = reply.sent - self._began, reply.ended - self._began
        wrong = self._wrong(ask, reply) if reply.fate == "answered" else reply.detail
        seen = Seen(ask.key, ask.priority, ask.tokens, due, sent, ended, reply.fate, reply.status, wrong)
        self.seen.append(seen)
        return seen

    def _wrong(self, ask: Ask, reply: Reply) -> str:
        """What is wrong with a reply; empty if nothing is."""
        if reply.status == 200:
            return self._wrong_vectors(ask, reply)
        try:
            BAD.decode(reply.body)
        except msgspec.DecodeError:
            return "no envelope"
        if reply.status == 429:
            self.refused += 1
            retry = reply.header("retry-after")
            self.refused_without_retry_after += retry is None
            self.longest_retry_s = max(self.longest_retry_s, float(retry or 0))
        return ""

    def _wrong_vectors(self, ask: Ask, reply: Reply) -> str:
        try:
            good = GOOD.decode(reply.body)
        except msgspec.DecodeError:
            return "no vectors"
        if [row.index for row in good.data] != list(range(len(ask.places))):
            return "another number of vectors"
        if good.usage.prompt_tokens != ask.tokens:
            return "another number of tokens"
        for place, raw in zip(ask.places, vectors([row.embedding for row in good.data]), strict=True):
            vector = np.frombuffer(raw, np.float32)
            if float(vector @ self._known.setdefault(place, vector)) < SAME:
                return "another text's vector"
        return ""
