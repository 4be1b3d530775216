"""Embedstack: own your embedding stack.

import embedstack

model = embedstack.load("all-MiniLM-L6-v2")
vectors = model.encode(["a text", "another"], role="document").dense
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embedstack.api import load
    from embedstack.errors import EmbedstackError
    from embedstack.likeness import probabilities
    from embedstack.model import Model

__version__ = "0.1.0"
__all__ = ["EmbedstackError", "Model", "__version__", "load", "probabilities"]

_HOMES = {
    "Model": "embedstack.model",
    "load": "embedstack.api",
    "EmbedstackError": "embedstack.errors",
    "probabilities": "embedstack.likeness",
}


def __getattr__(name: str) -> object:
    """Public names are imported when they are asked for, so that a client of one room does not load the others."""
    if name not in _HOMES:
        raise AttributeError(f"module 'embedstack' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
