"""The runtimes as test parameters: each runs where its packages are, and is skipped aloud where they are not."""

from importlib.util import find_spec

import pytest

from embedstack.runtimes import RUNTIMES

PYTORCH = ("torch", "reference")
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")


def runtimes(*without: str) -> list[object]:
    """All rows of the table but these, for `parametrize`."""
    marks = [pytest.mark.torch, needs_torch]
    names = (name for name in RUNTIMES if name not in without)
    return [pytest.param(name, marks=marks if name in PYTORCH else []) for name in names]
