"""`embedstack models prove --url ... --against ...`: an endpoint is proven by vectors that are stored."""

import asyncio
import json
from dataclasses import dataclass

import click

from embedstack.catalog.network import to_stderr
from embedstack.client.client import Client
from embedstack.client.endpoint import Endpoint
from embedstack.errors import Mismatch
from embedstack.identifying.against import Against, prove_against
from embedstack.identifying.held import Held, held
from embedstack.identifying.opening import Place
from embedstack.modelspec import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The endpoint, and how it is asked.

    Args:
        model: its name there.
        prompt: put in front of texts here.
        precision: that it is held to.
    """

    url: str
    dialect: str
    model: str
    key: str
    prompt: str
    precision: Precision


def prove_stored(place: Place, text_key: str, asked: Asked, *, is_json: bool) -> None:
    """Print what was found.

    Raises:
        Mismatch: its vectors may not lie beside those that are stored. As `held` and `prove_against`.
    """
    there, where = held(place, text_key), Endpoint(asked.url, asked.key).shown

    async def compared() -> Against:
        async with Client(asked.url, model=asked.model, dialect=asked.dialect, key=asked.key) as client:
            return await prove_against(client, there, model=asked.model, precision=asked.precision, prompt=asked.prompt)

    found = asyncio.run(compared())
    click.echo(json.dumps(_fields(where, there, found), indent=2) if is_json else _text(where, there, found))
    for note in found.notes:
        to_stderr(note)
    if not found.is_proven:
        raise Mismatch(f"{where} is not proven against {there.label}: {'; '.join(found.failures)}")


def _text(where: str, there: Held, found: Against) -> str:
    stated = ", which is only stated" if there.origin and there.origin.basis == "stated" else ""
    signed = f"signed as of {there.origin.name}{stated}" if there.origin else "not signed"
    verdict = "proven: its vectors may lie beside these" if found.is_proven else "not proven: not of their space"
    return "\n".join([
        f"{where} against {there.label} ({signed})",
        f"{found.texts} texts ({there.basis}), {there.dim} numbers stored as {there.stored.name}, "
        f"held to {found.precision}",
        f"cosine min {found.least:.7f}, mean {found.mean:.7f}; {found.fits} of {found.texts} fit",
        "",
        verdict,
    ])  # fmt: skip


def _fields(where: str, there: Held, found: Against) -> dict[str, object]:
    return {
        "where": where,
        "against": there.label,
        "signed": there.origin.identity.space if there.origin else None,
        "signature": there.origin.basis if there.origin else None,
        "basis": there.basis,
        "texts": found.texts,
        "dim": there.dim,
        "stored_as": there.stored.name,
        "precision": found.precision,
        "proven": found.is_proven,
        "least": found.least,
        "mean": found.mean,
        "fits": found.fits,
        "worst": found.worst,
        "fingerprint": found.fingerprint,
        "failures": list(found.failures),
        "notes": list(found.notes),
    }
