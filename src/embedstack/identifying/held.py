"""A source of vectors -> texts with the vectors that any encoder of its space must give: its probes, else some rows."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from embedstack.errors import Mismatch
from embedstack.identifying.identify import LOOKED_AT
from embedstack.identifying.numbers import Stored, stored_as
from embedstack.identifying.opening import Place, open_pool
from embedstack.identifying.rows import Pool
from embedstack.identifying.sampling import sample
from embedstack.identifying.wording import WITHOUT, counted
from embedstack.origin import Origin, vector_of
from embedstack.proof.fidelity import Array

ROWS = 32  # that are embedded again where there are no probes
Basis = Literal["probes", "rows"]


@dataclass(frozen=True, slots=True)
class Kept:
    """One text and its vector. `name`: of a probe, or the place of a row."""

    name: str
    text: str
    role: str
    vector: Array  # (dim,)


@dataclass(frozen=True, slots=True)
class Held:
    """What a source is known by."""

    label: str
    basis: Basis
    kept: tuple[Kept, ...]
    stored: Stored
    origin: Origin | None

    @property
    def dim(self) -> int:
        """Numbers of each vector."""
        return len(self.kept[0].vector)


def held(place: Place, text_key: str = "") -> Held:
    """What whoever made the vectors left beside them to prove others by, where that tells of them: nobody edited that.

    Raises:
        Mismatch: there is neither a probe nor a text, so nothing can be proven. As `opening.open_pool` and
            `sampling.sample`.
    """
    pool = open_pool(place, LOOKED_AT * ROWS)
    return _probes(pool, pool.origin) if pool.origin and pool.origin.evidence else _rows(pool, text_key)


def _probes(pool: Pool, origin: Origin) -> Held:
    vectors = np.stack([vector_of(probe) for probe in origin.evidence])
    stored, wide = stored_as(vectors)
    each = zip(origin.evidence, wide, strict=True)
    kept = tuple(Kept(f"probe {probe.name!r}", probe.text, probe.role, vector) for probe, vector in each)
    return Held(pool.label, "probes", kept, stored, origin)


def _rows(pool: Pool, text_key: str) -> Held:
    if not counted(pool.rows):
        why = "no probe beside its vectors tells of them, and no row has a text"
        raise Mismatch(f"nothing can be proven against {pool.label}: {why}; {WITHOUT}")
    taken = sample(pool, ROWS, text_key)
    role = pool.origin.role if pool.origin else "document"
    each = zip(taken.rows, taken.texts, taken.vectors, strict=True)
    kept = tuple(Kept(row.place, text, role, vector) for row, text, vector in each)
    return Held(pool.label, "rows", kept, taken.stored, pool.origin)
