"""What a space is known by <-> a file, so that it is known also when the first endpoint cannot be asked."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from embedstack.catalog.digests import write_whole
from embedstack.client.identity import unknown_spec
from embedstack.client.space import CLAIMED, DOCUMENTS, Anchor, is_unknown
from embedstack.errors import ConfigError
from embedstack.proof.probes import digest
from embedstack.types import Floats


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: str
    name: str
    weights: str
    space: str
    fingerprint: str
    probes: str
    rows: dict[str, str]  # base64 of little-endian float32


def write_anchor(anchor: Anchor, path: Path) -> None:
    """Keep what a space is known by.

    Raises:
        ConfigError: the file cannot be written.
    """
    spec = anchor.spec
    record = _Record(
        source=anchor.source,
        name=spec.name,
        weights=spec.weights if is_unknown(spec) else f"{CLAIMED}{spec.space}",
        space=anchor.space,
        fingerprint=anchor.fingerprint,
        probes=digest(),
        rows={name: base64.b64encode(row.astype("<f4").tobytes()).decode() for name, row in anchor.rows.items()},
    )
    try:
        write_whole(path, msgspec.json.format(msgspec.json.encode(record), indent=1))
    except OSError as error:
        raise ConfigError(f"probes {str(path)!r} cannot be written ({error.strerror}); name another file") from error


def read_anchor(path: Path) -> Anchor | None:
    """What was kept; None if there is no file yet.

    Raises:
        ConfigError: it cannot be read, or is of other probes: to overlook it would take any vectors for right.
    """
    try:
        record = msgspec.json.decode(path.read_bytes(), type=_Record)
        rows = {name: np.frombuffer(base64.b64decode(row, validate=True), "<f4") for name, row in record.rows.items()}
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, binascii.Error, ValueError) as error:
        raise ConfigError(f"probes {str(path)!r} cannot be read ({error}); delete it to make it anew") from error
    widths = {len(row) for row in rows.values()}
    if record.probes != digest() or not {*DOCUMENTS} <= rows.keys() or len(widths) != 1 or not _are_finite(rows):
        raise ConfigError(f"probes {str(path)!r} are not of this version's texts; delete the file to make it anew")
    spec = replace(unknown_spec("", record.name, widths.pop()), weights=record.weights)
    source = f"the probes in {path.name!r}, of {record.source}"
    return Anchor(source, spec, record.space, rows, fingerprint=record.fingerprint, giver=record.source)


def _are_finite(rows: Mapping[str, Floats]) -> bool:
    return all(bool(np.isfinite(row).all()) for row in rows.values())
