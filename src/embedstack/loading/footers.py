"""What stands under `embedstack` in the metadata of a Parquet file -> whose vectors are in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from embedstack.errors import BadRequest, Mismatch
from embedstack.origin import Identity, Origin, Probe, check_space

UNTOLD = 0  # tokens that the model takes, where the file does not say


class _OfJob(msgspec.Struct):
    """As `jobs.table.footer` writes it."""

    identity: Identity
    probes: tuple[Probe, ...] = ()
    plan: str = ""
    shard: int = -1
    role: str = "document"


class _OfCommand(msgspec.Struct):
    """As `embedstack embed --format parquet` writes it."""

    model: str
    revision: str
    space: str
    fingerprint: str
    dim: int
    encoder: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What a file says."""

    origin: Origin
    shard: tuple[str, int] | None = None  # of a job's part: digest of the plan, and number


def said_by(footer: bytes, key: str) -> Said | None:
    """None where there is no footer.

    Raises:
        Mismatch: it cannot be read.
    """
    if not footer:
        return None
    try:
        found = msgspec.json.decode(footer)
        if isinstance(found, Mapping) and "identity" in found:
            job = msgspec.convert(found, _OfJob)
            origin = Origin(identity=job.identity, role=job.role, probes=job.probes)
            return Said(origin, (job.plan, job.shard) if job.plan else None)
        return Said(Origin(identity=_identity(msgspec.convert(found, _OfCommand))))
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise Mismatch(
            f"what {key!r} says in its metadata about whose vectors it holds cannot be read: {error}; "
            "write the file again"
        ) from error


def one_origin(said: Sequence[tuple[str, Said | None]]) -> Origin | None:
    """What all files say; None where none says anything.

    Raises:
        Mismatch: they are of two spaces, or two attempts at one shard of a job. BadRequest: only some say it.
    """
    known = [(key, one) for key, one in said if one is not None]
    silent = [key for key, one in said if one is None]
    if not known:
        return None
    if silent:
        raise BadRequest(
            f"{known[0][0]!r} says whose vectors it holds and {silent[0]!r} does not; load them one after the other"
        )
    first_key, first = known[0]
    for key, one in known[1:]:
        check_space(one.origin, first.origin, f"of the files {first_key!r} and {key!r}, which do not agree, the second")
    _check_shards(known)
    return first.origin


def _check_shards(known: Sequence[tuple[str, Said]]) -> None:
    seen: dict[tuple[str, int], str] = {}
    for key, one in known:
        if one.shard is None:
            continue
        if one.shard in seen:
            raise Mismatch(
                f"{seen[one.shard]!r} and {key!r} are two attempts at one shard of a job; name the job's folder, whose "
                "manifest tells which one counts"
            )
        seen[one.shard] = key


def _identity(said: _OfCommand) -> Identity:
    return Identity(
        model=said.model,
        revision=said.revision,
        space=said.space,
        fingerprint=said.fingerprint,
        dim=said.dim,
        max_tokens=UNTOLD,
        encoder=said.encoder,
    )
