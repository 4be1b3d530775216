"""The variables that applications of today already have -> the plan of a router.

Of a RAG stack: `EMBEDDINGS_PROVIDER` and `RERANKER_PROVIDER` (bge, jina, auto), `EMBEDDINGS_FALLBACK_TO_JINA`,
`RERANKER_FALLBACK_TO_JINA`, `BGE_EMBEDDINGS_ENDPOINT`, `BGE_RERANKER_ENDPOINT`, `RUNPOD_EMBEDDINGS_ENDPOINT` and
`RUNPOD_RERANKER_ENDPOINT`. Of a search application: `BACKEND_EMBED_QUERY`, `BACKEND_EMBED_INGEST`,
`BACKEND_LATE_EMBED`, `INFERENCE_BACKEND`, `RUNPOD_ENDPOINT_ID`, `RUNPOD_QUERY_ENDPOINT_ID` and
`RUNPOD_INGEST_ENDPOINT_ID`. Of a third, which goes on to Hugging Face where RunPod fails: `RUNPOD_ENDPOINT_BGE_M3` and
the like. All embed with BGE-M3, which has no prompts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from embedstack.client.plan import ALL, Plan, Target, Way, distinct, plan_of, plan_of_file, plan_of_url, target_of
from embedstack.client.providers import (
    RUNPOD_URL,
    RUNPOD_URL_VARIABLE,
    is_of_jobs,
    key_from,
)
from embedstack.client.routing import Function
from embedstack.errors import ConfigError
from embedstack.modelspec import Task

MODEL = "BAAI/bge-m3"  # what the three embed with
NO_PROMPTS: Mapping[str, str] = {}  # of that model
CHOICES = ("bge", "jina", "auto")
BACKENDS = ("local", "runpod")
FLAGS = {"true": True, "false": False, "": False}
STACK: Mapping[Task, tuple[str, str, str, str, str]] = {
    "embed": (
        "EMBEDDINGS_PROVIDER",
        "EMBEDDINGS_FALLBACK_TO_JINA",
        "BGE_EMBEDDINGS_ENDPOINT",
        "RUNPOD_EMBEDDINGS_ENDPOINT",
        "http://localhost:8080",
    ),
    "rerank": (
        "RERANKER_PROVIDER",
        "RERANKER_FALLBACK_TO_JINA",
        "BGE_RERANKER_ENDPOINT",
        "RUNPOD_RERANKER_ENDPOINT",
        "http://localhost:8081",
    ),
}
"""By task: provider, fallback, endpoint, endpoint at RunPod, and where the endpoint is if nobody says."""
SWITCHES: Mapping[Function, tuple[str, tuple[str, ...]]] = {
    "ingest": ("BACKEND_EMBED_INGEST", ("RUNPOD_INGEST_ENDPOINT_ID", "RUNPOD_ENDPOINT_ID")),
    "late": ("BACKEND_LATE_EMBED", ("RUNPOD_INGEST_ENDPOINT_ID", "RUNPOD_ENDPOINT_ID")),
    "query": ("BACKEND_EMBED_QUERY", ("RUNPOD_QUERY_ENDPOINT_ID", "RUNPOD_ENDPOINT_ID")),
}
"""By function: what answers it, and its id at RunPod. Ingest comes first: what is stored decides the space."""
OLDER_SWITCH = "INFERENCE_BACKEND"  # for every function that has none of its own
NAMED: Mapping[str, str] = {"BGE_M3": MODEL, "SIGLIP": "google/siglip-so400m-patch14-384"}
"""By the end of `RUNPOD_ENDPOINT_…` and `RUNPOD_URL_…`: the model at Hugging Face."""


def plan_of_environment(environ: Mapping[str, str]) -> Plan:
    """Both tasks, as the variables say; what they leave open is as their applications have it.

    Raises:
        ConfigError: a value that they do not take, a key that is missing, or two applications' variables that name
            other endpoints for the same.
    """
    ways = tuple(_ways_to_embed(environ))
    for name, way in ways[1:]:
        if _places(way) != _places(ways[0][1]):
            raise ConfigError(f"{ways[0][0]} and {name} name other endpoints for vectors; unset one of them")
    # the RAG stack has defaults for everything: they count where no other application's variables are set
    is_rag_stack = not ways or ways[0][0] in STACK["embed"] or bool(_said("rerank", environ))
    return Plan(
        embed=ways[0][1] if ways else _stack("embed", environ),
        rerank=_stack("rerank", environ) if is_rag_stack else Way(),
        prompts=NO_PROMPTS,
    )


def _ways_to_embed(environ: Mapping[str, str]) -> Iterator[tuple[str, Way]]:
    """Of each application whose variables are set: one of them, and what they say."""
    if name := _said("embed", environ):
        yield name, _stack("embed", environ)
    if name := next((name for name in (*(row[0] for row in SWITCHES.values()), OLDER_SWITCH) if environ.get(name)), ""):
        yield name, Way(targets=distinct(_switched(environ)), model=MODEL, falls_back=False)
    if end := next((end for end in NAMED if _named_url(end, environ)), ""):
        yield f"RUNPOD_ENDPOINT_{end}", Way(targets=distinct(_named(environ)), model=NAMED[end])


def _said(task: Task, environ: Mapping[str, str]) -> str:
    """A variable of the RAG stack that says where this is to be had; empty where none does."""
    provider_name, fallback_name, here, there, _ = STACK[task]
    said = [name for name in (provider_name, here, there) if environ.get(name)]
    return next(iter(said), fallback_name if _flag(fallback_name, environ) else "")


def _places(way: Way) -> set[tuple[str, frozenset[Function]]]:
    return {(target.url, target.functions) for target in way.targets}


def plan_via(where: str, task: Task, environ: Mapping[str, str], *, model: str = "") -> Plan:
    """What a user means who names one place for one task.

    Args:
        where: a `router.toml`, a URL (with `PROVIDER=` in front where need be), a provider's name, or `env` for what
            all the variables together say.
        model: its name there, for a URL or a provider.
    Raises:
        ConfigError: it is none of these, or says nothing of the task.
    """
    if where.endswith(".toml") or where == "env":
        if model:
            raise ConfigError(f"a model is given, and {where!r} names the models itself; leave it out")
        plan = plan_of_environment(environ) if where == "env" else plan_of_file(Path(where), environ)
        if not plan.way(task).targets:
            raise ConfigError(f"{where!r} names no endpoint for {task}; add one under [{task}]")
        return plan
    if "://" in where:
        return plan_of_url(where, task, environ, model=model)
    return plan_of_provider(where, task, environ, model=model)


def plan_upstream(where: str, environ: Mapping[str, str]) -> Plan:
    """As `plan_via`, for a server, which has room for all that a `router.toml` or the variables name."""
    return plan_of_environment(environ) if where == "env" else plan_of_file(Path(where), environ)


def plan_of_provider(name: str, task: Task, environ: Mapping[str, str], *, model: str = "") -> Plan:
    """One provider for one task, where the variables say that it is.

    Raises:
        ConfigError: it is none, or nothing says where it is.
    """
    if name == "runpod":
        targets = distinct(_runpod(task, environ, model))
        if not targets:
            raise ConfigError(
                "nothing says which endpoint of RunPod is meant; set RUNPOD_ENDPOINT_ID, or give its URL: "
                "https://api.runpod.ai/v2/ENDPOINT_ID/runsync"
            )
        return plan_of(task, Way(targets=targets[:1], model=model))
    return plan_of(task, Way(targets=(target_of(name, task, environ, model=model),), model=model))


def runpod_url(endpoint_id: str, environ: Mapping[str, str]) -> str:
    """Where an endpoint's jobs go; an id may be a whole URL, too."""
    if "://" in endpoint_id:
        return endpoint_id
    return f"{(environ.get(RUNPOD_URL_VARIABLE) or RUNPOD_URL).rstrip('/')}/{endpoint_id}"


