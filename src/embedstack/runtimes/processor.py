"""What this process may use of the machine's processor: threads, and the number formats that it has natively."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path

from embedstack.errors import ConfigError
from embedstack.modelspec import Precision

# processor flags as Linux names them; emulated bfloat16 is slower than float32 and is never chosen
NATIVE_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}
NATIVE_INT8 = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"}  # products of 8 bits summed in 32

# the runtime that has what openvino has not
ELSEWHERE: Mapping[str, str] = {"float64": "numpy", "tf32": "torch", "float16": "torch", "int8": "onnx"}


def usable_threads(root: Path = Path("/")) -> int:
    """Threads worth starting: the affinity mask, cut by the container's processor quota, at least 1.

    `os.cpu_count()` would count the host's cores inside a container.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for group in _groups(root) if (quota := _quota(group))]
    return max(1, min(allowed, int(min(quotas)))) if quotas else allowed


def _groups(root: Path) -> list[Path]:
    """The control groups that this process is in, each with those above it; version 2, and version 1's `cpu`."""
    top = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    found = {top: None, top / "cpu": None}
    for line in lines:
        _, kinds, path = line.split(":", 2)
        mounted = top if not kinds else top / "cpu" if "cpu" in kinds.split(",") else None
        if mounted is not None:
            inner = mounted / path.lstrip("/")
            found |= {group: None for group in (inner, *inner.parents) if group.is_relative_to(top)}
    return list(found)


def _quota(group: Path) -> float | None:
    """Processors that one control group grants: version 2 first, then version 1."""
    try:
        limit, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            limit = (group / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    return None if limit in ("max", "-1") else int(limit) / int(period)


def flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """The processor's feature flags; empty where the system does not tell."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return frozenset()
    line = next((line for line in lines if line.lower().startswith(("flags", "features"))), ":")
    return frozenset(line.split(":", 1)[1].split())


def require_processor(runtime: str, device: str) -> None:
    """Refuse a device that is not the processor, for runtimes that have no other.

    Raises:
        ConfigError: see above.
    """
    if device not in ("auto", "cpu"):
        raise ConfigError(f"runtime {runtime!r} runs on the processor, not on {device!r}; leave device at auto")


def int8_reason(has: frozenset[str] | None = None) -> str:
    """Why int8 is taken, and whether the processor gains by it; `has` as in `choose_precision`."""
    native = (flags() if has is None else has) & NATIVE_INT8
    if native:
        return f"int8, as asked; the processor has it natively ({', '.join(sorted(native))})"
    return "int8, as asked; this processor has no VNNI, so it gains less"


def choose_precision(wish: str, has: frozenset[str] | None = None) -> tuple[Precision, str]:
    """The precision to compute in, and why.

    Args:
        wish: auto, float32 or bfloat16.
        has: the processor's flags; read from the system if None.
    Raises:
        ConfigError: not a precision of this runtime, or one that the processor does not have.
    """
    native = (flags() if has is None else has) & NATIVE_BFLOAT16
    name = platform.processor() or platform.machine()
    match wish:
        case "auto" if native:
            return "bfloat16", f"bfloat16, because the processor has it natively ({', '.join(sorted(native))})"
        case "auto":
            return "float32", f"float32, because this {name} processor has no native bfloat16"
        case "float32":
            return "float32", "float32, as asked"
        case "bfloat16" if native:
            return "bfloat16", "bfloat16, as asked"
        case "bfloat16":
            raise ConfigError(f"precision 'bfloat16' is not native to this {name} processor; use auto or float32")
    if wish in ELSEWHERE:
        raise ConfigError(
            f"precision {wish!r} is not for the openvino runtime; use it with runtime {ELSEWHERE[wish]}, "
            "or take auto, float32 or bfloat16"
        )
    raise ConfigError(f"precision {wish!r} is unknown; use auto, float32 or bfloat16")
