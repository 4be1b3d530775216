"""Functions of another library -> which of them are not as they were when what replaces them was tested."""

import hashlib
import inspect
from collections.abc import Mapping

DIGITS = 16


def digest(function: object) -> str:
    """What tells one version of a function or class from another; empty where its source is not there."""
    try:
        source = inspect.getsource(function)  # type: ignore[arg-type]
    except (OSError, TypeError):
        return ""
    return hashlib.sha256(source.encode()).hexdigest()[:DIGITS]


def unknown(found: Mapping[str, object], known: Mapping[str, str]) -> list[str]:
    """The names of those that differ from what is known, or that nobody looked at."""
    made = {name: digest(function) for name, function in found.items()}
    return sorted(name for name, found_digest in made.items() if not found_digest or found_digest != known.get(name))


def is_within(version: str, first: tuple[int, int], end: tuple[int, int]) -> bool:
    """Whether a version such as `1.12.0` is from the first on and before the end; what cannot be read is not."""
    parts = version.split(".")[:2]
    return len(parts) == 2 and all(map(str.isdecimal, parts)) and first <= (int(parts[0]), int(parts[1])) < end
