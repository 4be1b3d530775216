"""`embedstack bench`: how fast a model is on this machine, in one runtime and precision or in several side by side."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import orjson
from tqdm import tqdm

from embedstack.api import model_names, open_engine
from embedstack.cli.flags import MODEL, setting_flags, settings_from
from embedstack.cli.texts import FIELD, read_texts
from embedstack.evals.sentences import mixed, questions
from embedstack.evals.speed import Run, Speed, measure, private_mb
from embedstack.model import Model
from embedstack.runtimes.processor import usable_threads
from embedstack.settings import Settings

TEXTS, SINGLES = 128, 100  # enough for a stable median; some 2 seconds a round for a model of 20 million parameters
REST = tuple(name for name in MODEL if name not in ("runtime", "precision", "allow_unproven", "truncate"))
TEXT = "the text that documents are scored against"


@dataclass(frozen=True, slots=True)
class Opened:
    """A model in one runtime and precision, ready."""

    model: Model
    run: Run
    load_s: float
    memory_mb: float


@click.command()
@click.argument("model", required=False)
@click.option("--runtime", "runtimes", multiple=True, help="may be repeated; default: that of the settings")
@click.option("--precision", "precisions", multiple=True, help="may be repeated; default: that of the settings")
@click.option(
    "--texts", type=click.Path(path_type=Path), help=f"your own, one a line, or .jsonl with the field {FIELD!r}"
)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="counted; one more warms up")
@click.option("--json", "is_json", is_flag=True, help="for machines")
@setting_flags(*REST)
def bench(
    model: str | None, runtimes: tuple[str, ...], precisions: tuple[str, ...], texts: Path | None, rounds: int,
    is_json: bool, **flags: object,
) -> None:  # fmt: skip
    """Measure MODEL on this machine: texts per second, the latency of one, start and memory.

    \b
    embedstack bench                                              the first model of the settings
    embedstack bench bge-m3 --texts mine.txt                      a model and texts of your own
    embedstack bench --runtime openvino --runtime onnx            side by side, in turn

    Without --texts they are sentences of ours, about half of them questions and half paragraphs. Nothing else should
    run meanwhile.
    """
    chosen = [
        settings_from({**flags, "runtime": runtime, "precision": precision})
        for runtime in runtimes or (None,)
        for precision in precisions or (None,)
    ]
    given = list(read_texts((), (texts,))) if texts else mixed(TEXTS)
    singles = given[:SINGLES] if texts else questions(SINGLES)
    with ExitStack() as stack, tqdm(total=(rounds + 1) * len(chosen), unit=" turns", disable=None, delay=1) as bar:
        opened: dict[str, Opened] = {}
        for settings in chosen:
            one = _open(model or model_names(settings)[0], settings)
            stack.callback(one.model.close)
            opened[f"{settings.runtime} {settings.precision}"] = one
        runs = {name: one.run for name, one in opened.items()}
        speeds = measure(runs, given, singles, rounds=rounds, done=bar.update)
        report = _report(opened, speeds, given, rounds, chosen[0])
    click.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() if is_json else _table(report))


def _open(name: str, settings: Settings) -> Opened:
    """Loaded and with its first vector made; what it takes of time and memory is from here to there."""
    before, began = private_mb(), time.perf_counter()
    model = Model(open_engine(replace(settings, allow_unproven=True), [name]))  # nobody gets its vectors
    run = _run(model)
    run(["one text"])
    return Opened(model, run, time.perf_counter() - began, private_mb() - before)


def _run(model: Model) -> Run:
    match model.spec.task:
        case "embed":
            return lambda texts: model.encode(texts).usage
        case "rerank":
            return lambda texts: model.score(TEXT, texts).usage
        case "classify":
            return lambda texts: model.classify(texts).usage


def _report(
    opened: dict[str, Opened], speeds: dict[str, Speed], texts: Sequence[str], rounds: int, settings: Settings
) -> dict[str, object]:
    first = next(iter(opened.values()))
    rows = [
        {
            "name": name,
            "fingerprint": _fingerprint(opened[name].model),
            **asdict(speed),
            "load_s": opened[name].load_s,
            "memory_mb": opened[name].memory_mb,
        }
        for name, speed in speeds.items()
    ]
    return {
        "model": first.model.spec.name,
        "space": first.model.spec.space,
        "texts": len(texts),
        "tokens": first.run(texts).tokens,
        "rounds": rounds,
        "threads": settings.threads or usable_threads(),
        "rows": rows,
    }


def _fingerprint(model: Model) -> str:
    """Which precision `auto` became can be told by it."""
    match model.spec.task:
        case "embed":
            return model.encode("one text").fingerprint
        case "rerank":
            return model.score(TEXT, "one text").fingerprint
        case "classify":
            return model.classify("one text").fingerprint


def _table(report: dict[str, object]) -> str:
    rows = report["rows"]
    assert isinstance(rows, list)
    head = "{model}: {texts} texts of {tokens} tokens, {rounds} rounds, {threads} threads".format_map(report)
    wide = max(len(row["name"]) for row in rows)
    titles = f"{'texts/s':>8}  {'range':>13}  {'tokens/s':>9}  {'p50 ms':>7}  {'p99 ms':>7}  {'load s':>6}  {'MB':>6}"
    return "\n".join((head, "", f"{'':<{wide}}  {titles}", *(f"{row['name']:<{wide}}  {_cells(row)}" for row in rows)))


def _cells(row: Mapping[str, object]) -> str:
    texts, tokens = row["texts_per_s"], row["tokens_per_s"]
    assert isinstance(texts, dict)
    assert isinstance(tokens, dict)
    spread = f"{texts['median']:>8.1f}  {texts['least']:>6.1f}-{texts['most']:<6.1f}"
    rest = "{p50_ms:>7.1f}  {p99_ms:>7.1f}  {load_s:>6.2f}  {memory_mb:>6.0f}".format_map(row)
    return f"{spread}  {tokens['median']:>9.0f}  {rest}"
