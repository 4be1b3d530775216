"""An encoder, seen through the door alone, and vectors that are stored -> whether its vectors may lie beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from embedstack.client.space import BOTH, claim_of
from embedstack.errors import BadRequest, Mismatch, Unsupported
from embedstack.identifying.fitting import ROOM, ROOM_OF_MEAN
from embedstack.identifying.held import Held, Kept
from embedstack.identifying.identify import known_prompts
from embedstack.modelspec import Precision
from embedstack.origin import LATE
from embedstack.proof.asking import MOST_ITEMS
from embedstack.proof.fidelity import LENGTH, LIMITS, TINY, Array, distances
from embedstack.types import Encode, Encoder, Text

TASTED = 4  # texts by which a prompt is found that is missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """How near the encoder comes.

    Args:
        texts: that were asked for; `fits` of them are near enough.
        least, mean: cosines to the stored vectors.
        worst: what is furthest off.
        failures: what is beyond the limits, in words; empty means proven.
    """

    precision: Precision
    texts: int
    fits: int
    least: float
    mean: float
    worst: str
    fingerprint: str = ""
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_proven(self) -> bool:
        """Whether its vectors may lie beside those that are stored."""
        return not self.failures


async def prove_against(
    encoder: Encoder, there: Held, *, model: str = "", precision: Precision, prompt: str = ""
) -> Against:
    """Embed the texts again and compare.

    Args:
        model: as the encoder is asked for it.
        precision: that both sides were computed in, at the coarsest.
        prompt: put in front of documents here.
    Raises:
        Mismatch: vectors of another width, or of two fingerprints. What the encoder raises.
    """
    asking = _Asking(encoder, model, there.dim, prompt)
    made = await asking.all(there.kept)
    limits, noise = LIMITS[precision], there.stored.noise
    least = 1 - BOTH * (1 - limits.least) - ROOM * noise
    mean = 1 - BOTH * (1 - limits.mean) - ROOM_OF_MEAN * noise
    kept = [one for one in there.kept if one.name in made]
    if not kept:
        raise BadRequest(f"of {there.label} nothing could be asked; {'; '.join(asking.notes)}")
    cosines = 1 - distances(np.stack([made[one.name] for one in kept]), np.stack([one.vector for one in kept]))
    cosines = np.where(np.isfinite(cosines), cosines, -1.0)
    worst = kept[int(np.argmin(cosines))].name
    floors = (("the least cosine", float(cosines.min()), least, f" at {worst}"),
              ("the mean cosine", float(cosines.mean()), mean, ""))  # fmt: skip
    said = [
        f"{name} is {value:.7f}{where}, {precision} must reach {limit:.7f}"
        for name, value, limit, where in floors
        if not value >= limit
    ]
    notes = [*asking.notes, *([await asking.hint(there.kept, least)] if said and not prompt else [])]
    if said and there.origin and there.origin.late_chunking:
        notes.append(f"{LATE}, so this says nothing against the endpoint")
    return Against(
        precision=precision,
        texts=len(kept),
        fits=int((cosines >= least).sum()),
        least=float(cosines.min()),
        mean=float(cosines.mean()),
        worst=worst,
        fingerprint=asking.fingerprint,
        failures=(*said, *_lengths(there, kept, made), *_claims(there, asking.space)),
        notes=tuple(filter(None, notes)),
    )


def _lengths(there: Held, kept: Sequence[Kept], made: Mapping[str, Array]) -> list[str]:
    """Of probes, which are kept as they were made; rows may have lost theirs where they lie."""
    if there.basis != "probes":
        return []
    ours, theirs = (np.linalg.norm(np.stack(rows), axis=1) for rows in (
        [made[one.name] for one in kept], [one.vector for one in kept]
    ))  # fmt: skip
    off = float(np.median(np.abs(ours - theirs) / np.maximum(theirs, TINY)))
    if off <= LENGTH:
        return []
    return [f"lengths are off by {off:.2e} of those of the probes, and {LENGTH:g} is the most: it normalises otherwise"]


def _claims(there: Held, claimed: str) -> list[str]:
    """What an embedstack server says of itself, beside what is signed."""
    signed = there.origin.identity.space if there.origin else ""
    if not (claimed and signed) or claimed == signed:
        return []
    return [f"it says that it is of the space {claimed}, and {there.label} is signed as of {signed}"]


class _Asking:
    """Requests of one role each, and what was learnt from the answers."""

    def __init__(self, encoder: Encoder, model: str, dim: int, prompt: str) -> None:
        self._encoder, self._model, self._dim, self._prompt = encoder, model, dim, prompt
        self._asked_dim: int | None = None  # where the endpoint makes wider vectors, it is asked to cut them
        self._claims: set[tuple[str, str]] = set()
        self.notes: list[str] = []

    @property
    def fingerprint(self) -> str:
        """Of all replies; empty if they had none."""
        return next((fingerprint for _, fingerprint in self._claims), "")

    @property
    def space(self) -> str:
        """As an embedstack server claims it; empty if none did."""
        return next((space for space, _ in self._claims), "")

    async def all(self, kept: Sequence[Kept]) -> dict[str, Array]:
        """By name; those of a role that the endpoint has no word for are left out."""
        made: dict[str, Array] = {}
        for role, members in groupby(sorted(kept, key=lambda one: one.role), key=lambda one: one.role):
            group = list(members)
            try:
                made |= await self._some(group)
            except Unsupported as error:
                if role == "document":
                    raise
                self.notes.append(f"{len(group)} texts of role {role!r} are left out: {error}")
        return made

    async def _some(self, group: Sequence[Kept]) -> dict[str, Array]:
        made: dict[str, Array] = {}
        for start in range(0, len(group), MOST_ITEMS):
            few = group[start : start + MOST_ITEMS]
            made |= zip([one.name for one in few], await self._rows(few, self._prompt), strict=True)
        return made

    async def _rows(self, few: Sequence[Kept], prompt: str) -> Array:
        """(texts, dim)."""
        before = [prompt if one.role == "document" else "" for one in few]
        items = tuple(Text(f"{words}{one.text}", one.role) for words, one in zip(before, few, strict=True))
        request = Encode(model=self._model, items=items, dim=self._asked_dim)
        answer = await self._encoder.encode(request)
        rows = answer.dense
        if rows is not None and rows.shape[1] > self._dim and self._asked_dim is None:
            self._asked_dim = self._dim
            answer = await self._encoder.encode(replace(request, dim=self._dim))
            rows = answer.dense
        if rows is None or rows.shape != (len(few), self._dim):
            shape = "none" if rows is None else f"{len(rows)} of {rows.shape[1]} numbers"
            raise Mismatch(
                f"for {len(few)} texts the endpoint gives vectors: {shape}; those that are stored have {self._dim}, so "
                "another model made them"
            )
        self._note(claim_of(answer), answer.fingerprint)
        return np.asarray(rows, np.float64)

    def _note(self, space: str, fingerprint: str) -> None:
        self._claims.add((space, fingerprint))
        if len(self._claims) > 1:
            told = " and ".join(sorted(fingerprint or "none" for _, fingerprint in self._claims))
            raise Mismatch(
                f"the replies carry two fingerprints, {told}: different servers or settings answer there, so prove "
                "each of them on its own"
            )

    async def hint(self, kept: Sequence[Kept], least: float) -> str:
        """A known prompt with which it fits; empty if none does."""
        documents = sorted((one for one in kept if one.role == "document"), key=lambda one: len(one.text))[:TASTED]
        for prompt in known_prompts() if documents else []:
            rows = await self._rows(documents, prompt)
            if (1 - distances(rows, np.stack([one.vector for one in documents])) >= least).all():
                return f"with {prompt!r} in front of texts it would fit: its clients must put it there; see --prompt"
        return ""
