"""Words on the command line of `index` and `search` -> the database, the collection, and the model that both mean."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from embedstack.api import locate, model_names
from embedstack.databases.database import Collection
from embedstack.engine.naming import parse_asked
from embedstack.errors import ConfigError, UnknownModel
from embedstack.modelspec import ModelSpec
from embedstack.origin import Identity
from embedstack.settings import Settings

Command = TypeVar("Command", bound=Callable[..., object])
DATABASE, COLLECTION = "./.embedstack", "documents"
Say = Callable[[str], None]


def collection_options(command: Command) -> Command:
    """A decorator that adds `--database` and `--collection`."""
    command = click.option(
        "--collection", "-c", default=COLLECTION, show_default=True, metavar="NAME", help="where in the database"
    )(command)
    return click.option(
        "--database", "-d", default=DATABASE, show_default=True, metavar="PATH|URL",
        help="a folder, http://host:6333 for Qdrant, postgresql://...",
    )(command)  # fmt: skip


def pair_of(given: str, what: str) -> tuple[str, str]:
    """KEY=VALUE.

    Raises:
        click.BadParameter: one of them is missing.
    """
    key, equals, value = given.partition("=")
    if not (key and equals and value):
        raise click.BadParameter(f"{given!r} is no {what}")
    return key, value


def signed_by(found: Collection | None, field: str) -> Identity | None:
    """Whose vectors a field holds; None where nobody says."""
    if found is None or field not in found.fields:
        return None
    origin = found.fields[field].origin
    return origin.identity if origin else None


def model_for(given: str | None, signed: Identity | None, settings: Settings, say: Say) -> tuple[str, ModelSpec]:
    """The model, as it is opened here: the one that was named, else the collection's, else that of the settings.

    Args:
        signed: of the collection that is there.
    Raises:
        ConfigError: the collection's is a folder of which nobody says where it is. As `api.locate`.
    """
    usual = model_names(settings)[0]
    if given or signed is None:
        return _located(given or usual, settings, say)
    if Path(parse_asked(usual).model).is_dir():
        name, spec = _located(usual, settings, say)
        if spec.space == signed.space:
            return name, spec
    try:
        return _located(signed.model, settings, say)
    except UnknownModel as error:
        raise ConfigError(
            f"the collection holds vectors of {signed.model!r}, which cannot be found here ({error.message}); name its "
            "folder with --model, or ask other vectors with --fields"
        ) from error


def _located(name: str, settings: Settings, say: Say) -> tuple[str, ModelSpec]:
    return name, locate(parse_asked(name).model, settings, say).spec
