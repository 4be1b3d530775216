"""The golden parts of a table, as other people's readers must read them: `python tests/support/golden_parts.py`.

Those in tests/golden/jobs were written with PyArrow 26.0.1; readers are DuckDB, polars and PyArrow.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a program

from msgspec.structs import replace

from embedstack.jobs.plan import Wish
from embedstack.jobs.table import write_part
from embedstack.storage.local import LocalStorage
from support.tables import WISH, planned, rows_of

GOLDEN = Path(__file__).parents[1] / "golden" / "jobs"
DOCS = {"a.md": ["a red bird", "two grey birds fly"], "б.md": ["птица"]}
HALF = replace(WISH, storing="float16", with_text=False)
WISHES = {
    "plain": WISH,
    "half": HALF,
    "sparse": replace(WISH, sparse=True),
    "zstd": replace(WISH, compression="zstd"),
}


def write_golden(path: Path, wish: Wish) -> Path:
    """One part."""
    with tempfile.TemporaryDirectory() as folder:
        write_part(path, rows_of(DOCS, wish), planned(LocalStorage(Path(folder)), [DOCS], wish), 0)
    return path


if __name__ == "__main__":
    for name, wish in WISHES.items():
        print(write_golden(GOLDEN / f"part-{name}.parquet", wish))
