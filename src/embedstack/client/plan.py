"""A `router.toml`, a URL or a provider's name -> the plan of a router: whom to ask for what, in which order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from embedstack.client.endpoint import Endpoint
from embedstack.client.providers import (
    base_url,
    key_from,
    must_have_key,
    provider,
    provider_of_url,
)
from embedstack.client.routing import FUNCTIONS, Function
from embedstack.errors import ConfigError
from embedstack.modelspec import Task

ALL: frozenset[Function] = frozenset(FUNCTIONS)
HEALTH_TTL_S = 60.0  # how long a look at the health counts, as the routers of the RAG stack have it
TASKS: tuple[Task, ...] = ("embed", "rerank")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An endpoint of a plan.

    Args:
        name: in logs and errors; no two of a plan have one.
        url: the base URL; empty for a model in this process.
        model: its name there.
        functions: what vectors it is asked for.
        retries: how often a call is repeated there before another endpoint is asked; None decides by whether there is
            another.
    """

    name: str
    provider: str
    url: str = ""
    key: str = ""
    model: str = ""
    functions: frozenset[Function] = ALL
    timeout_s: float = 0.0
    retries: int | None = None

    def __repr__(self) -> str:
        return f"Target({self.shown!r}, provider={self.provider!r}, model={self.model!r})"

    @property
    def shown(self) -> str:
        """Its name and its place, without a secret."""
        return f"{self.name} ({Endpoint(self.url, self.key).shown})" if self.url else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How one task is answered.

    Args:
        targets: in the order in which they are asked.
        model: what all of them are known as to callers; for vectors, the model that they must give.
        falls_back: whether the next one is asked where one fails.
        looks_first: whether the health of each is looked at before, so that the sound ones come first.
    """

    targets: tuple[Target, ...] = ()
    model: str = ""
    falls_back: bool = True
    looks_first: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that a router decides by.

    Args:
        prompts: what goes in front of texts by their role, at providers that overlook roles; None: nobody knows.
        probes: a file of vectors that the space is known by; made by the first start that hears the first endpoint.
        allow_int8: whether vectors of 8 bits may stand in for others.
        hedge_after_s: the next endpoint is asked as well where none answered for so long; None: never.
        warm_up: whether endpoints are called before anybody asks.
    """

    embed: Way = field(default_factory=Way)
    rerank: Way = field(default_factory=Way)
    prompts: Mapping[str, str] | None = None
    probes: Path | None = None
    allow_int8: bool = False
    hedge_after_s: float | None = None
    health_ttl_s: float = HEALTH_TTL_S
    warm_up: bool = True

    def __post_init__(self) -> None:
        names = [target.name for target in (*self.embed.targets, *self.rerank.targets)]
        if not names:
            raise ConfigError("the plan names no endpoint; give it one")
        for task, way in (("embeddings", self.embed), ("reranking", self.rerank)):
            mine = [target.name for target in way.targets]
            if twice := sorted({name for name in mine if mine.count(name) > 1}):
                raise ConfigError(f"two endpoints for {task} are called {twice[0]!r}; give one of them another name")
        if self.hedge_after_s is not None and not self.hedge_after_s > 0:
            raise ConfigError(f"hedge_after_s={self.hedge_after_s!r} is not above 0; leave it out to never hedge")
        if not self.health_ttl_s > 0:
            raise ConfigError(f"health_ttl_s={self.health_ttl_s!r} is not above 0; the usual is {HEALTH_TTL_S:g}")

    def way(self, task: Task) -> Way:
        """The one of a task."""
        return self.embed if task == "embed" else self.rerank


def target_of(
    name: str,
    task: Task,
    environ: Mapping[str, str],
    *,
    url: str = "",
    model: str = "",
    called: str = "",
    key_names: tuple[str, ...] = (),
    functions: Iterable[Function] = ALL,
    timeout_s: float | None = None,
) -> Target:
    """An endpoint of a provider, with everything filled in that the provider's row knows.

    Args:
        name: the provider.
        environ: where its key is.
        called: the target's own name; the provider's if empty.
        key_names: variables that may hold the key, instead of the provider's usual ones.
    Raises:
        ConfigError: the provider is none, needs a url, a model or a key, or the url is none.
    """
    row = provider(name)
    model = model or (row.models or {}).get(task, "")
    if not row.dialect:
        return Target(name=called or name, provider=name, model=model, functions=frozenset(functions))
    where = base_url(name, url, model)
    key = "" if "@" in where else key_from(name, environ, names=key_names)
    Endpoint(where, key)  # refuses what is no URL
    must_have_key(name, key, where)
    return Target(
        name=called or name,
        provider=name,
        url=where,
        key=key,
        model=model,
        functions=frozenset(functions),
        timeout_s=row.timeout_s if timeout_s is None else timeout_s,
    )


