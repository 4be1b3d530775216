"""Truth vectors <-> one file, beside the weights or in the cache, read without trust; nothing is computed here."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from embedstack.catalog.catalog import COMMIT, Wanted, parse
from embedstack.catalog.store import Store
from embedstack.modelspec import ModelSpec, Output
from embedstack.proof.drawn import is_picture
from embedstack.proof.probes import Probe, digest
from embedstack.types import Floats

FILE = "truth.npz"
SHIPPED = Path(__file__).parent / "truth"
# a vector for each token is large, so of these probes only
WITH_MULTI = ("word", "short", "short-query", "punctuation", "cyrillic", "chinese", "past-128")
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what else there is fails in ways of its own
# what numpy, zipfile and what unpacks for it raise of bytes that anything may have happened to
BROKEN = (
    OSError, EOFError, MemoryError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RuntimeError,
    SyntaxError, struct.error, zipfile.BadZipFile, zlib.error, msgspec.MsgspecError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Truth:
    """What the probes of one space must get. `rows`: by output, then by probe; see `fidelity.Rows`.

    Dense rows are as pooled, before they are brought to length 1, so that lengths can be judged too.
    """

    space: str
    rows: Mapping[Output, Mapping[str, Floats]]

    def has(self, probe: Probe, outputs: Iterable[Output]) -> bool:
        """Whether the probe has a row of each output that is kept for it."""
        return all(not due(output, [probe.name]) or probe.name in self.rows.get(output, {}) for output in outputs)


class _About(msgspec.Struct, frozen=True):
    """What a file says of itself; `names` and `ends`: which rows of an output's array are of which probe."""

    space: str
    probes: str
    names: dict[Output, list[str]]
    ends: dict[Output, list[int]]


def kept(spec: ModelSpec, cache_dir: Path) -> Truth | None:
    """What was made before for this very space, or came with the package; None if there is nothing."""
    for path in (place(spec, cache_dir), *sorted(SHIPPED.glob("*.npz"))):
        if path.is_file() and (truth := read(path, spec)) is not None:
            return truth
    return None


def place(spec: ModelSpec, cache_dir: Path) -> Path:
    """Beside the weights of a model that was pulled; for a user's own folder, which is not written to, by its space."""
    if COMMIT.fullmatch(spec.revision) and isinstance(wanted := parse(f"{_repo(spec)}@{spec.revision}"), Wanted):
        folder = Store(cache_dir).folder(wanted.repo, spec.revision)
        if folder.is_dir():
            return folder / FILE
    return cache_dir / "truth" / f"{spec.space}.npz"


def _repo(spec: ModelSpec) -> str:
    """The name without the revision that it may hold."""
    return spec.name.partition("@")[0]


def due(output: Output, names: Iterable[str]) -> list[str]:
    """Which of these probes an output is kept for."""
    texts = [name for name in names if output == "dense" or not is_picture(name)]
    return [name for name in texts if output != "multi" or name in WITH_MULTI]


def packed(truth: Truth) -> bytes:
    """The file: one array of rows for each output, and what is where."""
    about = _About(
        space=truth.space,
        probes=digest(),
        names={output: list(rows) for output, rows in truth.rows.items()},
        ends={
            output: np.cumsum([len(_flat(r)) for r in rows.values()]).tolist() for output, rows in truth.rows.items()
        },
    )
    arrays = {output: np.concatenate([_flat(r) for r in rows.values()]) for output, rows in truth.rows.items() if rows}
    file = io.BytesIO()
    np.savez_compressed(file, about=np.array(msgspec.json.encode(about).decode()), **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def read(path: Path, spec: ModelSpec) -> Truth | None:
    """The truth in a file; None if it is of another space or of other probes, or broken: then it is made anew."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            if any(part.compress_type not in PACKED for part in file.zip.infolist()):
                return None
            about = msgspec.json.decode(str(file["about"]), type=_About)
            if (about.space, about.probes) != (spec.space, digest()):
                return None
            return Truth(spec.space, {output: _split(about, output, file, spec) for output in about.names})
    except BROKEN:
        return None


def _split(about: _About, output: Output, file: Mapping[str, Floats], spec: ModelSpec) -> dict[str, Floats]:
    names, ends = about.names[output], about.ends[output]
    if not names:
        return {}
    values, starts = file[output], [0, *ends[:-1]]
    shape = (ends[-1], _width(output, spec))
    if values.dtype != np.float32 or values.shape != shape or not np.isfinite(values).all():
        raise ValueError(f"{output} rows are not as the file says")
    is_single = output in ("dense", "score")
    if any(stop - start != 1 if is_single else stop < start for start, stop in zip(starts, ends, strict=True)):
        raise ValueError(f"{output} rows are not one after the other")
    rows = [values[start:stop] for start, stop in zip(starts, ends, strict=True)]
    return {name: row[0] if is_single else row for name, row in zip(names, rows, strict=True)}


def _width(output: Output, spec: ModelSpec) -> int:
    """Numbers in one row; see `fidelity.Rows`. Dense rows are as pooled, before anything is cut."""
    match output:
        case "dense":
            return spec.dim
        case "multi" | "states":
            return spec.architecture.hidden
        case "sparse":
            return 2
        case "score":
            return spec.labels


def _flat(row: Floats) -> Floats:
    return np.atleast_2d(row) if row.size else row.reshape(0, row.shape[-1])
