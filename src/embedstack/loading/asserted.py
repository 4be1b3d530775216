"""Rows of which nobody wrote down whose vectors they are, and a model -> that they are its own, found by trying."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from embedstack import __version__
from embedstack.api import open_for_job
from embedstack.chunks.chunk import Chunking, Ruler
from embedstack.errors import BadRequest, Mismatch
from embedstack.inputs.measure import TextRuler
from embedstack.jobs.opened import Opened, opened
from embedstack.jobs.plan import Exact, Wish
from embedstack.loading.found import spread
from embedstack.loading.pieces import Place
from embedstack.loading.text_keys import TEXT, known_key
from embedstack.modelspec import ModelSpec
from embedstack.origin import Origin, as_stated
from embedstack.settings import Settings
from embedstack.types import Encode, Encoder, Floats, Text

ROLE = "document"
CALLER = "load"
MOST = 16  # rows that are embedded again
CANDIDATES = 4 * MOST  # of which they are chosen: those that the model reads to their end
LEAST = 0.999  # cosine: all precisions but int8 keep 0.9998, see `proof.fidelity.LIMITS`
ROUNDED = 0.99  # what the model made in int8 is nearer to it than this
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Sample:
    """A row that has a text."""

    place: str  # for messages: "line 3 of 'a.jsonl'"
    text: str
    vector: Floats  # (dim,)
    key: str = TEXT  # of the text


Candidate: TypeAlias = tuple[Place, Mapping[str, str], Floats]
"""A row: its texts by key, and its vector (dim,)."""


@dataclass(frozen=True, slots=True)
class Asserted:
    """What was found."""

    origin: Origin
    notes: tuple[str, ...]  # for people


Ask = Callable[[Sequence[Sample], int], Asserted]
"""Rows that have texts, and the width of all rows -> whose they are. See `asking`."""


def asking(model: str, label: str, settings: Settings, say: Say) -> Ask:
    """For rows of a source of that name. It is asked only if they do not say themselves whose they are.

    Args:
        model: "" if none was named, then it raises BadRequest.
    """

    def ask(samples: Sequence[Sample], dim: int) -> Asserted:
        check_model(model, label)
        return whose(samples, dim, model, settings, say)

    return ask


def samples_of(rows: Sequence[Candidate]) -> list[Sample]:
    """Those that have a text under the key that is the first known one of them all."""
    counts = Counter(key for _, texts, _ in rows for key in texts)
    key = known_key(counts, len(rows)) or next(iter(counts), "")  # the last is one that the user named
    return [Sample(str(place), texts[key], vector, key) for place, texts, vector in rows if key in texts]


def check_model(model: str, label: str) -> None:
    """Raises: BadRequest: no model was named for rows that do not say whose they are."""
    if not model:
        raise BadRequest(
            f"{label} does not say whose vectors it holds; name the model that made them with --model, and some rows "
            "are embedded again to see whether it did"
        )


def whose(samples: Sequence[Sample], dim: int, model: str, settings: Settings, say: Say) -> Asserted:
    """Open a model, embed the texts of some rows again, and close it.

    Args:
        samples: some more rows than are embedded, at most `CANDIDATES`.
        dim: of the rows.
    Raises:
        Mismatch: another width, or a row that this model would not have made. As `api.open_for_job`.
    """
    made = open_for_job(replace(settings, lanes=settings.lanes or 1), model, say)  # nothing is measured for a few texts
    try:
        spec = made.loaded.spec
        usable = [one for one in samples if len(one.text) <= settings.max_text_chars]
        return asyncio.run(asserted(made.engine, TextRuler(made.loaded.text, spec, ROLE), spec, usable, dim))
    finally:
        made.engine.close()


async def asserted(encoder: Encoder, ruler: Ruler, spec: ModelSpec, samples: Sequence[Sample], dim: int) -> Asserted:
    """As `whose`, with a model that is open."""
    if dim not in (spec.dim, *spec.cuts):
        widths = " or ".join(map(str, (spec.dim, *spec.cuts)))
        raise Mismatch(
            f"the rows have vectors of {dim} numbers, and {spec.name!r} makes {widths}; name the model that made them"
        )
    whole = Chunking(strategy="whole", tokens=ruler.max_tokens)
    wish = Wish(inputs=(), model=spec.name, role=ROLE, dim=None if dim == spec.dim else dim, chunking=whole)
    here = await opened(encoder, wish, ruler, Exact(where="here", version=__version__))
    origin = Origin(identity=here.identity, role=ROLE, probes=here.probes, basis="proven")
    chosen = _chosen(samples, ruler)
    if not chosen:
        note = (
            "no row has a text to compare by (--text-key names its key): that the vectors are of "
            f"{spec.name!r} is only what you say"
        )
        return Asserted(as_stated(origin), (note,))
    least = _check(chosen, await _made(here, wish, chosen), spec.name)
    by = "" if chosen[0].key == TEXT else f" from their texts under {chosen[0].key!r}"
    note = (
        f"{len(chosen)} rows were embedded again by {spec.name!r}{by}: the least cosine to their vectors is {least:.6f}"
    )
    return Asserted(origin, (note,))


async def _made(here: Opened, wish: Wish, chosen: Sequence[Sample]) -> Floats:
    """(samples, dim). What is too long is cut at its end, as most do who embed."""
    items = tuple(Text(one.text, ROLE) for one in chosen)
    request = Encode(model=here.model, items=items, dim=wish.dim, priority="bulk", caller=CALLER, whole=True)
    dense = (await here.encoder.encode(request)).dense
    if dense is None:
        raise Mismatch(f"{here.model!r} gave no dense vectors; name the model that made the rows")
    return dense


def _check(chosen: Sequence[Sample], made: Floats, name: str) -> float:
    cosines = _cosines(np.stack([one.vector for one in chosen]), made)
    worst = int(np.argmin(cosines))
    if not cosines[worst] >= LEAST:
        key = chosen[worst].key
        under, other = ("", "") if key == TEXT else (f" under {key!r}", ", or with --text-key what was embedded")
        raise Mismatch(
            f"the vector of {chosen[worst].place} has cosine {cosines[worst]:.4f} to what {name!r} makes of its text"
            f"{under}, and {LEAST} is the least; name the model that made the rows{other}"
            + (", or set EMBEDSTACK_PRECISION=int8 if it made them in int8" if cosines[worst] >= ROUNDED else "")
        )
    return float(cosines[worst])


def _cosines(rows: Floats, others: Floats) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """(rows,); of a vector that has no direction -1."""
    left, right = rows.astype(np.float64), others.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    products = np.einsum("ij,ij->i", left, right)
    is_sound = np.isfinite(products) & (lengths > 0)
    return np.where(is_sound, products / np.where(is_sound, lengths, 1.0), -1.0)


def _chosen(samples: Sequence[Sample], ruler: Ruler) -> list[Sample]:
    """Of those that the model reads to their end, else of those that it cuts."""
    lengths = [(one, _tokens(one, ruler)) for one in samples]
    fitting = [one for one, tokens in lengths if 0 < tokens <= ruler.max_tokens]
    usable = fitting or [one for one, tokens in lengths if tokens]
    return [usable[place] for place in spread(len(usable), MOST)]


def _tokens(one: Sample, ruler: Ruler) -> int:
    """0 of a text that the model does not take."""
    with suppress(BadRequest):
        return ruler.count([one.text])[0]
    return 0
