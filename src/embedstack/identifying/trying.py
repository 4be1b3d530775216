"""A model and rows -> how far their vectors are from what it gives, in every way to use it that may be the right one.

Short texts first, by every reading and pooling at once, since they show all but the cut and cost little. What is near
is then computed for all rows, with every cut. Only if nothing fits, other wordings and faults of computing are tried.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from embedstack.catalog.locate import Located
from embedstack.identifying.bench import Bench
from embedstack.identifying.fitting import Noise, Tried
from embedstack.identifying.recipe import Reading, Recipe
from embedstack.identifying.sampling import Sample
from embedstack.identifying.wording import other_wordings
from embedstack.proof.diagnosis import STRANGE
from embedstack.settings import Settings

SCREENED, FEWEST = 12, 4  # texts by which recipes are preferred; of long ones fewer
MOST_TOKENS = 20_000  # that these are in all readings together: some seconds of MiniLM, a minute of BGE-M3 on two cores
NEARER = 10.0  # times as far off as the nearest recipe: what is further is left
BEST, WORST = 8, 3  # recipes that are computed for all rows where one fits, and where none does


@dataclass(frozen=True, slots=True)
class Trials:
    """Of one model.

    Args:
        all: recipes that were computed for all rows, and those for some.
        tokens: of each row's text, special ones included; 0 of one that the model cannot read.
        moved: one that made these vectors, but of other texts than those they lie beside.
    """

    all: tuple[Tried, ...]
    tokens: tuple[int, ...]
    moved: Recipe | None = None


def trials(found: Located, sample: Sample, prompts: Sequence[str], noise: Noise, settings: Settings) -> Trials:
    """Open the model, try it, close it.

    Args:
        prompts: that may stand in front, beside none and the model's own.
    Raises:
        ConfigError, Unsupported, RuntimeFailed: the model cannot be opened, or run.
    """
    own = list(dict.fromkeys(["", *found.spec.prompts.values()]))
    every = list(dict.fromkeys([*own, *prompts]))
    with closing(Bench(found, sample, settings)) as bench:
        usable = [place for place, tokens in enumerate(bench.lengths) if tokens]
        screened = list(_screened(bench, every, usable))
        near = _nearest(screened, noise)
        tried = bench.recipes(_with_cuts(bench, near))
        if any(one.fits(noise) for one in tried):
            again = list(_screened(bench, every, _unfit(tried, usable, noise)))
            tried += bench.recipes(_with_cuts(bench, _nearest(_fitting(again, noise), noise)))
            return Trials(_once([*tried, *screened, *again]), (*bench.lengths,))
        others = [*_worded(bench, own, usable), *_miscomputed(bench, screened, own, usable)]
        more = bench.recipes(_with_cuts(bench, _nearest(_fitting(others, noise), noise)))
        moved = None if more else _moved(screened, noise)
        return Trials(_once([*tried, *more, *screened, *others]), (*bench.lengths,), moved)


def _fitting(some: Sequence[Tried], noise: Noise) -> list[Tried]:
    return [one for one in some if one.low <= noise.most]


def _unfit(tried: Sequence[Tried], usable: Sequence[int], noise: Noise) -> list[int]:
    """Rows that none of these made: another recipe may have, or their texts were changed."""
    made = np.any([one.fitting(noise) for one in tried], axis=0)
    return [place for place in usable if not made[place]]


def _once(tried: Sequence[Tried]) -> tuple[Tried, ...]:
    """Each recipe, of as many rows as it was computed for."""
    made: dict[Recipe, Tried] = {}
    for one in tried:
        made[one.recipe] = made[one.recipe].joined(one) if one.recipe in made else one
    return tuple(made.values())


def _nearest(screened: Sequence[Tried], noise: Noise) -> list[Recipe]:
    """Those that may be the right one; if none may, the nearest ones."""
    ordered = sorted(screened, key=lambda one: (one.low, len(one.recipe.strays)))
    if not ordered or ordered[0].low > noise.most:
        return [one.recipe for one in ordered[:WORST]]
    limit = max(noise.most, NEARER * ordered[0].low)
    return [one.recipe for one in ordered[:BEST] if one.low <= limit]


# ------------------------------------------------------------------------------------------------ some rows


def _screened(bench: Bench, prompts: Sequence[str], among: Sequence[int]) -> Iterator[Tried]:
    """Every reading of the shortest texts; where even these are long, with the cuts that they show."""
    shortest = _shortest(bench, among)
    if shortest:
        places, readings = _affordable(bench, shortest, prompts)
        for reading in readings:
            yield from bench.tried(reading, places)


def _affordable(bench: Bench, places: Sequence[int], prompts: Sequence[str]) -> tuple[Sequence[int], list[Reading]]:
    """As many of these texts as all readings leave room for; if there is none for a few, fewer readings."""
    fewest = min(FEWEST, len(places))
    for has_faults in (True, False):
        for count in range(len(places), fewest - 1, -1):
            few = places[:count]
            readings = _readings(bench, few, prompts, has_faults=has_faults)
            if len(readings) * sum(bench.lengths[place] for place in few) <= MOST_TOKENS:
                return few, readings
    return places[:fewest], _readings(bench, places[:fewest], prompts, has_faults=False)


def _shortest(bench: Bench, among: Sequence[int]) -> list[int]:
    return sorted(among, key=lambda place: (bench.lengths[place], place))[:SCREENED]


def _readings(bench: Bench, places: Sequence[int], prompts: Sequence[str], *, has_faults: bool) -> list[Reading]:
    longest = max((bench.lengths[place] for place in places), default=0)
    plain = [replace(bench.plain(cut), prompt=prompt) for prompt in prompts for cut in _cuts(bench, longest)]
    if not has_faults:
        return plain
    cased = [replace(one, case=bench.readings.other_case) for one in plain]
    return [*plain, *cased, *(replace(one, is_bare=True) for one in plain if bench.readings.is_framed)]


def _cuts(bench: Bench, longest: int) -> list[int]:
    """Those that such a text shows, and one that does not cut it."""
    own, cuts = bench.spec.max_tokens, bench.readings.cuts
    whole = [cut for cut in cuts if cut >= longest]
    return [*(cut for cut in cuts if cut < longest), *([own if own in whole else whole[0]] if whole else [])]


# ------------------------------------------------------------------------------------------------ all rows


def _with_cuts(bench: Bench, near: Sequence[Recipe]) -> Iterator[Recipe]:
    """Each with every cut, and with the beginning cut where anything is cut at all."""
    for recipe in near:
        for cut in bench.readings.cuts:
            yield replace(recipe, reading=replace(recipe.reading, max_tokens=cut))
        if max(bench.lengths) > bench.spec.max_tokens:
            own = replace(recipe.reading, max_tokens=bench.spec.max_tokens, truncate="left")
            yield replace(recipe, reading=own)


# ------------------------------------------------------------------------------------------------ what is rarer


def _worded(bench: Bench, prompts: Sequence[str], among: Sequence[int]) -> Iterator[Tried]:
    """Other texts of the rows; which is the shortest is known of the main ones alone."""
    places = _shortest(bench, among)
    plain = bench.plain(bench.spec.max_tokens)
    wordings = other_wordings(bench.sample.rows, bench.sample.wording)
    once = {bench.ids(replace(plain, wording=one)): one for one in reversed([bench.sample.wording, *wordings])}
    for wording in once.values():  # many a tokeniser takes a line's end for a space
        for prompt in prompts:
            yield from bench.tried(replace(plain, wording=wording, prompt=prompt), places)


def _miscomputed(
    bench: Bench, screened: Sequence[Tried], prompts: Sequence[str], among: Sequence[int]
) -> Iterator[Tried]:
    """The model's own readings by other graphs, if anything is near at all: such faults do not move a vector far."""
    if min((one.low for one in screened), default=np.inf) > STRANGE:
        return
    places = _shortest(bench, among)
    for graph in bench.graphs:
        for prompt in prompts:
            yield from bench.tried(replace(bench.plain(bench.spec.max_tokens), prompt=prompt), places, graph)


def _moved(screened: Sequence[Tried], noise: Noise) -> Recipe | None:
    """Whether what a recipe gives for some texts lies beside others."""
    return next((one.recipe for one in screened if one.low_beside <= noise.most < one.low), None)
