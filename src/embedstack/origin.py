"""Whose vectors these are, as it is written beside them: in a table's footer, in a database."""

import base64
from typing import Literal

import msgspec
import numpy as np

from embedstack.errors import Mismatch
from embedstack.types import Floats

Basis = Literal["made", "proven", "stated"]
"""How the origin is known: written by who made the vectors, found by making some of them again, or only said so."""


class Identity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose vectors these are. Another `fingerprint` is another job."""

    model: str
    revision: str
    space: str
    fingerprint: str
    dim: int
    max_tokens: int
    encoder: str = ""  # where it is not ours: see `dialects.wire.encoder_of`


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fixed text and the vector that it got when the set was made."""

    name: str
    role: str
    text: str
    vector: str  # base64 of little-endian float32


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What a database keeps of one vector field. Fields that a later version adds are left alone when it is read."""

    identity: Identity
    role: str = "document"  # as which texts were read
    probes: tuple[Probe, ...] = ()
    basis: Basis = "made"
    late_chunking: bool = False  # each text was read with its document around it, so alone it gives another vector

    @property
    def evidence(self) -> tuple[Probe, ...]:
        """Probes that tell of the vectors beside them; of what is only stated none, whatever stands there."""
        return () if self.basis == "stated" else self.probes

    @property
    def name(self) -> str:
        """For messages: the model and the first digits of its space."""
        return f"{self.identity.model!r} (space {self.identity.space[:12]}…)"


LATE = "they were made with late chunking: each text was read with its document around it, and gives another alone"


def as_stated(origin: Origin) -> Origin:
    """The same as somebody only says it: without probes, which would be of that model whoever made the vectors."""
    return msgspec.structs.replace(origin, basis="stated", probes=())


def check_space(there: Origin, wanted: Origin, place: str) -> None:
    """Vectors of both may be compared.

    Args:
        place: where the first ones lie, for the message: "collection 'docs'".
    Raises:
        Mismatch: they are of two spaces, or of two widths of one.
    """
    mine, theirs = wanted.identity, there.identity
    if theirs.space != mine.space:
        raise Mismatch(
            f"{place} holds vectors of {there.name}, and these are of {wanted.name}; vectors of two spaces cannot be "
            "compared: use another collection or another vector name, or embed again with the first model"
        )
    if theirs.dim != mine.dim:
        raise Mismatch(
            f"{place} holds {theirs.dim} numbers of each vector of {there.name}, and these have {mine.dim}; "
            f"make them with a width of {theirs.dim}"
        )


def vector_of(probe: Probe) -> Floats:
    """(dim,)."""
    return np.frombuffer(base64.b64decode(probe.vector), "<f4").astype(np.float32)


def packed(row: Floats) -> str:
    """A vector as a probe keeps it."""
    return base64.b64encode(row.astype("<f4").tobytes()).decode()
