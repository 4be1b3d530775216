"""A small folder of SigLIP that takes texts and pictures."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from support import towers
from support.families import write

HIDDEN, POSITIONS = 36, towers.POSITIONS
SCALE, BIAS = 3.0, -7.5
"""As the file holds them; a cosine is multiplied by the first one's exponential."""
VOCAB = len(towers.siglip_pieces())
PREPROCESSOR = {"image_processor_type": "SiglipImageProcessor", "size": {"height": 27, "width": 27}}


def text_config(**more: object) -> dict[str, object]:
    return {
        "hidden_size": HIDDEN,
        "num_attention_heads": 3,
        "num_hidden_layers": 2,
        "intermediate_size": 40,
        "vocab_size": VOCAB,
        "max_position_embeddings": POSITIONS,
        "layer_norm_eps": 1e-3,
        **more,
    }


def vision_config(**more: object) -> dict[str, object]:
    return {
        "hidden_size": HIDDEN,
        "num_attention_heads": 3,
        "num_hidden_layers": 3,
        "intermediate_size": 44,
        "image_size": 27,
        "patch_size": 4,
        "layer_norm_eps": 1e-3,
        **more,
    }


def config(
    text: Mapping[str, object] = text_config(), vision: Mapping[str, object] = vision_config()
) -> dict[str, object]:
    return {"architectures": ["SiglipModel"], "model_type": "siglip", "text_config": text, "vision_config": vision}


SHAPES = towers.siglip_shapes(text_config(), vision_config())


def case(name: str, **more: object) -> towers.Seen:
    """A folder that differs from the usual one in what is stated."""
    usual = {
        "config": config(),
        "shapes": SHAPES,
        "judge": towers.judge("SiglipModel"),
        "tokenizer": towers.siglip_tokenizer,
        "tokenizer_config": towers.siglip_settings(),
        "files": {"preprocessor_config.json": PREPROCESSOR},
        "draw": {"logit_scale": np.array([SCALE], np.float32), "logit_bias": np.array([BIAS], np.float32)},
        "least_id": 3,
    }
    return towers.Seen(name, **(usual | more))


def write_siglip(folder: Path, positions: int = POSITIONS) -> Path:
    """The folder, its numbers drawn from a seed, with room for texts of so many tokens."""
    text = text_config(max_position_embeddings=positions)
    settings = {**towers.siglip_settings(), "model_max_length": positions}
    shapes = towers.siglip_shapes(text, vision_config())
    return write(case("siglip", config=config(text), shapes=shapes, tokenizer_config=settings), folder)


def filled(tokenizer: Tokenizer, text: str, length: int) -> np.ndarray:
    """(length,) ids of a text that needs no cleaning, filled up with the closing token, as in training."""
    ids = tokenizer.encode(text).ids
    return np.array(ids + [ids[-1]] * (length - len(ids)), np.int32)
