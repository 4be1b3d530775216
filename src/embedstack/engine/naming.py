"""The words for models: what a user serves (`small=all-MiniLM-L6-v2@onnx:int8`), and what a request asks for. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol, get_args

from embedstack.errors import ConfigError, UnknownModel, Unsupported
from embedstack.modelspec import Input, ModelSpec, Precision, Task
from embedstack.runtimes import RUNTIMES
from embedstack.types import Image, Item, Link

ALIAS = re.compile(r"[A-Za-z0-9][\w./-]{0,127}", re.ASCII)
PRECISIONS: tuple[str, ...] = ("auto", *get_args(Precision))
QUOTED = 100  # characters of a wrong name that a message repeats
STANDS_IN: Mapping[Task, Task] = {"rerank": "classify"}  # a reranker is a classifier of one label


@dataclass(frozen=True, slots=True)
class Asked:
    """A model as a user asks for it to be served."""

    text: str  # all of it, as written
    model: str  # catalog name, Hugging Face id or folder
    alias: str = ""
    runtime: str = ""  # that of the settings if empty
    precision: str = ""

    @property
    def variant(self) -> str:
        """What stands behind the model's own name; empty if nothing does."""
        return ":".join(part for part in (self.runtime, self.precision) if part)

    def public(self, name: str) -> str:
        """The name that it is served by.

        Args:
            name: the model's own.
        """
        return self.alias or (f"{name}@{self.variant}" if self.variant else name)


def parse_asked(text: str) -> Asked:
    """`MODEL`, `MODEL@PRECISION` or `MODEL@RUNTIME:PRECISION`, with `ALIAS=` in front of any of them.

    A folder that exists by all of the text is that folder. What stands behind the last `@` and is no precision is a
    revision, as in the catalog.

    Raises:
        ConfigError: an alias that could be no name, or a runtime or a precision that does not exist.
    """
    alias, equals, rest = text.partition("=")
    if not equals or text.startswith((".", "/", "~")) or Path(text).is_dir():
        alias, rest = "", text
    elif not ALIAS.fullmatch(alias) or not rest:
        raise ConfigError(f"{text!r} is no ALIAS=MODEL; an alias has letters, digits, '.', '_', '-' and '/'")
    model, at, suffix = rest.rpartition("@")
    if not at or Path(rest).is_dir() or not (":" in suffix or suffix in PRECISIONS[1:]):
        return Asked(text, rest, alias)
    runtime, _, precision = suffix.rpartition(":")
    if (runtime and runtime not in RUNTIMES) or precision not in PRECISIONS or not model:
        raise ConfigError(
            f"{text!r} is no MODEL@RUNTIME:PRECISION; runtimes: {', '.join(RUNTIMES)}; "
            f"precisions: {', '.join(PRECISIONS)}"
        )
    return Asked(text, model, alias, runtime, precision)


class Named(Protocol):
    """What is served under names."""

    @property
    def spec(self) -> ModelSpec: ...

    @property
    def aliases(self) -> tuple[str, ...]: ...

    @property
    def is_variant(self) -> bool:
        """Whether it was asked for under a name or a precision of its own, so that others come first for the rest."""
        ...


def name_table(served: Sequence[Named]) -> dict[str, str]:
    """Every name that requests may use -> the public name of the model that answers.

    A model's own name beats an alias, and the aliases of a plain model beat those of a variant; then the first wins.

    Raises:
        ConfigError: two are served by one name.
    """
    table: dict[str, str] = {}
    for one in served:
        if one.spec.name in table:
            raise ConfigError(f"two models are called {one.spec.name!r}; name one of them: ALIAS=MODEL")
        table[one.spec.name] = one.spec.name
    for one in sorted(served, key=lambda one: one.is_variant):
        for alias in one.aliases:
            table.setdefault(alias, one.spec.name)
    return table


def kind_of(items: Sequence[Item]) -> Input:
    """What a model must take for them: images where there is one."""
    return "image" if any(isinstance(item, Image | Link) for item in items) else "text"


def pick(
    name: str,
    task: Task | None,
    specs: Mapping[str, ModelSpec],
    table: Mapping[str, str],
    kind: Input | None = None,
) -> ModelSpec:
    """The model that a request means; an empty name means the first one of the task and the kind.

    Args:
        task: what it is for; None where any model will do.
        specs: by public name, in the order in which they are served.
        table: see `name_table`.
        kind: what it takes, where it is not named; one that takes nothing else comes first, so that texts go to the
            model for texts also where one for images reads both.
    Raises:
        UnknownModel: nothing by that name; the message lists what there is.
        Unsupported: the model is there, for another task.
    """
    if not name:
        return _first(task, specs, kind)
    if name not in table:
        near = get_close_matches(name[:QUOTED], table, n=1, cutoff=0.4)
        hint = f"did you mean {table[near[0]]!r}? " if near else ""
        raise UnknownModel(f"model {name[:QUOTED]!r} is not served; {hint}served: {', '.join(specs) or 'none'}")
    spec = specs[table[name]]
    if task not in (None, spec.task, STANDS_IN.get(spec.task)):
        raise Unsupported(f"{spec.name!r} is for {spec.task}, not for {task}; send another model")
    return spec


def _first(task: Task | None, specs: Mapping[str, ModelSpec], kind: Input | None) -> ModelSpec:
    fits = [spec for spec in specs.values() if task in (None, spec.task)]
    fits += [spec for spec in specs.values() if task == STANDS_IN.get(spec.task, "")]
    if not fits:
        raise Unsupported(f"no model for {task} is served, only {', '.join(specs) or 'none'}; serve one beside it")
    able = [spec for spec in fits if kind in (None, *spec.inputs)] or fits  # what reads items says what it cannot read
    return min(able, key=lambda spec: kind is not None and spec.inputs != (kind,))
