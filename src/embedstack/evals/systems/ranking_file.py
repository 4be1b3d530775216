"""A file of rankings that were made elsewhere -> a system that answers what stands in it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from embedstack.evals.sets.rankings import read_run
from embedstack.evals.systems.system import Asked, Progress, Ranked, Rankings, System
from embedstack.origin import Identity


class RankingFile:
    """It knows queries by their ids and reads no text; what a query is asked takes it no time worth a stage.

    Of equal scores, which are compared as float32, the higher id comes first, as trec_eval judges them.

    Args:
        name: canonical.
    Raises:
        ConfigError: see `read_run`.
    """

    legs: tuple[System, ...] = ()
    identities: tuple[Identity, ...] = ()

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.notes: tuple[str, ...] = ()
        self.run: Mapping[str, Sequence[Ranked]] = {query: _falling(hits) for query, hits in read_run(path).items()}
        self._lacking: dict[str, None] = {}  # queries that it was asked, in order

    def prepare(self, documents: Mapping[str, str], progress: Progress) -> None:
        """Nothing is left to do."""

    def search(self, queries: Sequence[Asked], limit: int) -> Rankings:
        """Of a query that is not there nothing."""
        self._lacking |= {query.id: None for query in queries if query.id not in self.run}
        if self._lacking:
            self.notes = (f"{len(self._lacking)} queries are not in the file, such as {next(iter(self._lacking))!r}",)
        return Rankings([self.run.get(query.id, ())[:limit] for query in queries])

    def close(self) -> None:
        """It holds only what was read."""


def _falling(hits: Sequence[Ranked]) -> list[Ranked]:
    """Scores that are equal as float32 and rise as float64 become equal, so that none rises."""
    falling: list[Ranked] = []
    for document, score in hits:
        falling.append(Ranked(document, min(score, falling[-1].score) if falling else score))
    return falling
