"""tokenizer.json -> the parts of it that decide a spec; what they mean is told where they are read."""

from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from embedstack.errors import ConfigError, Unsupported

Id = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
File = TypeVar("File")


class Token(msgspec.Struct):
    """A token that was added to a vocabulary; the special ones are."""

    id: Id
    content: str


class Truncation(msgspec.Struct):
    """Where the tokeniser itself cuts texts."""

    max_length: int
    direction: str = "Right"


def require_right(side: str, where: str, name: str) -> None:
    """Every request says which end is cut, and the right one unless it was told otherwise, so a model cannot.

    Args:
        where: the field and its file, for the message.
    Raises:
        Unsupported: the model says another one.
    """
    if side.lower() != "right":
        raise Unsupported(
            f"{name!r} cuts long texts at their {side!r} end ({where}); embedstack cuts them at the right unless a "
            "request says left: write right there in a copy of it, and send truncate=left"
        )


def decode(path: Path, kind: type[File]) -> File:
    """The parts that `kind` names; what it does not name is skipped.

    Raises:
        ConfigError: it is not there, or is none.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError as error:
        raise ConfigError(
            f"{str(path)!r} is not there, and it is all that embedstack reads of a tokeniser; make it in a copy of "
            "the model, in the folder where its config.json is, with: "
            "transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
        ) from error
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{str(path)!r} is no tokenizer ({error}); pull the model again") from error
