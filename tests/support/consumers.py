"""An exported file and token ids -> the rows that any program with ONNX Runtime would get of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime

Side = Literal["left", "right"]
MORE = 3  # places of padding that nobody needs


def consume(out: Path, name: str, items: Sequence[np.ndarray], side: Side) -> np.ndarray:
    """One row for each item, or for each token where the output is of tokens."""
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    fed = padded(items, side)
    (made,) = session.run([name], {given.name: fed[given.name] for given in session.get_inputs()})
    real = fed["attention_mask"] == 1
    return made[real] if made.shape[:2] == real.shape else made


def padded(items: Sequence[np.ndarray], side: Side) -> dict[str, np.ndarray]:
    """What a consumer sends: padding ids are those that a text may hold as well."""
    length = max(map(len, items)) + MORE
    fed = {name: np.ones((len(items), length), np.int64) for name in ("input_ids", "token_type_ids")}
    fed["attention_mask"] = np.zeros((len(items), length), np.int64)
    for row, ids in enumerate(items):
        place = slice(0, len(ids)) if side == "right" else slice(length - len(ids), length)
        fed["input_ids"][row, place], fed["token_type_ids"][row, place] = ids, 0
        fed["attention_mask"][row, place] = 1
    return fed
