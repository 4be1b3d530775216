"""A source of vectors with texts, and models -> which recipe made the vectors, and how sure that is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from embedstack.catalog.catalog import entries
from embedstack.catalog.locate import Located
from embedstack.errors import ConfigError, EmbedstackError
from embedstack.identifying.contenders import Absent, contenders
from embedstack.identifying.fitting import Noise, noise_of
from embedstack.identifying.judging import Finding, judged
from embedstack.identifying.opening import Place, open_pool
from embedstack.identifying.recipe import Recipe
from embedstack.identifying.sampling import Sample, sample
from embedstack.identifying.signed import Signed, beside
from embedstack.identifying.trying import Trials, trials
from embedstack.modelspec import Precision
from embedstack.proof.fidelity import JUDGED_AS
from embedstack.settings import Settings

ROWS = 64  # that are embedded again, unless the user wants another number
LOOKED_AT = 8  # times as many rows are read, of which these are chosen by their lengths
DONE = 0.9  # share of the rows: where one model made that many, no other is tried
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How to look.

    Args:
        models: that are tried; those on this machine if there are none.
        prompts: that are tried beside those of the catalog.
        held: what the vectors may have been computed in.
    """

    models: tuple[str, ...] = ()
    rows: int = ROWS
    text_key: str = ""
    prompts: tuple[str, ...] = ()
    held: Precision = JUDGED_AS


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """What was found, and by what.

    Args:
        tried: names of models.
        tokens: of each row's text, by the model that was found; of none nothing.
        moved: a recipe that made the vectors, but of other texts than those that they lie beside.
    """

    sample: Sample
    held: Precision
    noise: Noise
    finding: Finding
    signed: Signed
    tried: tuple[str, ...]
    absent: tuple[Absent, ...]
    tokens: tuple[int, ...] = ()
    moved: Recipe | None = None


def identify(place: Place, wish: Wish, settings: Settings, say: Say) -> Identified:
    """Read some rows, embed their texts again in many ways, and compare.

    Args:
        say: takes a line for the person who waits.
    Raises:
        ConfigError: nothing is there, or no model whose width fits. BadRequest: see `opening` and `sampling`. Mismatch:
            vectors of two widths, or a model that was named makes shorter ones.
    """
    taken = sample(open_pool(place, LOOKED_AT * wish.rows), wish.rows, wish.text_key)
    found = contenders(wish.models, taken.dim, taken.pool.origin, settings, say)
    noise = noise_of(taken.stored, wish.held)
    trying = _Trying(taken, wish, noise, settings, say)
    trying.all(found.here)
    if not trying.made:
        raise _nobody(taken.dim, (*trying.failed, *found.absent))
    tried = [one for made in trying.made.values() for one in made.all]
    lengths = np.linalg.norm(taken.vectors, axis=1)
    finding = judged(tried, lengths, noise, keeps_length=not taken.reshaped)
    return Identified(
        sample=taken,
        held=wish.held,
        noise=noise,
        finding=finding,
        signed=beside(taken.pool.origin, finding, trying.made),
        tried=tuple(trying.names),
        absent=(*trying.failed, *found.absent),
        tokens=trying.made[finding.best.recipe.spec.space].tokens if finding.best else (),
        moved=next((made.moved for made in trying.made.values() if made.moved), None),
    )


def known_prompts() -> list[str]:
    """Of all models of the catalog, since one model's prompt may have been put before another's texts."""
    return list(dict.fromkeys(words for entry in entries() for words in entry.prompts.values() if words))


def _nobody(dim: int, absent: Sequence[Absent]) -> ConfigError:
    told = "; ".join(f"{one.name} ({one.why})" for one in absent)
    return ConfigError(
        f"no model that can be tried on this machine makes vectors of {dim} numbers; name one with --model"
        + (f", or fetch one: {told}" if told else "")
    )


class _Trying:
    """Models one after the other.

    Attributes:
        made: by space.
        failed: those that could not be opened or run.
    """

    def __init__(self, taken: Sample, wish: Wish, noise: Noise, settings: Settings, say: Say) -> None:
        self._taken, self._wish, self._noise, self._settings, self._say = taken, wish, noise, settings, say
        self._prompts = [*wish.prompts, *known_prompts()]
        self.made: dict[str, Trials] = {}
        self.names: list[str] = []
        self.failed: list[Absent] = []

    def all(self, found: Sequence[Located]) -> None:
        """Until one has made nearly all rows."""
        for number, one in enumerate(found, 1):
            if one.spec.space in self.made:
                self.failed.append(Absent(one.spec.name, "its weights and its files are those of one that was tried"))
            elif self._is_done():
                self.failed.append(Absent(one.spec.name, "there was no need: another model made these vectors"))
            else:
                self._say(f"trying {one.spec.name} ({number} of {len(found)})")
                self._one(one)

    def _one(self, found: Located) -> None:
        try:
            made = trials(found, self._taken, self._prompts, self._noise, self._settings)
        except EmbedstackError as error:
            if self._wish.models:  # who named it wants to know
                raise
            self.failed.append(Absent(found.spec.name, error.message))
            return
        self.made[found.spec.space] = made
        self.names.append(found.spec.name)

    def _is_done(self) -> bool:
        return any(
            one.fits(self._noise) and one.fitting(self._noise).mean() >= DONE
            for made in self.made.values()
            for one in made.all
        )
