"""Which shards were in hand when a process died -> whether it is started again, and how carefully; pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from embedstack.jobs.events import Did, Event, Lost, Started, Took, Trying

SUSPECT = 2  # deaths over a shard until its documents are tried one by one: one may be the machine's fault
BLAMED = 2  # deaths over one document until it is left out: one of them may come from outside
HOPELESS = 5  # deaths over a shard that no single document explains
BARREN = 3  # deaths in a row before anything was begun: then it is not the input
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0  # between a death and the next start, doubled each time nothing was done


@dataclass(frozen=True, slots=True)
class Again:
    """The process is started again."""

    after_s: float
    note: str  # for people: what was learned from its death


@dataclass(frozen=True, slots=True)
class Hopeless:
    """It is of no use to start it again."""

    reason: str


class Quarantine:
    """What the deaths of all processes of a job have in common.

    Each process does a few shards at a time, so a shard that was in hand when it died is only suspected. Over one that
    is suspected again the next process says each document before it touches it: over the last one said it died. Only
    a document over which it dies again is left out.
    """

    def __init__(self, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._first_pause_s = first_pause_s
        self._deaths: Counter[int] = Counter()
        self._deaths_over: Counter[tuple[int, int]] = Counter()  # by shard and place
        self._left_out: dict[int, frozenset[int]] = {}
        self._seats: dict[int, _Seat] = {}

    @property
    def careful(self) -> Mapping[int, frozenset[int]]:
        """By shard that is worked on document by document: the places that are left out."""
        return dict(self._left_out)

    def told(self, seat: int, event: Event) -> None:
        """A process said something."""
        mine = self._seats.setdefault(seat, _Seat(pause_s=self._first_pause_s))
        match event:
            case Started():
                mine.in_hand, mine.trying = set(), None
            case Took(shard=shard):
                mine.in_hand.add(shard)
                mine.idle_deaths = 0
            case Trying(shard=shard, place=place):
                mine.trying = (shard, place) if place >= 0 else None
            case Did(commit=commit):
                self._over(mine, commit.shard)
                mine.pause_s = self._first_pause_s
            case Lost(shard=shard):
                self._over(mine, shard)
            case _:
                pass

    def died(self, seat: int, why: str, *, is_blamed: bool = True) -> Again | Hopeless:
        """A process is gone without having said that it was done.

        Args:
            why: how it ended, for people.
            is_blamed: whether what it did may be the reason; not so where somebody asked it to end.
        """
        mine = self._seats.setdefault(seat, _Seat(pause_s=self._first_pause_s))
        trying, in_hand = mine.trying, sorted(mine.in_hand)
        mine.trying, mine.in_hand = None, set()
        pause_s, mine.pause_s = mine.pause_s, min(2 * mine.pause_s, LONGEST_PAUSE_S)
        if not is_blamed:
            return Again(pause_s, f"a process ended ({why}); another goes on")
        if trying is not None:
            return Again(pause_s, self._blame(*trying, why))
        if not in_hand:
            mine.idle_deaths += 1
            if mine.idle_deaths >= BARREN:
                return Hopeless(f"a process ended {BARREN} times before it had begun a shard ({why})")
            return Again(pause_s, f"a process ended before it had begun a shard ({why}); another is started")
        return self._suspect(in_hand, why, pause_s)

    def _blame(self, shard: int, place: int, why: str) -> str:
        self._deaths_over[shard, place] += 1
        left_out = self._left_out.setdefault(shard, frozenset())
        if self._deaths_over[shard, place] < BLAMED:
            return f"a process ended over document {place} of shard {shard} ({why}); it is tried again"
        self._left_out[shard] = left_out | {place}
        return f"document {place} of shard {shard} ended {BLAMED} processes ({why}); it goes to the dead letters"

    def _suspect(self, shards: list[int], why: str, pause_s: float) -> Again | Hopeless:
        self._deaths.update(shards)
        if hopeless := [shard for shard in shards if self._deaths[shard] >= HOPELESS]:
            return Hopeless(
                f"shard {hopeless[0]} ended {HOPELESS} processes ({why}), and no single document of it is to blame; "
                "give each more memory or start fewer with --processes"
            )
        suspected = [shard for shard in shards if self._deaths[shard] >= SUSPECT]
        for shard in suspected:
            self._left_out.setdefault(shard, frozenset())
        shown = _shown(suspected or shards)
        if suspected:
            return Again(pause_s, f"a process ended again over {shown} ({why}); documents are now tried one by one")
        return Again(pause_s, f"a process ended over {shown} ({why}); another begins there again")

    def _over(self, seat: "_Seat", shard: int) -> None:
        """It lived through this one."""
        seat.in_hand.discard(shard)
        seat.trying = None if seat.trying and seat.trying[0] == shard else seat.trying
        self._deaths.pop(shard, None)
        self._left_out.pop(shard, None)


@dataclass(slots=True)
class _Seat:
    """One process after the other that does the same part."""

    pause_s: float
    in_hand: set[int] = field(default_factory=set)
    trying: tuple[int, int] | None = None
    idle_deaths: int = 0


def _shown(shards: list[int]) -> str:
    return f"shard {shards[0]}" if len(shards) == 1 else f"shards {', '.join(map(str, shards))}"
