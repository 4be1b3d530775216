"""A model that is open, with rows -> how far these are from what it gives for any reading of them."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from embedstack.catalog.locate import Located
from embedstack.engine.finish import levelled
from embedstack.identifying.fitting import Tried
from embedstack.identifying.making import POOLINGS, Making
from embedstack.identifying.readings import Readings
from embedstack.identifying.recipe import Reading, Recipe
from embedstack.identifying.sampling import Sample
from embedstack.proof.faults import graphs
from embedstack.proof.fidelity import TINY, Array, distances, unit
from embedstack.settings import Settings
from embedstack.types import Encoding


class Bench:
    """Close it. Each reading of each text goes through a graph once.

    Raises:
        ConfigError, Unsupported, RuntimeFailed: the model cannot be opened, or run.
    """

    def __init__(self, found: Located, sample: Sample, settings: Settings) -> None:
        self.spec, self.sample = found.spec, sample
        self.readings = Readings(found.spec, found.folder, settings.max_text_chars)
        self._found, self._settings = found, settings
        self._specs = {"": found.spec, **{name: other for name, _, other in graphs(found.spec)}}
        self._makings: dict[str, Making] = {}
        self._encodings: dict[Reading, dict[int, Encoding | None]] = {}
        self._all = range(len(sample.rows))
        whole = self._read(self.plain(self.readings.room), self._all)
        self.lengths = [0 if encoding is None else encoding.cost for encoding in whole]

    def close(self) -> None:
        """Give all graphs back."""
        for making in self._makings.values():
            making.close()

    @property
    def graphs(self) -> list[str]:
        """The names of faults of computing that this model could be served with."""
        return [name for name in self._specs if name]

    def plain(self, max_tokens: int) -> Reading:
        """The texts as they are."""
        return Reading(wording=self.sample.wording, prompt="", max_tokens=max_tokens)

    def ids(self, reading: Reading) -> bytes:
        """Equal for two readings by which the graph is given the same."""
        read = self._read(reading, self._all)
        return b"/".join(b"" if encoding is None else encoding.ids.tobytes() for encoding in read)

    def tried(self, reading: Reading, places: Sequence[int] | None = None, graph: str = "") -> Iterator[Tried]:
        """Every recipe with this reading, of some rows or of all."""
        at = [*(self._all if places is None else places)]
        pooled = self._making(graph).pooled(self._read(reading, at))
        for pooling in POOLINGS:
            for is_levelled in self._levels:
                recipe = Recipe(
                    spec=self.spec, reading=reading, pooling=pooling, dim=self.sample.dim, is_levelled=is_levelled,
                    graph=graph,
                )  # fmt: skip
                yield self._beside(recipe, pooled[pooling], at)

    def recipes(self, wanted: Iterable[Recipe]) -> list[Tried]:
        """Exactly these, of all rows."""
        asked = list(dict.fromkeys(wanted))
        passes = dict.fromkeys((recipe.reading, recipe.graph) for recipe in asked)
        made = {one.recipe: one for reading, graph in passes for one in self.tried(reading, graph=graph)}
        return [made[recipe] for recipe in asked]

    @property
    def _levels(self) -> tuple[bool, ...]:
        """Only a model of which that is known may have its rows brought to mean 0 before they are cut."""
        return (True, False) if self.spec.cut_norm and self.sample.dim < self.spec.dim else (False,)

    def _beside(self, recipe: Recipe, pooled: Array, places: Sequence[int]) -> Tried:
        """Pooled rows (places, width) and the stored vectors."""
        whole = np.asarray(levelled(pooled.astype(np.float32)), np.float64) if recipe.is_levelled else pooled
        made, vectors, rows = whole[:, : recipe.dim], self.sample.vectors, len(self.sample.rows)
        off = distances(made, vectors[list(places)])
        can_be = np.isfinite(off)
        nearest = 1 - (unit(np.where(can_be[:, None], made, 0.0)) @ unit(vectors).T).max(axis=1)
        lengths = np.linalg.norm(made, axis=1)
        shares = lengths / np.maximum(np.linalg.norm(whole, axis=1), TINY)
        told = (np.where(can_be, off, np.inf), np.where(can_be, nearest, np.inf), lengths, shares)
        return Tried(recipe, *(_spread(values, places, rows) for values in told))

    def _read(self, reading: Reading, places: Sequence[int]) -> list[Encoding | None]:
        """Of these rows; None where there is no such text, or one that the model cannot read."""
        known = self._encodings.setdefault(reading, {})
        texts = {place: reading.wording.of(self.sample.rows[place]) for place in places if place not in known}
        spoken = {place: text for place, text in texts.items() if text is not None}
        known |= dict.fromkeys(texts) | dict(
            zip(spoken, self.readings.encode(reading, [*spoken.values()]), strict=True)
        )
        return [known[place] for place in places]

    def _making(self, graph: str) -> Making:
        if graph not in self._makings:
            self._makings[graph] = Making(self._specs[graph], self._found.folder, self._settings)
        return self._makings[graph]


def _spread(values: Array, places: Sequence[int], rows: int) -> Array:
    """(rows,), not a number in all other places."""
    whole = np.full(rows, np.nan)
    whole[list(places)] = values
    return whole
