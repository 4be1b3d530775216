"""`embedstack models`: what is known, what is here, fetch it, remove it, carry it to another machine."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from embedstack.catalog.answers import instruction_of
from embedstack.catalog.bundle import bundle as write_bundle
from embedstack.catalog.bundle import unbundle
from embedstack.catalog.catalog import COMMIT, Entry, Wanted, entries, parse
from embedstack.catalog.locate import Located, find, in_folder, in_store
from embedstack.catalog.network import to_stderr
from embedstack.catalog.store import Kept, Store, writing
from embedstack.cli.lazy import LazyGroup
from embedstack.errors import BadRequest, ConfigError, Unsupported
from embedstack.modelspec import spec_fields
from embedstack.settings import Settings, read_settings

Command = Callable[..., None]
LATER: dict[str, str] = {
    "prove": "embedstack.cli.prove:prove",
    "export": "embedstack.cli.export:export",
    "families": "embedstack.cli.families:families",
}
IN_FILES = "in its files; seen once it is pulled"

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")


def _places(command: Command) -> Command:
    """The settings that every command here takes."""
    command = click.option("--env-file", type=click.Path(path_type=Path), help="A file of settings, instead of .env.")(
        command
    )
    return click.option("--cache-dir", type=click.Path(path_type=Path), help="Where models are kept.")(command)


@click.group(cls=LazyGroup, later=LATER)
def models() -> None:
    """List, fetch, inspect, remove and carry models.

    A NAME is a name of the catalog, any Hugging Face id (org/name or org/name@revision), or a folder (./mine).

    \b
    embedstack models list
    embedstack models pull bge-m3
    embedstack models bundle bge-m3 bge-m3.tar     # then, on a machine without a network:
    embedstack models pull --from bge-m3.tar
    """


# ------------------------------------------------------------------------------------------------ list


@models.command("list")
@_places
@_json
def list_models(cache_dir: Path | None, env_file: Path | None, as_json: bool) -> None:
    """The catalog, and what is on this machine with its size."""
    store = _store(cache_dir, env_file)
    rows = _rows(store)
    total = sum(kept.size_bytes for kept in store.kept())
    if as_json:
        click.echo(json.dumps({"cache": str(store.root), "size_bytes": total, "models": rows}, indent=2))
        return
    click.echo(_table(rows))
    click.echo(f"\n{_megabytes(total)} in {store.root}")


def _rows(store: Store) -> list[dict[str, object]]:
    kept = {(k.repo, k.revision): k for k in store.kept()}
    rows = [_catalog_row(entry, kept.pop((entry.repo, entry.revision), None)) for entry in entries()]
    return rows + [_kept_row(k) for k in kept.values()]


def _catalog_row(entry: Entry, kept: Kept | None) -> dict[str, object]:
    return {
        "name": entry.name,
        "task": entry.task,
        "repo": entry.repo,
        "revision": entry.revision,
        "licence": entry.licence,
        "about": entry.about,
        "here": kept is not None,
        "size_bytes": kept.size_bytes if kept else None,
        "download_mb": entry.size_mb,
    }


def _kept_row(kept: Kept) -> dict[str, object]:
    return {
        "name": kept.repo,
        "task": None,
        "repo": kept.repo,
        "revision": kept.revision,
        "licence": None,
        "about": f"revision {kept.revision[:8]}",
        "here": True,
        "size_bytes": kept.size_bytes,
        "download_mb": None,
    }


def _table(rows: list[dict[str, object]]) -> str:
    lines = [("NAME", "TASK", "HERE", "LICENCE", "ABOUT")]
    for row in rows:
        size = row["size_bytes"]
        here = _megabytes(size) if isinstance(size, int) else f"no ({row['download_mb']} MB)"
        lines.append((str(row["name"]), str(row["task"] or ""), here, str(row["licence"] or ""), str(row["about"])))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, [*widths, 0], strict=True)).rstrip() for line in lines)


# ------------------------------------------------------------------------------------------------ show, path


@models.command()
@click.argument("name")
@_places
@_json
def show(name: str, cache_dir: Path | None, env_file: Path | None, as_json: bool) -> None:
    """What a model is: recipe, limits, licence, identity. Fetches nothing."""
    store = _store(cache_dir, env_file)
    wanted = parse(name)
    here = _here(wanted, store)
    fields = _catalog_fields(wanted) | (_located_fields(here) if here else {"here": False})
    click.echo(json.dumps(fields, indent=2) if as_json else _lines(fields))
    if here is None and not as_json:
        to_stderr(f"its space is known once its files are here: embedstack models pull {name}")


def _catalog_fields(wanted: Wanted | Path) -> dict[str, object]:
    if isinstance(wanted, Path):
        return {}
    fields: dict[str, object] = {"name": wanted.name, "repo": wanted.repo, "revision": wanted.revision}
    if (entry := wanted.entry) is not None:
        wheel = f"{entry.wheel.package}=={entry.wheel.version}" if entry.wheel else None
        sources = [*([f"wheel {wheel}"] if wanted.wheel else []), f"hub {entry.repo}@{wanted.revision}"]
        fields |= {
            "task": entry.task,
            "licence": entry.licence,
            "about": entry.about,
            "aliases": list(entry.aliases),
            **_stated(entry),
            "sources": sources,
            "digests": wanted.sha256,
            "unpinned": list(wanted.unpinned),
        }
    return fields


def _stated(entry: Entry) -> dict[str, object]:
    """What the catalog says of prompts, None where they are in the files of the model alone."""
    known = _profile(entry.task, entry.prompts, entry.needs_prompt)
    return {"prompts": entry.prompts or None, **(known if entry.prompts else dict.fromkeys(known))}


def _located_fields(here: Located) -> dict[str, object]:
    spec = here.spec
    told = {**_profile(spec.task, spec.prompts, spec.needs_prompt), **_instruction(spec.pair_template)}
    return {**spec_fields(spec), **told, "here": True, "folder": str(here.folder), "source": here.source}


def _instruction(template: str) -> dict[str, object]:
    """What stands before each pair, where a decoder reranks."""
    return {"instruction": instruction} if (instruction := instruction_of(template)) else {}


def _profile(task: str, prompts: Mapping[str, str], is_required: bool) -> dict[str, object]:
    """What stands before a text of each role; nothing of a model that has no roles."""
    if task != "embed":
        return {}
    roles = {role: prompts.get(role, "") for role in dict.fromkeys(("query", "document", *prompts))}
    return {"prompt_profile": {"required": is_required, "unsaid_role": "document", "roles": roles}}


def _profile_lines(profile: Mapping[str, object]) -> str:
    roles = profile["roles"]
    assert isinstance(roles, Mapping)
    shown = "; ".join(f"{role}: {prompt!r}" if prompt else f"{role}: nothing" for role, prompt in roles.items())
    rule = "a text without one is refused" if profile["required"] else "a text may go without, as role none"
    return f"{shown} (a text without a role is a document; {rule})"


def _lines(fields: Mapping[str, object]) -> str:
    width = max(len(name) for name in fields)
    return "\n".join(f"{name.ljust(width)}  {_told(name, value)}" for name, value in fields.items())


def _told(name: str, value: object) -> str:
    if name == "prompt_profile" and isinstance(value, Mapping):
        return _profile_lines(value)
    return IN_FILES if name in ("prompts", "prompt_profile") and value is None else _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {inner!r}" for key, inner in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(str(inner) for inner in value) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


@models.command()
@click.argument("name")
@_places
def path(name: str, cache_dir: Path | None, env_file: Path | None) -> None:
    """Print the folder of a model that is here, and nothing else."""
    here = _here(parse(name), _store(cache_dir, env_file))
    if here is None:
        raise ConfigError(f"model {name!r} is not here; run: embedstack models pull {name}")
    click.echo(here.folder)


# ------------------------------------------------------------------------------------------------ pull, rm, bundle


@models.command()
@click.argument("name", required=False)
@click.option(
    "--from", "bundle_path", type=click.Path(path_type=Path), help="A tar that `models bundle` wrote, or its folder."
)
@click.option("--offline/--online", default=None, help="Take nothing from the network.")
@click.option("--hf-endpoint", help="The Hub, or a mirror of it.")
@click.option("--truth/--no-truth", "is_proven", default=True, help="Make the vectors that it is proven by, once.")
@_places
@_json
def pull(
    name: str | None,
    bundle_path: Path | None,
    is_proven: bool,
    offline: bool | None,
    hf_endpoint: str | None,
    cache_dir: Path | None,
    env_file: Path | None,
    as_json: bool,
) -> None:
    """Fetch a model, check its digests, make its truth vectors in float64 and print its folder."""
    if (name is None) == (bundle_path is None):
        raise BadRequest("give either a model or --from; example: embedstack models pull bge-m3")
    settings = _settings(cache_dir, env_file, offline=offline, hf_endpoint=hf_endpoint)
    if bundle_path is not None:
        store = Store(settings.cache_dir)
        located = in_store(unbundle(bundle_path, store, to_stderr), store)
        assert located is not None
    else:
        located = find(
            name or "",
            cache_dir=settings.cache_dir,
            offline=settings.offline,
            hf_endpoint=settings.hf_endpoint,
            hf_token=settings.hf_token,
        )
    if is_proven:
        _make_truth(located, settings.cache_dir)
    click.echo(json.dumps(_located_fields(located), indent=2) if as_json else located.folder)


def _make_truth(located: Located, cache_dir: Path) -> None:
    """A model whose graph is not ours has none, and is served as unproven."""
    from embedstack.proof.truth import ensure  # loads tokenisers and graphs, which the other commands do without

    try:
        ensure(located.spec, located.folder, cache_dir)
    except Unsupported as error:
        to_stderr(f"{located.spec.name} stays unproven: {error}")


@models.command()
@click.argument("name")
@_places
def rm(name: str, cache_dir: Path | None, env_file: Path | None) -> None:
    """Remove a model from this machine."""
    store = _store(cache_dir, env_file)
    wanted = parse(name)
    if isinstance(wanted, Path):
        raise BadRequest(f"{str(wanted)!r} is a folder of yours; only pulled models are removed here")
    with writing(store.root.parent), store.lock(wanted.repo, to_stderr):
        freed = store.remove(wanted.repo, _commit(wanted, store) if "@" in name else None)
    if not freed:
        raise ConfigError(f"model {name!r} is not here; `embedstack models list` shows what is")
    to_stderr(f"removed {wanted.name}: {_megabytes(freed)}")


def _commit(wanted: Wanted, store: Store) -> str:
    """The commit that a branch means here; one that is written out may be here in part only."""
    commit = store.revision(wanted) or wanted.revision
    if not COMMIT.fullmatch(commit):
        raise ConfigError(
            f"{wanted.repo!r} has no revision {wanted.revision!r} here; `embedstack models list --json` has the commits"
        )
    return commit


@models.command()
@click.argument("name")
@click.argument("out", type=click.Path(path_type=Path))
@_places
def bundle(name: str, out: Path, cache_dir: Path | None, env_file: Path | None) -> None:
    """Write a model that is here to one tar file, for a machine without a network.

    There: embedstack models pull --from OUT
    """
    store = _store(cache_dir, env_file)
    here = _here(parse(name), store)
    if here is None:
        raise ConfigError(f"model {name!r} is not here; run: embedstack models pull {name}")
    size = write_bundle(here.folder, out, store)
    to_stderr(f"wrote {out}: {_megabytes(size)}; on the other machine: embedstack models pull --from {out.name}")


# ------------------------------------------------------------------------------------------------ shared


def _settings(
    cache_dir: Path | None, env_file: Path | None, *, offline: bool | None = None, hf_endpoint: str | None = None
) -> Settings:
    return read_settings({"cache_dir": cache_dir, "offline": offline, "hf_endpoint": hf_endpoint}, env_file)


def _store(cache_dir: Path | None, env_file: Path | None) -> Store:
    return Store(_settings(cache_dir, env_file).cache_dir)


def _here(wanted: Wanted | Path, store: Store) -> Located | None:
    return in_folder(wanted, store.digests) if isinstance(wanted, Path) else in_store(wanted, store)


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"
