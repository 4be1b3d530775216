"""A finished job's table -> one npy or JSON lines file, some thousand rows at a time."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import orjson

from embedstack.errors import BadRequest, ConfigError
from embedstack.jobs.finished import Finished, finished, opened_part
from embedstack.jobs.rows import Rows, stored
from embedstack.storage.storage import Storage

ExportForm = Literal["npy", "jsonl"]
Say = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    rows: int
    files: tuple[Path, ...]  # of npy the matrix, and beside it OUTPUT.ids.jsonl with what each of its rows is


def export(storage: Storage, form: ExportForm, output: Path | None, say: Say | None = None) -> Exported:
    """All rows, in order; a file appears under its name only when all of it is written.

    Args:
        output: stdout if None, which only jsonl can go to.
        say: told how many rows were written, and of how many.
    Raises:
        Missing: there is no job. Mismatch: it is not finished, or a part is not as the manifest says.
        BadRequest: npy to stdout. ConfigError: the output cannot be written.
    """
    table = finished(storage)
    match form:
        case "npy":
            return Exported(table.manifest.rows, _write_matrix(table, output, say))
        case "jsonl":
            return Exported(table.manifest.rows, _write_lines(table, output, say))


def _write_lines(table: Finished, output: Path | None, say: Say | None) -> tuple[Path, ...]:
    with nullcontext(sys.stdout.buffer) if output is None else _whole(output) as file:
        for rows in _groups(table, say):
            for place in range(len(rows)):
                line = {**_about(rows, place), "embedding": rows.vectors[place], "fingerprint": _fingerprint(table)}
                file.write(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
    return () if output is None else (output,)


def _write_matrix(table: Finished, output: Path | None, say: Say | None) -> tuple[Path, Path]:
    """Both appear when both are written."""
    if output is None:
        raise BadRequest("npy is two files, the vectors and what they are of; name the first with --output FILE")
    names = output.with_name(f"{output.name}.ids.jsonl")
    storing, shape = table.plan.wish.storing, (table.manifest.rows, table.plan.identity.dim)
    with ExitStack() as stack:
        ids, matrix = stack.enter_context(_whole(names)), stack.enter_context(_whole(output))
        descr = "<f4" if storing == "float32" else "<f2"
        np.lib.format.write_array_header_1_0(matrix, {"descr": descr, "fortran_order": False, "shape": shape})
        for rows in _groups(table, say):
            matrix.write(stored(rows.vectors, storing).tobytes())
            ids.writelines(orjson.dumps(_about(rows, place)) + b"\n" for place in range(len(rows)))
    return output, names


def _about(rows: Rows, place: int) -> dict[str, object]:
    """A row without its vector."""
    about: dict[str, object] = {
        "doc_id": rows.doc_ids[place],
        "chunk_id": rows.chunk_ids[place],
        "chunk_index": rows.indexes[place],
        "metadata": orjson.Fragment(rows.metadata[place]),
        "tokens": rows.tokens[place],
    }
    if rows.texts is not None:
        about["text"] = rows.texts[place]
    if rows.sparse is not None:
        row = rows.sparse[place]
        about["sparse"] = {"indices": row.ids.tolist(), "values": row.weights.tolist()}
    return about


def _groups(table: Finished, say: Say | None) -> Iterator[Rows]:
    done = 0
    for part in table.manifest.parts:
        with opened_part(table.storage, part) as reader:
            for rows in reader.groups():
                yield rows
                done += len(rows)
                if say:
                    say(done, table.manifest.rows)


def _fingerprint(table: Finished) -> str:
    return table.plan.identity.fingerprint


@contextmanager
def _whole(output: Path) -> Iterator[BinaryIO]:
    """A file that gets its name at the end; none is left of what failed."""
    partial = output.with_name(f"{output.name}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(output)
    except OSError as error:
        problem = f"{str(output)!r} cannot be written: {error.strerror or error}"
        raise ConfigError(f"{problem}; choose another place with --output") from error
    finally:
        partial.unlink(missing_ok=True)
