"""`embedstack models prove`: a runtime here, an endpoint or an exported file is compared with float64 truth."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from pathlib import Path

import click
from click.core import ParameterSource

from embedstack import __version__
from embedstack.api import locate, open_engine
from embedstack.catalog.locate import Located
from embedstack.catalog.network import to_stderr
from embedstack.cli.flags import setting_flags, settings_from
from embedstack.cli.prove_against import Asked, prove_stored
from embedstack.client.client import Client
from embedstack.client.endpoint import Endpoint
from embedstack.engine.engine import Engine
from embedstack.engine.loaded import Loaded
from embedstack.errors import BadRequest, Mismatch, Unsupported
from embedstack.identifying.opening import Place
from embedstack.inputs.text import TextInput
from embedstack.modelspec import Precision
from embedstack.proof.fidelity import JUDGED_AS, Fidelity
from embedstack.proof.kept import Truth
from embedstack.proof.noted import Note
from embedstack.proof.prove import Report
from embedstack.proof.prove import prove as compare
from embedstack.proof.truth import ensure
from embedstack.runtimes import Options, open_runtime
from embedstack.settings import Settings, named_variable

COLUMNS = ("OUTPUT", "PROBES", "COSINE MIN", "MEAN", "LARGEST OFF", "TOP 10", "ORDER", "ALONE")
SETTINGS = ("runtime", "precision", "device", "threads", "cache_dir", "offline", "hf_endpoint")
# which flags do nothing, by what is proven
ENDPOINTS_OWN = {"dialect", "served_as", "key_env", "prompts_here"}
STORED = {"prompt", "text_key", "vector"}
IDLE = {
    "--against": {"name", "file", "quick", "prompts_here", "runtime", "device", "threads"},
    "--file": {"url", "runtime", "precision", *ENDPOINTS_OWN, *STORED},
    "--url": {"runtime", "device", "threads", *STORED},
    "a runtime here": {*ENDPOINTS_OWN, *STORED},
}


@click.command()
@click.argument("name", required=False)
@click.option("--url", help="prove what answers there, not a runtime here; the base URL that its clients are given")
@click.option("--dialect", default="openai", show_default=True, help="what the endpoint speaks: openai or tei")
@click.option("--served-as", default="", help="the model's name at the endpoint [default: its name here]")
@click.option("--key-env", help="the environment variable that holds the endpoint's key")
@click.option("--prompts-here", is_flag=True, help="put the model's prompts in front here: the endpoint puts none")
@click.option(
    "--against",
    default="",
    metavar="SOURCE",
    help="prove what answers at --url by vectors that are stored, whoever made them: DATABASE#COLLECTION, a job, files",
)
@click.option("--prompt", default="", metavar="TEXT", help="with --against: put this in front of texts here")
@click.option(
    "--text-key", default="", metavar="KEY", help="with --against: of the text in the payload [default: found]"
)
@click.option("--vector", default="", metavar="NAME", help="with --against: of the vectors, if there are more")
@click.option("--file", type=click.Path(path_type=Path), help="prove a file that `models export` wrote")
@click.option("--quick", is_flag=True, help="leave out the text past the limit of a model that takes over 1024 tokens")
@click.option("--json", "is_json", is_flag=True, help="print JSON, for machines")
@setting_flags(*SETTINGS)
def prove(
    name: str | None, url: str | None, dialect: str, served_as: str, key_env: str | None, prompts_here: bool,
    against: str, prompt: str, text_key: str, vector: str, file: Path | None, quick: bool, is_json: bool,
    **flags: object,
) -> None:  # fmt: skip
    """Compare a model's vectors with float64 truth, and say what is wrong where they differ.

    \b
    embedstack models prove all-MiniLM-L6-v2                         the default runtime of this machine
    embedstack models prove bge-m3 --runtime onnx --precision float32
    embedstack models prove bge-m3 --url http://host:8080 --dialect tei
    embedstack models prove bge-m3 --file bge-m3.onnx
    embedstack models prove --url http://host:8080 --against './database#docs'   whether its vectors may go there

    It ends with 0 if every limit of the precision is kept, and with 3 if not.
    """
    _refuse_idle("--against" if against else "--file" if file else "--url" if url is not None else "a runtime here")
    if against:
        if url is None:
            raise BadRequest("--against proves an endpoint; name it with --url")
        settings = settings_from(flags)
        asked = Asked(
            url=url, dialect=dialect, model=served_as, key=named_variable(key_env) if key_env else "", prompt=prompt,
            precision=_held_to(settings, flags) or JUDGED_AS,
        )  # fmt: skip
        place = Place(named=against, vector=vector, api_key=settings.qdrant_api_key)
        prove_stored(place, text_key, asked, is_json=is_json)
        return
    if name is None:
        raise BadRequest("no model is named; name one, or prove an endpoint by vectors that are stored with --against")
    # every vector is to be computed, also of what only this will prove
    settings = replace(settings_from(flags), vector_cache_mb=0, allow_unproven=True)
    key = named_variable(key_env) if key_env else ""
    shown = Endpoint(url, key).shown if url is not None else ""
    if settings.runtime == "reference":
        raise Unsupported("runtime 'reference' has no truth to be proven against: its graph is not ours; leave it out")
    located = locate(name, settings)
    truth = ensure(located.spec, located.folder, settings.cache_dir, late=not quick)

    async def compared() -> tuple[str, Report]:
        async with AsyncExitStack() as stack:
            if url is not None:
                client = Client(
                    url, model=served_as, dialect=dialect, key=key, spec=located.spec, prompts_here=prompts_here
                )
                await stack.enter_async_context(client)
                held = _held_to(settings, flags)
                return shown, await compare(client, located.spec, truth, located.folder, precision=held)
            engine = _exported(file, located, settings) if file else open_engine(settings, [name])
            stack.callback(engine.close)
            where, report = await _local(engine, located, truth)
            if not file:
                Note(located.spec, settings.cache_dir, __version__).write(report)
            return where, report

    where, report = asyncio.run(compared())
    click.echo(json.dumps(_fields(where, report), indent=2) if is_json else _text(where, report))
    for note in report.notes:
        to_stderr(note)
    if not report.is_proven:
        raise Mismatch(f"{located.spec.name!r} at {where} is not proven: {'; '.join(report.failures)}")


def _held_to(settings: Settings, flags: Mapping[str, object]) -> Precision | None:
    """What this machine is set to computes nothing elsewhere: only a flag says what to hold an endpoint to."""
    return settings.precision if flags["precision"] and settings.precision != "auto" else None


async def _local(engine: Engine, located: Located, truth: Truth) -> tuple[str, Report]:
    runtime = engine.find("", located.spec.task).runtime
    report = await compare(engine, located.spec, truth, located.folder, precision=runtime.precision)
    return f"{runtime.device}: {runtime.reason}", report


def _refuse_idle(proven: str) -> None:
    """A flag that changes nothing would be taken for one that did."""
    context = click.get_current_context()
    given = {name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    if idle := sorted(given & IDLE[proven]):
        flags = ", ".join("NAME" if name == "name" else f"--{name.replace('_', '-')}" for name in idle)
        raise BadRequest(f"{flags} would change nothing for {proven}; leave it out")


def _exported(file: Path, located: Located, settings: Settings) -> Engine:
    """The file in an engine of its own.

    Raises:
        Mismatch: it was exported from another model.
    """
    open_runtime("onnx")  # says what to install
    from embedstack.runtimes.export import check_identity
    from embedstack.runtimes.exported import OnnxFile

    check_identity(file, located.spec)
    runtime = OnnxFile(file, Options(device=settings.device, threads=settings.threads))
    return Engine([Loaded(located.spec, TextInput(located.folder, located.spec), runtime)])


# ------------------------------------------------------------------------------------------------ shown


def _text(where: str, report: Report) -> str:
    found = report.diagnosis
    lines = [
        f"{report.spec.name} at {where}",
        f"space {report.spec.space}, held to {report.precision} ({report.judged_as})",
        "",
        *_table(report.rows),
        "",
        f"{report.verdict}: {found.says}",
    ]
    if found.hidden:
        lines.append(f"cannot tell at {report.precision}: {', '.join(found.hidden)}")
    return "\n".join(lines)


def _table(rows: tuple[Fidelity, ...]) -> list[str]:
    lines = [COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _cells(row: Fidelity) -> tuple[str, ...]:
    shares = [f"{value:.1%}" if value is not None else "" for value in (row.top, row.order)]
    cosines = [f"{value:.7f}" if value is not None else "" for value in (row.least, row.mean, row.alone)]
    return (row.output, str(row.probes), *cosines[:2], f"{row.largest:.1e}", *shares, cosines[2])


def _fields(where: str, report: Report) -> dict[str, object]:
    return {
        "model": report.spec.name,
        "space": report.spec.space,
        "where": where,
        "precision": report.precision,
        "judged_as": report.judged_as,
        "proven": report.is_proven,
        "verdict": report.verdict,
        "outputs": [asdict(row) for row in report.rows],
        "failures": list(report.failures),
        "diagnosis": {**asdict(report.diagnosis)},
        "notes": list(report.notes),
    }
