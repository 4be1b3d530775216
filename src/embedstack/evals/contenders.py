"""Systems as a user names them -> all that are measured, prepared, and who is held against whom."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from embedstack.errors import BadRequest
from embedstack.evals.asking import named
from embedstack.evals.systems.system import Progress, System


@dataclass(frozen=True, slots=True)
class Contender:
    """A system that is measured."""

    system: System
    part_of: str = ""  # the system of which it is a leg, unless it was named itself


def contenders(systems: Sequence[System]) -> list[Contender]:
    """Each system with its legs behind it, and theirs; what comes again, by its name, comes once.

    Raises:
        BadRequest: no system, or two of one name.
    """
    names = [system.name for system in systems]
    if not names:
        raise BadRequest("there is no system to evaluate; name one, such as all-MiniLM-L6-v2")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadRequest(f"system {twice!r} is named twice; name each once")
    found: dict[str, Contender] = {}
    for system in systems:
        found[system.name] = Contender(system)
        for leg, whole in _legs(system):
            if leg.name not in names:
                found.setdefault(leg.name, Contender(leg, whole.name))
    return list(found.values())


def duels(systems: Sequence[System]) -> list[tuple[str, str]]:
    """Baseline and candidate, by name: the first system and each other one, and each leg and what it is part of."""
    pairs = [(systems[0].name, system.name) for system in systems[1:]]
    pairs += [(leg.name, whole.name) for system in systems for leg, whole in _legs(system)]
    unordered = {frozenset(pair): pair for pair in reversed(pairs)}
    return [pair for pair in dict.fromkeys(pairs) if unordered[frozenset(pair)] == pair]


def prepared(
    found: Sequence[Contender], documents: Mapping[str, str], progress: Progress, clock: Callable[[], float]
) -> dict[str, float]:
    """Seconds that each took for the documents, by name; of a system with legs, theirs are among them.

    Raises:
        What a system raises, which names it.
    """
    took_s: dict[int, float] = {}  # by `id`: two systems may have the same leg, or two legs of one name

    def prepare(system: System) -> float:
        if id(system) not in took_s:
            legs_s = sum(map(prepare, system.legs))
            with named(system):
                began = clock()
                system.prepare(documents, progress)
                took_s[id(system)] = legs_s + clock() - began
        return took_s[id(system)]

    return {contender.system.name: prepare(contender.system) for contender in found}


def _legs(system: System) -> Iterator[tuple[System, System]]:
    """Each leg with what it is part of, at any depth."""
    for leg in system.legs:
        yield leg, system
        yield from _legs(leg)
