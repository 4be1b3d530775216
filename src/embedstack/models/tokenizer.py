"""tokenizer.json -> the parts of it that decide a spec; what they mean is told where they are read."""

from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from embedstack.errors import ConfigError

Id = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
File = TypeVar("File")


class Token(msgspec.Struct):
    """A token that was added to a vocabulary; the special ones are."""

    id: Id
    content: str


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
