"""Systems that are only a dictionary of rankings, and a clock that they move."""

from collections.abc import Mapping, Sequence

from embedstack.errors import BadRequest
from embedstack.evals.systems.system import Asked, Progress, Ranked, Rankings, System
from embedstack.origin import Identity


class Clock:
    """Seconds; it stands still but for what systems take."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Listed:
    """A System: to each query what a dictionary says, and a clock that moves on.

    Args:
        rankings: query -> documents, best first; their scores fall, unless they are given.
        takes_s: of each query that is asked alone, one after the other, then over again.
        stages: shares of that time.
        log: where every query that is asked is written down.
        fails_at: the call of `search` that raises, from 1.
    """

    def __init__(
        self,
        name: str,
        rankings: Mapping[str, Sequence[str | Ranked]],
        *,
        legs: tuple[System, ...] = (),
        clock: Clock | None = None,
        takes_s: Sequence[float] = (0.001,),
        prepare_s: float = 0.0,
        stages: Mapping[str, float] | None = None,
        log: list[tuple[str, str]] | None = None,
        fails_at: int = 0,
        fails_with: Exception | None = None,
    ) -> None:
        self.name = name
        self.legs = legs
        self.identities: tuple[Identity, ...] = ()
        self.notes: tuple[str, ...] = (f"{name} is a list",)
        self.prepared = 0
        self._rankings = rankings
        self._clock = clock or Clock()
        self._takes_s, self._prepare_s = tuple(takes_s), prepare_s
        self._stages = stages or {}
        self._log = log if log is not None else []
        self._calls = 0
        self._fails_at, self._error = fails_at, fails_with or BadRequest("the list is torn")

    def prepare(self, documents: Mapping[str, str], progress: Progress) -> None:
        self.prepared += 1
        for leg in self.legs:
            leg.prepare(documents, progress)
        if self.prepared == 1:
            self._clock.now += self._prepare_s
        progress(f"documents by {self.name}", len(documents), len(documents))

    def search(self, queries: Sequence[Asked], limit: int) -> Rankings:
        self._calls += 1
        if self._calls == self._fails_at:
            raise self._error
        self._log += [(self.name, query.id) for query in queries]
        took_s = self._takes_s[(self._calls - 1) % len(self._takes_s)]
        self._clock.now += took_s
        return Rankings(
            hits=[self._hits(query.id)[:limit] for query in queries],
            took_s={stage: share * took_s for stage, share in self._stages.items()},
        )

    def close(self) -> None:
        """It holds nothing."""

    def _hits(self, query: str) -> list[Ranked]:
        given = self._rankings.get(query, ())
        return [hit if isinstance(hit, Ranked) else Ranked(hit, 1 / rank) for rank, hit in enumerate(given, 1)]
