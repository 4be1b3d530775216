"""Words on the command line of `embedstack job` -> sizes, budgets, places, chunks; and options as words again."""

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from embedstack.chunks.chunk import Chunking, Strategy
from embedstack.cli.flags import MODEL
from embedstack.cli.via import plan_for, variables, via_option
from embedstack.engine.naming import parse_asked
from embedstack.errors import BadRequest
from embedstack.settings import Settings, environment_names
from embedstack.storage.capability import SingleWriter, creates_once
from embedstack.storage.opening import open_storage
from embedstack.storage.storage import Storage

if TYPE_CHECKING:
    from embedstack.client.plan import Plan as Endpoints

Command = TypeVar("Command", bound=Callable[..., object])
JOB_MODEL = tuple(name for name in MODEL if name not in ("truncate", "max_text_chars"))  # nothing is ever cut
TOKENS = 512  # of a chunk, as most pipelines have it; or as many as the model takes
CHILD_TOKENS = 400  # of a chunk inside a parent, as parent-child retrievers have it
OVERLAP = 50  # with both
OVERLAPPING: tuple[Strategy, ...] = ("window", "parent")
UNITS = {
    "": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40,
}  # fmt: skip


def size(context: click.Context, param: click.Parameter, given: str | None) -> int | None:
    """A number of bytes, perhaps with a unit: 200GB is 200,000,000,000."""
    if given is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", given, re.ASCII)
    if found is None or found[2].upper() not in UNITS:
        raise click.BadParameter(f"{given!r} is no size; examples: 200GB, 1.5TB, 4GiB", context, param)
    return round(float(found[1]) * UNITS[found[2].upper()])


def budget(context: click.Context, param: click.Parameter, given: str) -> int | float:
    """How many documents may fail: a whole number, or of 1% a share below 1."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", given, re.ASCII)
    share = float(found[1]) / 100 if found else 0.0
    if found is None or (found[2] and share > 1) or (not found[2] and "." in found[1]):
        raise click.BadParameter(f"{given!r} is no budget; examples: 1%, 0.1%, 25", context, param)
    if not found[2]:
        return int(found[1])
    return share if share < 1 else sys.maxsize  # all of them; as a number, 1 would be one document


def budget_words(most: int | float) -> str:
    """As `budget` reads it."""
    return str(most) if isinstance(most, int) else f"{(Decimal(repr(most)) * 100).normalize():f}%"


def placed(where: str) -> str:
    """The same place from every folder: a plan is run from other ones, too."""
    return where if "://" in where else os.path.abspath(where)  # noqa: PTH100  # `resolve` would follow links


def storage_of(where: str, *, is_single: bool) -> Storage:
    """The storage at a URL, to be written.

    Args:
        is_single: one process alone writes, which a store that cannot create once is good enough for.
    """
    storage = open_storage(where)
    return SingleWriter(storage) if is_single and not creates_once(storage) else storage


def chunking_of(
    strategy: Strategy, tokens: int | None, overlap: int | None, parent_tokens: int, *, skip_index: bool, most: int
) -> Chunking:
    """How texts are cut, with what is usual where nothing was said.

    Args:
        most: tokens that the model takes; 0 where nobody knows.
    """
    usual = CHILD_TOKENS if strategy == "parent" else TOKENS
    size = tokens or (min(usual, most) if most else usual)
    if overlap and strategy not in OVERLAPPING:
        raise BadRequest(f"--overlap is for --chunker {' and '.join(OVERLAPPING)}; leave it out for {strategy!r}")
    beside = OVERLAP if strategy in OVERLAPPING and size > 2 * OVERLAP else 0
    return Chunking(
        strategy=strategy,
        tokens=size,
        overlap=beside if overlap is None else overlap,
        parent_tokens=max(parent_tokens, size) if strategy == "parent" else parent_tokens,
        skip_index=skip_index,
    )


def endpoints_of(via: str | None, model: str | None, flags: Mapping[str, object]) -> "Endpoints | None":
    """What `--via` means.

    Args:
        model: the name that it is asked for by; a file or the environment name theirs themselves, and a folder of this
            machine is none there.
    """
    if via is None:
        return None
    is_unnamed = via.endswith(".toml") or via == "env" or (model is not None and Path(model).is_dir())
    return plan_for(via, "embed", None if is_unnamed else model, flags)


def words_of(flags: Mapping[str, object]) -> list[str]:
    """The options of `setting_flags` that were given, as they are written: for a command that this one starts."""
    words: list[str] = []
    for name in (*(row.name for row in fields(Settings)), "env_file"):
        value, flag = flags.get(name), f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        elif value is not None:
            words += [flag, str(value if not isinstance(value, Path) else value.absolute())]
    return words


def asked_for(flags: Mapping[str, object]) -> frozenset[str]:
    """The settings that somebody set, by a flag or the environment, even if to what is usual anyway."""
    here = variables(flags)
    return frozenset(
        row.name
        for row in fields(Settings)
        if flags.get(row.name) is not None or any(here.get(name) for name in environment_names(row))
    )


def model_from_everywhere(name: str) -> str:
    """As `placed`, of a model: a folder's name becomes a whole one, others stay as they are."""
    model = parse_asked(name).model
    if not (model.startswith(".") or (os.sep in model and Path(model).is_dir())):
        return name
    before, _, behind = name.rpartition(model)
    return f"{before}{placed(model)}{behind}"


# ------------------------------------------------------------------------------------------------ of runs


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What `job run` and each process that it starts are told alike."""

    model: str | None
    via: str | None
    max_dead: int | float
    spool: Path | None
    spool_mb: int
    requests: int
    single_writer: bool

    def words(self) -> list[str]:
        """As they are written."""
        given = {
            "--model": self.model and model_from_everywhere(self.model),
            "--via": self.via,
            "--max-dead": budget_words(self.max_dead),
            "--spool": self.spool and self.spool.absolute(),
            "--spool-mb": self.spool_mb,
            "--requests": self.requests,
        }
        words = [word for flag, value in given.items() if value is not None for word in (flag, str(value))]
        return [*words, "--single-writer"] if self.single_writer else words


RUN = (
    click.option("--model", "-m", help="the plan's model, where it is called otherwise here: a folder, say"),
    via_option,
    click.option(
        "--max-dead", callback=budget, default="1%", show_default=True, metavar="NUMBER|SHARE",
        help="how many documents of the whole job may fail, or with % which share, but of a few at least one and "
        "never all; a run over it stops early. Those left out on purpose do not count",
    ),
    click.option(
        "--spool", type=click.Path(path_type=Path), metavar="FOLDER",
        help="where files lie until they are stored [default: beside the table, or the system's folder for such]",
    ),
    click.option("--spool-mb", type=click.IntRange(min=1), default=4000, show_default=True, help="most of that"),
    click.option(
        "--requests", type=click.IntRange(min=1), default=4, show_default=True, help="at a time to an endpoint of --via"
    ),
    click.option("--single-writer", is_flag=True, help="for stores that cannot create once: one process at a time"),
)  # fmt: skip


def run_options(command: Command) -> Command:
    """A decorator that adds an option for each field of `RunOptions`."""
    for option in reversed(RUN):
        command = option(command)
    return command


def options_from(given: Mapping[str, object]) -> RunOptions:
    """What click gave for them."""
    return RunOptions(**{row.name: given[row.name] for row in fields(RunOptions)})  # type: ignore[arg-type]
