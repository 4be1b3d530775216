"""A runtime's name -> the library behind it with its version, and the processor: what decides the last bits."""

import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from embedstack.runtimes.processor import flags

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "numpy": ("numpy",),
    "openvino": ("openvino",),
    "onnx": ("onnxruntime", "onnxruntime-gpu"),
    "torch": ("torch",),
    "reference": ("sentence-transformers",),
}


def library_of(runtime: str) -> str:
    """Its package with its version, as it is installed; nothing is imported. Only the name where nothing is found."""
    for package in PACKAGES.get(runtime, ()):
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
    return runtime


def is_installed(runtime: str) -> bool:
    """Whether its library is here."""
    return library_of(runtime) != runtime


def processor_of(device: str) -> str:
    """Equal for processors that choose the same code: a digest of their features; of another device its name.

    Args:
        device: as `Runtime.device` has it.
    """
    if device != "cpu":
        return device
    features = sorted(flags()) or [platform.processor()]
    return hashlib.sha256(" ".join((platform.machine(), *features)).encode()).hexdigest()[:16]


def runtime_of(library: str) -> str:
    """The runtime whose library `library_of` named; empty where it is none of ours."""
    package = library.partition(" ")[0]
    return next((runtime for runtime, packages in PACKAGES.items() if package in (runtime, *packages)), "")
