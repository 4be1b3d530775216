"""A model folder -> its truth, an engine over it, and the report of an encoder that claims to be it."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from embedstack.api import open_engine
from embedstack.catalog import Located, find
from embedstack.engine.engine import Engine
from embedstack.proof.kept import Truth
from embedstack.proof.probes import probes
from embedstack.proof.prove import Report, prove
from embedstack.proof.truth import make
from embedstack.settings import read_settings


@dataclass(frozen=True)
class Known:
    """A small model and its truth."""

    located: Located
    truth: Truth


def known_of(folder: Path, cache_dir: Path) -> Known:
    """With a truth of all probes, made now."""
    located = find(str(folder), cache_dir=cache_dir)
    rows = make(located.spec, located.folder, probes(located.spec).all)
    return Known(located, Truth(located.spec.space, rows))


def opened(located: Located, cache_dir: Path, runtime: str = "numpy", precision: str = "auto") -> Engine:
    flags = {
        "runtime": runtime,
        "precision": precision,
        "device": "cpu",
        "threads": 1,
        "lanes": 1,
        "cache_dir": cache_dir,
    }
    return open_engine(read_settings(flags, environ={}), [str(located.folder)], say=lambda line: None)


def proven(engine: object, model: Known, **how: object) -> Report:
    return asyncio.run(prove(engine, model.located.spec, model.truth, model.located.folder, **how))  # type: ignore[arg-type]
