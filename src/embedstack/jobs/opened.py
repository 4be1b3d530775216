"""An Encoder and a wish -> the same with the identity of its vectors, found out by asking it for the probes."""

import asyncio
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from embedstack.chunks.chunk import Ruler
from embedstack.chunks.chunking import check
from embedstack.dialects.wire import encoder_of
from embedstack.errors import Upstream
from embedstack.jobs.plan import Exact, Wish
from embedstack.modelspec import ModelSpec, Output
from embedstack.origin import Identity, Probe, packed
from embedstack.proof import probes as proof
from embedstack.types import Encode, Encoded, Encoder, Floats, Text

CALLER = "job"
SHORT = ("short", "d-yeast", "d-refund", "cyrillic")
LONG = ("past-512", "past-256", "past-128", "medium")  # the longest that fits
SHORTEST = ("word", "letter")  # of a model that takes no sentence


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that a job can use."""

    encoder: Encoder
    spec: ModelSpec
    ruler: Ruler
    identity: Identity
    exact: Exact
    probes: tuple[Probe, ...]
    name: str = ""  # that the encoder knows it by; the model's own if empty

    @property
    def model(self) -> str:
        """What requests name."""
        return self.name or self.spec.name


async def opened(encoder: Encoder, wish: Wish, ruler: Ruler, exact: Exact, *, is_here: bool = True) -> Opened:
    """Ask for the probes as the job's texts are asked for.

    Args:
        is_here: as `asking` takes it.
    Raises:
        What the encoder raises: another width, sparse vectors or late chunking that the model does not have, ...
        BadRequest: documents cannot be cut so for this model, see `chunks.chunking.check`.
    """
    name = _name(encoder, wish.model)
    await asyncio.to_thread(check, wish.chunking, ruler)  # a ruler may wait for this loop
    asked = await asyncio.to_thread(_probes, encoder, name, ruler)
    chosen = [Text(text, wish.role) for text in asked.values()]
    first = await _encoded(encoder, wish, name, chosen, is_here=is_here)
    spec, dense = first.spec, _dense(first)
    identity = Identity(
        model=spec.name,
        revision=spec.revision,
        space=spec.space,
        fingerprint=first.fingerprint,
        dim=dense.shape[1],
        max_tokens=ruler.max_tokens,
        encoder=encoder_of(spec),
    )
    kept = tuple(
        Probe(probe, wish.role, text, packed(row)) for (probe, text), row in zip(asked.items(), dense, strict=True)
    )
    return Opened(encoder, spec, ruler, identity, exact, kept, name)


async def reprobed(probes: Sequence[Probe], opened: Opened, wish: Wish, *, is_here: bool = True) -> Opened:
    """The same with other probes: those of a plan that another version made, which chose other texts.

    Args:
        is_here: as `asking` takes it.
    """
    said = {(probe.name, probe.text) for probe in opened.probes}
    if {(probe.name, probe.text) for probe in probes} == said:
        return opened
    texts = [Text(probe.text, probe.role) for probe in probes]
    dense = _dense(await _encoded(opened.encoder, wish, opened.model, texts, is_here=is_here))
    made = [replace(probe, vector=packed(row)) for probe, row in zip(probes, dense, strict=True)]
    return dataclasses.replace(opened, probes=tuple(made))


def asking(
    model: str, items: Sequence[Text], wish: Wish, *, is_here: bool = True, late_chunking: bool = False
) -> Encode:
    """The request for vectors of a job.

    Args:
        is_here: the engine is in this process, so it can pack a request by its lengths alone and refuse what is too
            long. Few dialects have words for that; elsewhere what was cut is told by the answer.
        late_chunking: the items are all parts of one text; it may be longer than what the model takes.
    """
    outputs: set[Output] = {"dense", "sparse"} if wish.sparse else {"dense"}
    return Encode(
        model=model,
        items=tuple(items),
        outputs=frozenset(outputs),
        dim=wish.dim,
        truncate="refuse" if is_here and not late_chunking else "right",
        priority="bulk",
        caller=CALLER,
        whole=is_here,
        late_chunking=late_chunking,
    )


async def _encoded(encoder: Encoder, wish: Wish, name: str, texts: Sequence[Text], *, is_here: bool) -> Encoded:
    """All of them at once; for late chunking each as a text of one part."""
    if not wish.late_chunking:
        return await encoder.encode(asking(name, texts, wish, is_here=is_here))
    answers = [await encoder.encode(asking(name, [text], wish, is_here=is_here, late_chunking=True)) for text in texts]
    rows = np.concatenate([_dense(answer) for answer in answers])
    first = answers[0]
    return Encoded(spec=first.spec, fingerprint=first.fingerprint, usage=first.usage, dense=rows)


def _dense(encoded: Encoded) -> Floats:
    if encoded.dense is None:
        raise Upstream(f"{encoded.spec.name!r} gave no dense vectors; a job's table holds these")
    return encoded.dense


def _name(encoder: Encoder, wished: str) -> str:
    """What the encoder calls it: an engine that was opened for one model may know it by another name."""
    names = [spec.name for spec in encoder.models() if spec.task == "embed"]
    return names[0] if len(names) == 1 else wished


def _probes(encoder: Encoder, model: str, ruler: Ruler) -> dict[str, str]:
    """Texts by their names: some short ones and a long one, of those that fit."""
    specs = encoder.models()
    spec = next((spec for spec in specs if spec.name == model), specs[0])
    known = {probe.name: probe.item.text for probe in proof.probes(spec).all if isinstance(probe.item, Text)}
    wanted = [name for name in (*LONG, *SHORT, *SHORTEST) if name in known]
    counts = zip(wanted, ruler.count([known[name] for name in wanted]), strict=True)
    fitting = [name for name, count in counts if count <= ruler.max_tokens]
    long = next(([name] for name in LONG if name in fitting), [])
    chosen = [name for name in SHORT if name in fitting] + long or [name for name in SHORTEST if name in fitting]
    return {name: known[name] for name in chosen}
