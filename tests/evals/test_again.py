"""What is away for a while is asked again; what never answered, or fails for another reason, is not."""

import pytest

from embedstack.databases.bound import Bound
from embedstack.databases.embedded.folder import EmbeddedDatabase
from embedstack.errors import BadRequest, EmbedstackError, Upstream
from embedstack.evals.systems.again import Again
from embedstack.evals.systems.collection import CollectionSystem, Stored
from embedstack.evals.systems.encoded import Shared
from embedstack.evals.systems.indexed import IndexedSystem
from embedstack.evals.systems.reranked import RerankedSystem, Reranker
from embedstack.types import Encode, Encoded, Score, Scored
from support.systems import ALL, DOCUMENTS, RERANKER, Heard, filled, quiet, ranking

AWAY = Upstream("the connection broke", retry=True)


class Clock:
    """Time passes by pauses alone."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now_s += seconds

    def again(self) -> Again:
        return Again(self.pause, lambda: self.now_s)


class Failing:
    """Answers with the number of the call, but for those that fail."""

    def __init__(self, *errors: EmbedstackError | None) -> None:
        self._errors = errors
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        error = self._errors[self.calls - 1] if self.calls <= len(self._errors) else None
        if error is not None:
            raise error
        return self.calls


def test_what_answered_before_is_asked_again_after_longer_and_longer_pauses():
    clock, work = Clock(), Failing(None, AWAY, AWAY, AWAY)
    again = clock.again()

    assert [again(work), again(work)] == [1, 5]
    assert clock.pauses == [1, 2, 4]
    assert list(again.noted("it")) == ["it was away for a while and was asked again 3 times; the times hold the pauses"]


def test_patience_begins_anew_with_each_answer():
    clock, work = Clock(), Failing(None, AWAY, None, AWAY)
    again = clock.again()

    assert [again(work), again(work), again(work)] == [1, 3, 5]
    assert clock.pauses == [1, 1]


def test_what_stays_away_is_an_error_after_a_minute():
    clock, work = Clock(), Failing(None, *[AWAY] * 99)
    again = clock.again()
    again(work)

    with pytest.raises(Upstream, match="the connection broke"):
        again(work)
    assert 60 <= clock.now_s <= 76
    assert max(clock.pauses) == 16


def test_what_never_answered_is_an_error_at_once():
    clock, work = Clock(), Failing(AWAY)

    with pytest.raises(Upstream):
        clock.again()(work)
    assert (work.calls, clock.pauses) == (1, [])


@pytest.mark.parametrize("error", [BadRequest("no"), Upstream("broken", retry=False)])
def test_what_fails_for_good_is_an_error_at_once(error):
    clock, work = Clock(), Failing(None, error)
    again = clock.again()
    again(work)

    with pytest.raises(type(error)):
        again(work)
    assert (work.calls, clock.pauses) == (2, [])
    assert list(again.noted("it")) == []


# ------------------------------------------------------------------------------------------------ in systems


class Restarting(Heard):
    """An endpoint that is away at its second request and its third."""

    async def encode(self, request: Encode) -> Encoded:
        made = await super().encode(request)
        if len(self.encodes) in (2, 3):
            raise AWAY
        return made

    async def score(self, request: Score) -> Scored:
        made = await super().score(request)
        if len(self.scores) in (2, 3):
            raise AWAY
        return made


class RestartingDatabase(EmbeddedDatabase):
    """Is away at its second question and its third."""

    asked = 0

    def query(self, name, query):
        self.asked += 1
        if self.asked in (2, 3):
            raise AWAY
        return super().query(name, query)


def reader(encoder: Heard, again: Again) -> Shared:
    roles = ("query", "document")
    return Shared(encoder, ALL, "hash", kinds=frozenset({"dense"}), dim=None, roles=roles, again=again)


def reranked(encoder: Heard, again: Again) -> RerankedSystem:
    first = IndexedSystem("hash", reader(Heard(), again), "dense")
    return RerankedSystem("hash~overlap", first, Reranker(encoder, RERANKER, "overlap"), top=8, again=again)


@pytest.mark.parametrize(
    "made", [lambda encoder, again: IndexedSystem("hash", reader(encoder, again), "dense"), reranked]
)
def test_an_endpoint_that_restarts_changes_no_ranking_and_is_told(made):
    clock = Clock()
    steady, torn = made(Heard(), clock.again()), made(Restarting(), clock.again())
    for system in (steady, torn):
        system.prepare(DOCUMENTS, quiet)

    assert ranking(torn) == ranking(steady)
    assert clock.pauses == [1, 2]
    assert any("was away for a while and was asked again 2 times" in note for note in torn.notes)
    assert not any("was away" in note for note in steady.notes)


def test_a_database_that_restarts_changes_no_ranking_and_is_told(tmp_path):
    clock, rankings = Clock(), []
    for kind in (EmbeddedDatabase, RestartingDatabase):
        database = kind(tmp_path / kind.__name__)
        filled(database, list(DOCUMENTS.items()))
        signed = database.describe("docs").fields[""].origin
        stored, again = Stored(Bound(database, "docs", {}), "", "dense", signed), clock.again()
        system = CollectionSystem("docs", stored, reader(Heard(), again), is_exact=True, again=again)
        system.prepare(DOCUMENTS, quiet)
        rankings.append(ranking(system))
        database.close()

    assert rankings[0] == rankings[1]
    assert clock.pauses == [1, 2]
    assert system.notes[0].startswith("the database of 'docs' was away for a while and was asked again 2 times")
