"""What a server knows beside its points, in one file of JSON that is replaced as a whole."""

import os
from pathlib import Path

import msgspec

from support.qdrant_facade.bodies import Create, Payload


class Kept(msgspec.Struct):
    """Of one collection."""

    folder: str  # of its points
    made: Create
    metadata: Payload | None = None
    indexes: dict[str, str | Payload] = msgspec.field(default_factory=dict)  # by the payload's key


class State(msgspec.Struct):
    """Of all."""

    collections: dict[str, Kept] = msgspec.field(default_factory=dict)
    aliases: dict[str, str] = msgspec.field(default_factory=dict)


def load(path: Path) -> State:
    """What was saved last, or nothing."""
    return msgspec.json.decode(path.read_bytes(), type=State) if path.exists() else State()


def save(state: State, path: Path) -> None:
    """It is on the disk when this returns; whoever is killed in between leaves the old one."""
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(msgspec.json.encode(state))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
