"""A wished device and precision -> what PyTorch has of them on this machine, and why; for its two runtimes."""

import traceback
from collections.abc import Callable, Mapping
from typing import cast, get_args

import torch

from embedstack.errors import ConfigError, RuntimeFailed
from embedstack.modelspec import Precision
from embedstack.runtimes import Options
from embedstack.runtimes.failures import not_placed, not_run
from embedstack.runtimes.processor import NATIVE_BFLOAT16, flags
from embedstack.types import Batch

DTYPES: Mapping[Precision, torch.dtype] = {
    "float64": torch.float64,
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
AMPERE = 8  # the compute capability from which NVIDIA has bfloat16 and TF32; source: `torch.cuda.is_bf16_supported`
FAILED = (RuntimeError, IndexError, MemoryError)  # PyTorch's own errors are RuntimeErrors
NATIVE_FLOAT16 = {"avx512_fp16", "amx_fp16", "asimdhp"}  # processor flags as Linux names them

_float32_as: Precision | None = None  # what this process makes float32 products in


def choose_device(wish: str) -> torch.device:
    """The device that is meant, and is here.

    Args:
        wish: auto, cpu, cuda, cuda:1 or mps; an AMD GPU is cuda too, as PyTorch has it.
    Raises:
        ConfigError: no such device here; the message names those that are.
    """
    here = _devices()
    name = {"auto": here[0], "cuda": "cuda:0"}.get(wish, wish)
    if name not in here:
        raise ConfigError(
            f"device {wish!r} is not here; PyTorch {torch.__version__} finds: {', '.join(here)}; "
            "choose one of them or auto"
        )
    return torch.device(name)


def _devices() -> list[str]:
    """The fastest first."""
    cards = [f"cuda:{n}" for n in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return [*cards, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def device_name(device: torch.device) -> str:
    """How it is called in answers: cpu, mps, cuda:0 NVIDIA H200."""
    return f"{device} {torch.cuda.get_device_name(device)}" if device.type == "cuda" else str(device)


def choose_precision(
    wish: str, device: torch.device, has_bfloat16: Callable[[torch.device], bool] | None = None
) -> tuple[Precision, str]:
    """The precision to compute in on a device, and why.

    Args:
        wish: auto or a Precision.
        has_bfloat16: whether the device computes it natively; asked of the device if None.
    Raises:
        ConfigError: not a precision of PyTorch, or one that the device does not have.
    """
    native = (has_bfloat16 or _has_bfloat16)(device)
    if wish == "auto":
        return _best(device, native)
    if wish not in DTYPES:
        known = cast("tuple[str, ...]", get_args(Precision))
        what = "is not for the runtimes of PyTorch" if wish in known else "is unknown"
        raise ConfigError(f"precision {wish!r} {what}; use auto or one of: {', '.join(DTYPES)}")
    if wish == "tf32" and not _has_tf32(device):
        raise ConfigError(f"precision 'tf32' is not of the device {device_name(device)!r}; use auto or float32")
    if wish == "float64" and device.type == "mps":
        raise ConfigError("precision 'float64' is not of the device 'mps'; use auto or float32")
    is_slow = (wish == "bfloat16" and not native) or (wish == "float16" and not _has_float16(device))
    return cast("Precision", wish), f"{wish}, as asked" + ("; emulated here, and slow" if is_slow else "")


def _best(device: torch.device, native: bool) -> tuple[Precision, str]:
    if device.type != "cuda":
        return "float32", f"float32, which is the default on {device.type}"
    if native:
        return "bfloat16", "bfloat16, because the GPU has it natively"
    return "float16", "float16, because the GPU has no native bfloat16"


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.version.hip) or torch.cuda.get_device_capability(device)[0] >= AMPERE
    return device.type != "cpu" or bool(flags() & NATIVE_BFLOAT16)


def _has_float16(device: torch.device) -> bool:
    return device.type != "cpu" or bool(flags() & NATIVE_FLOAT16)


def _has_tf32(device: torch.device) -> bool:
    if device.type != "cuda" or torch.version.hip:
        return False
    return bool(torch.cuda.get_device_capability(device)[0] >= AMPERE)


def unproven(device: torch.device) -> str:
    """A clause for devices that the code serves and that no recorded run has checked, empty for the processor."""
    if device.type == "cpu":
        return ""
    return f"{'ROCm' if torch.version.hip and device.type == 'cuda' else device.type.upper()} is unproven"


def prepare(device: torch.device, precision: Precision, options: Options) -> str:
    """Set what PyTorch has once for the whole process: threads, and what float32 products are computed in.

    Returns:
        A clause that says so, empty where there is nothing to say.
    Raises:
        ConfigError: another model of this process has float32 products made in another way.
    """
    if precision in ("float32", "tf32"):
        _fix_float32(precision)
    if device.type != "cpu":
        return ""
    torch.set_num_threads(options.thread_count)
    return f"{options.thread_count} threads"


def _fix_float32(precision: Precision) -> None:
    """TF32 is off for float32, on for tf32, and one process cannot have both."""
    global _float32_as
    if _float32_as not in (None, precision):
        raise ConfigError(
            f"this process computes float32 products in {_float32_as} already, and PyTorch has one switch for all "
            f"models; serve the one in {precision} by another process"
        )
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    _float32_as = precision


def failed(error: Exception, batch: Batch, device: torch.device) -> RuntimeFailed:
    """What a caller is told of a run that failed; what it held on the device is given back first."""
    _let_go(error, device)
    return not_run(f"the device {str(device)!r} could not run a batch of {len(batch.ids)} tokens", error)


def refused(error: Exception, device: torch.device) -> ConfigError:
    """The same of a model that the device did not take."""
    _let_go(error, device)
    return not_placed(str(device), error)


def _let_go(error: Exception, device: torch.device) -> None:
    """The engine halves a batch that failed while it still has the error in hand, whose frames hold tensors."""
    traceback.clear_frames(error.__traceback__)
    give_back(device)


def give_back(device: torch.device) -> None:
    """Return the memory that PyTorch keeps for later runs to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