def distinct(targets: Iterable[Target]) -> tuple[Target, ...]:
    """The same endpoints, numbered where several have one name."""
    made: list[Target] = []
    for target in targets:
        alike = sum(before.name.partition("#")[0] == target.name for before in made)
        made.append(replace(target, name=f"{target.name}#{alike + 1}") if alike else target)
    return tuple(made)


def plan_of_url(given: str, task: Task, environ: Mapping[str, str], *, model: str = "") -> Plan:
    """One endpoint for one task.

    Args:
        given: a URL, with `PROVIDER=` in front where it is not RunPod's and not an embedstack server.
    """
    name, _, url = given.partition("=") if "=" in given.partition("://")[0] else ("", "", given)
    target = target_of(name or provider_of_url(url), task, environ, url=url, model=model)
    return plan_of(task, Way(targets=(target,), model=model))


def plan_of(task: Task, way: Way, *, prompts: Mapping[str, str] | None = None) -> Plan:
    """A plan for one task."""
    return Plan(embed=way, prompts=prompts) if task == "embed" else Plan(rerank=way)


# ------------------------------------------------------------------------------------------------ router.toml


class _Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"functions": "for"}):
    provider: str
    name: str = ""
    url: str = ""
    key_env: str = ""
    model: str = ""
    functions: tuple[Function, ...] = FUNCTIONS
    timeout_s: float | None = None
    retries: int | None = None


class _Way(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    endpoints: tuple[_Target, ...] = ()
    model: str = ""
    fallback: bool = True
    look_first: bool = True


class _Embed(_Way, frozen=True, forbid_unknown_fields=True):
    prompts: dict[str, str] | None = None
    probes: str = ""
    allow_int8: bool = False


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    embed: _Embed = msgspec.field(default_factory=_Embed)
    rerank: _Way = msgspec.field(default_factory=_Way)
    hedge_after_s: float | None = None
    health_ttl_s: float = HEALTH_TTL_S
    warm_up: bool = True


def plan_of_file(path: Path, environ: Mapping[str, str]) -> Plan:
    """What a `router.toml` says.

    Args:
        environ: where keys are, by the names that the file gives.
    Raises:
        ConfigError: it cannot be read, holds an unknown key or a wrong value, or a variable is not set.
    """
    try:
        read = msgspec.toml.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be read ({error.strerror}); give a router.toml") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(f"{str(path)!r} does not fit: {error}; see docs/router.md") from error
    try:
        return Plan(
            embed=_way(read.embed, "embed", environ),
            rerank=_way(read.rerank, "rerank", environ),
            prompts=read.embed.prompts,
            probes=path.parent / read.embed.probes if read.embed.probes else None,
            allow_int8=read.embed.allow_int8,
            hedge_after_s=read.hedge_after_s,
            health_ttl_s=read.health_ttl_s,
            warm_up=read.warm_up,
        )
    except ConfigError as error:
        error.args = (f"{str(path)!r}: {error}",)
        raise


def _way(read: _Way, task: Task, environ: Mapping[str, str]) -> Way:
    targets = distinct(_target(one, task, environ, read.model) for one in read.endpoints)
    return Way(targets=targets, model=read.model, falls_back=read.fallback, looks_first=read.look_first)


def _target(read: _Target, task: Task, environ: Mapping[str, str], model: str) -> Target:
    if read.key_env and not environ.get(read.key_env):
        raise ConfigError(f"key_env={read.key_env!r} is not set; set that variable, or leave key_env out")
    if read.timeout_s is not None and not read.timeout_s > 0:
        raise ConfigError(f"timeout_s={read.timeout_s!r} is not above 0; it is the seconds that one attempt may take")
    if read.retries is not None and read.retries < 0:
        raise ConfigError(f"retries={read.retries!r} is below 0; give 0 for a single attempt")
    if not read.functions:
        raise ConfigError(f"for=[] leaves {read.provider!r} nothing to do; name some of: {', '.join(FUNCTIONS)}")
    made = target_of(
        read.provider,
        task,
        environ,
        url=read.url,
        model=read.model or ("" if (provider(read.provider).models or {}).get(task) else model),
        called=read.name,
        key_names=(read.key_env,) if read.key_env else (),
        functions=read.functions,
        timeout_s=read.timeout_s,
    )
    return replace(made, retries=read.retries)


def names_of(plan: Plan) -> str:
    """Both ways in a line, for logs; holds no secret."""
    ways = ((task, plan.way(task).targets) for task in TASKS)
    return " ".join(f"{task}={','.join(target.name for target in targets)}" for task, targets in ways if targets)