def _runpod(task: Task, environ: Mapping[str, str], model: str) -> Iterator[Target]:
    """Every endpoint of RunPod that is set, the plainest name first."""
    ids = ["RUNPOD_ENDPOINT_ID", STACK[task][3], STACK[task][2]]
    if task == "embed":
        ids += ["RUNPOD_QUERY_ENDPOINT_ID", "RUNPOD_INGEST_ENDPOINT_ID"]
        ids += [f"RUNPOD_{kind}_{end}" for end in NAMED for kind in ("ENDPOINT", "URL")]
    for name in ids:
        given = environ.get(name, "")
        if given and (not name.startswith("BGE_") or is_of_jobs(given)):
            yield target_of("runpod", task, environ, url=runpod_url(given, environ), model=model)


# ------------------------------------------------------------------------------------------------ the RAG stack


def _stack(task: Task, environ: Mapping[str, str]) -> Way:
    provider_name, fallback_name, *_ = STACK[task]
    chosen = _one_of(provider_name, environ, CHOICES, "bge")
    falls_back = _flag(fallback_name, environ)
    own = tuple(_own(task, environ)) if chosen != "jina" else ()
    jina = (target_of("jina", task, environ),) if chosen != "bge" or falls_back else ()
    return Way(
        targets=distinct((*own, *jina)),
        model=MODEL if task == "embed" and own else "",
        # `auto` without a fallback goes to the one that is healthy, and to no other; two places of one model are two
        falls_back=falls_back or (chosen == "bge" and len(own) > 1),
        looks_first=chosen == "auto",
    )


