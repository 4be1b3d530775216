"""PyTorch's attention over items of many lengths, end to end and without padding: when it runs, and how it is asked."""

from collections.abc import Callable
from functools import cache
from inspect import signature
from typing import TypedDict

import torch

from embedstack.runtimes.accelerator import AMPERE

try:  # PyTorch 2.10 and later
    from torch.nn.attention.varlen import varlen_attn as varlen_attn
except ImportError:
    varlen_attn = None

FLASH_STEP, FLASH_LARGEST = 8, 256
"""What the kernel takes: NVIDIA Ampere or later, heads of a multiple of 8 numbers, at most 256, half precision.

Source: pytorch, aten/src/ATen/native/transformers/cuda/flash_attn/flash_api.cpp, `mha_varlen_fwd`.
"""


class Seen(TypedDict, total=False):
    """Which tokens see each other, in the words of the kernel."""

    is_causal: bool
    window_size: tuple[int, int]


def words_for(kernel: Callable[..., torch.Tensor] | None, causal: bool, window: int) -> Seen | None:
    """What this version of the kernel is told; None where it has no words for it.

    Args:
        window: how far a token sees to either side; 0 for as far as there are tokens.
    """
    if not (causal or window):
        return {}
    if kernel is None:
        return None
    takes = _parameters(kernel)
    if "window_size" in takes:  # PyTorch 2.13; -1 is without limit
        reach = window or -1
        return {"window_size": (reach, 0 if causal else reach)}
    return {"is_causal": True} if "is_causal" in takes and not window else None


@cache
def _parameters(kernel: Callable[..., torch.Tensor]) -> frozenset[str]:
    return frozenset(signature(kernel).parameters)


def takes_varlen(q: torch.Tensor) -> bool:
    """Whether attention runs without padding: what the kernel can do, on NVIDIA; elsewhere it is padded."""
    size = q.shape[-1]
    is_fit = q.dtype in (torch.bfloat16, torch.float16) and size % FLASH_STEP == 0 and size <= FLASH_LARGEST
    return is_fit and _has_kernel(q.device)


@cache
def _has_kernel(device: torch.device) -> bool:
    if varlen_attn is None or device.type != "cuda" or torch.version.hip:
        return False
    return bool(torch.cuda.get_device_capability(device)[0] >= AMPERE)
