"""A small folder of CLIP that takes texts and pictures, and a runtime that says what it was given."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from embedstack.modelspec import Output
from embedstack.types import Batch, Vectors
from support import towers
from support.families import write
from support.pictures import picture, saved

DIM, SIDE, PATCH = 20, 27, 4
TOKENS = (SIDE // PATCH) ** 2 + 1
VOCAB = towers.clip_tokenizer().get_vocab_size()
TEXT_CONFIG: Mapping[str, object] = {
    "hidden_size": 36,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "intermediate_size": 40,
    "vocab_size": VOCAB,
    "max_position_embeddings": towers.POSITIONS,
    "layer_norm_eps": 1e-3,
    "eos_token_id": 2,
}
VISION_CONFIG: Mapping[str, object] = {
    "hidden_size": 30,
    "num_attention_heads": 5,
    "num_hidden_layers": 3,
    "intermediate_size": 44,
    "image_size": SIDE,
    "patch_size": PATCH,
    "layer_norm_eps": 1e-3,
}
PREPROCESSOR = {
    "image_processor_type": "CLIPImageProcessor",
    "size": {"shortest_edge": SIDE},
    "crop_size": {"height": SIDE, "width": SIDE},
}
SHAPES = towers.clip_shapes(TEXT_CONFIG, VISION_CONFIG, DIM)


def config(**more: object) -> dict[str, object]:
    """config.json of the folder."""
    kind = {"architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": DIM}
    return {**kind, "text_config": TEXT_CONFIG, "vision_config": VISION_CONFIG, **more}


def case(name: str, **more: object) -> towers.Seen:
    """A folder that differs from the usual one in what is stated."""
    usual = {
        "config": config(),
        "shapes": SHAPES,
        "judge": towers.judge("CLIPModel"),
        "tokenizer": towers.clip_tokenizer,
        "tokenizer_config": towers.clip_settings(),
        "files": {"preprocessor_config.json": PREPROCESSOR},
        "draw": {"logit_scale": np.array(2.5, np.float32)},
    }
    return towers.Seen(name, **(usual | more))


def write_clip(folder: Path) -> Path:
    """The folder, its numbers drawn from a seed."""
    return write(case("clip"), folder)


def png(width: int, height: int = 30) -> bytes:
    """A picture that is another one for each size."""
    return saved(picture("RGB", width, height), "PNG")


class Sums:
    """A runtime whose vector is the sum of what it saw; `gate` holds it, and it remembers its batches."""

    lanes = 1
    precision = "float32"
    device = "cpu"
    calibration = ""
    reason = "it only adds"

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.gate = threading.Event()
        self.gate.set()
        self.running = threading.Semaphore(0)
        self.batches: list[tuple[str, int]] = []  # kind, items
        self.broken: Callable[[Batch], None] = lambda batch: None

    def run(self, batch: Batch, outputs: frozenset[Output]) -> Vectors:
        self.running.release()
        assert self.gate.wait(20)
        self.broken(batch)
        self.batches.append(("text" if batch.patches is None else "image", len(batch)))
        each = batch.ids.astype(np.float32) if batch.patches is None else batch.patches.sum(axis=1)
        sums = np.add.reduceat(each, batch.offsets[:-1])
        return {name: np.repeat(sums[:, None], self.dim, axis=1) for name in outputs}

    def close(self) -> None:
        """Nothing is held."""