def _own(task: Task, environ: Mapping[str, str]) -> Iterator[Target]:
    """The self-hosted endpoint, and the one at RunPod; where only that is set there is no default beside it."""
    _, _, here, there, default = STACK[task]
    url = environ.get(here, "") or ("" if environ.get(there) else default)
    if url and is_of_jobs(url):
        yield target_of("runpod", task, environ, url=url)
    elif url:
        yield target_of("rag-stack", task, environ, url=url, called="bge")
    if environ.get(there):
        yield target_of("runpod", task, environ, url=runpod_url(environ[there], environ))


# ------------------------------------------------------------------------------------------------ the two others


def _switched(environ: Mapping[str, str]) -> Iterator[Target]:
    """One target for each function that has a backend; two functions with one endpoint share it.

    A function without one is answered by the first that there is: some services only search, and have one switch.
    """
    found: dict[str, Target] = {}
    for function, (switch, ids) in SWITCHES.items():
        backend = _one_of(switch, environ, BACKENDS, "") or _one_of(OLDER_SWITCH, environ, BACKENDS, "")
        if not backend:
            continue
        if backend == "local":
            made = target_of("local", "embed", environ, model=MODEL, functions=())
        else:
            made = target_of("runpod", "embed", environ, url=_runpod_of(switch, ids, environ), functions=())
        before = found.setdefault(made.url, made)
        found[made.url] = replace(before, functions=before.functions | {function})
    rest = ALL.difference(*(target.functions for target in found.values()))
    for place, target in enumerate(found.values()):
        yield replace(target, functions=target.functions | rest) if place == 0 else target


def _runpod_of(switch: str, ids: tuple[str, ...], environ: Mapping[str, str]) -> str:
    given = next((environ[name] for name in ids if environ.get(name)), "")
    if not given:
        raise ConfigError(f"{switch}=runpod, and no endpoint of RunPod is named; set {ids[0]}")
    return runpod_url(given, environ)


def _named(environ: Mapping[str, str]) -> Iterator[Target]:
    """RunPod, then Hugging Face, where there is a key for it."""
    end = next((end for end in NAMED if _named_url(end, environ)), "")
    if not end:
        return
    yield target_of("runpod", "embed", environ, url=_named_url(end, environ), functions=ALL)
    if key_from("huggingface", environ):
        yield target_of("huggingface", "embed", environ, model=NAMED[end])


def _named_url(end: str, environ: Mapping[str, str]) -> str:
    given = environ.get(f"RUNPOD_ENDPOINT_{end}") or environ.get(f"RUNPOD_URL_{end}") or ""
    return runpod_url(given, environ) if given else ""


def _one_of(name: str, environ: Mapping[str, str], words: tuple[str, ...], default: str) -> str:
    given = environ.get(name) or default
    if given and given not in words:
        raise ConfigError(f"{name}={given!r} is not one of: {', '.join(words)}")
    return given


def _flag(name: str, environ: Mapping[str, str]) -> bool:
    given = environ.get(name, "")
    if given.lower() not in FLAGS:
        raise ConfigError(f"{name}={given!r} is not true or false")
    return FLAGS[given.lower()]
