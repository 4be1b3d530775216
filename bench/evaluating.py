"""XQuAD in English and Russian through models, BM25, both fused, and rerankers: how good each is, and how fast.

    python bench/evaluating.py --data DATA --out bench/results/evaluating.json        two minutes on two idle cores

All figures of a model are of one run, those of the criterion too. DATA holds xquad/xquad.en.json and
xquad/xquad.ru.json; EMBEDSTACK_TEST_DATA names it, too. The default model is fetched; another one is measured if its
weights are in the cache (`embedstack models pull bge-m3`), else it is listed as not measured. A multilingual model is
also asked in Russian for English paragraphs. Beside the JSON a page (.md) of the same name is written. The exit code is
1 if a criterion is missed.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from embedstack.api import locate
from embedstack.catalog.network import to_stderr
from embedstack.cli.eval_openers import EvalOpeners
from embedstack.errors import ConfigError, UnknownModel
from embedstack.evals.evaluating import EvaluateHow, evaluate
from embedstack.evals.outcome import Interval, Report
from embedstack.evals.sets.digests import digest_of_labelled
from embedstack.evals.sets.labelled import Labelled
from embedstack.evals.sets.opening import open_labelled
from embedstack.evals.systems.naming import parse_systems
from embedstack.evals.systems.opening import SystemHow, open_systems
from embedstack.modelspec import ModelSpec
from embedstack.settings import DEFAULT_MODEL, Settings, read_settings
from evaluating_page import criteria, page
from machine import machine

MODELS = (DEFAULT_MODEL, "bge-m3", "multilingual-e5-small")
RERANKERS = ("bge-reranker-v2-m3", "ms-marco-MiniLM-L6-v2")  # the first one that is here
ENGLISH_ONLY = (DEFAULT_MODEL, "ms-marco-MiniLM-L6-v2", "bge-small-en-v1.5", "all-mpnet-base-v2")
MEASURES = ("ndcg@10", "mrr@10", "recall@100")
SAMPLES = 200  # as `embedstack eval run` takes by default
PACKAGES = ("embedstack", "openvino", "numpy", "tokenizers")


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions in one language, paragraphs in one."""

    name: str
    labelled: Labelled
    bm25: str  # the lexical baseline; "" where the two languages differ
    is_english: bool


def sets(data: Path) -> Iterator[Asked]:
    """English, Russian, and Russian questions for English paragraphs."""
    english, russian = (open_labelled(data / f"xquad/xquad.{language}.json") for language in ("en", "ru"))
    assert english.qrels == russian.qrels, "the two files are not parallel"
    across = replace(
        english,
        name="xquad.ru.json asks xquad.en.json",
        queries=russian.queries,
        digest=digest_of_labelled(english.documents, russian.queries, english.qrels),
    )
    yield Asked("English", english, "bm25", is_english=True)
    yield Asked("Russian", russian, "bm25:ru", is_english=False)
    yield Asked("Russian questions, English paragraphs", across, "", is_english=False)


def systems_of(spec: ModelSpec, asked: Asked, reranker: str) -> list[str]:
    """What is measured of a model: each kind of its vectors, with BM25, and what a reranker makes of that."""
    kinds = ("sparse", "multi")
    made = [spec.name, *(f"{spec.name}:{kind}" for kind in kinds if kind in spec.outputs)]
    if asked.bm25:
        made = [asked.bm25, *made, f"{asked.bm25}+{spec.name}"]
    if reranker and (asked.is_english or reranker not in ENGLISH_ONLY):
        made.append(f"{made[-1]}~{reranker}")
    return made


@dataclass(frozen=True, slots=True)
class Made:
    """An evaluation."""

    report: Report
    opened_s: float  # all models of it
    took_s: float  # from nothing to the report


def evaluated(asked: Asked, systems: Sequence[str], settings: Settings, samples: int) -> Made:
    """Whatever the systems need is opened and closed."""
    began = time.perf_counter()
    names = parse_systems(list(systems))
    with EvalOpeners(names, settings, os.environ, to_stderr) as openers, ExitStack() as stack:
        opened = open_systems(systems, openers, SystemHow())
        for system in opened:
            stack.callback(system.close)
        opened_s = time.perf_counter() - began
        how = EvaluateHow(measures=MEASURES, samples=samples)
        report = evaluate(asked.labelled, opened, how).report
    return Made(report, opened_s, time.perf_counter() - began)


def row(asked: Asked, model: str, made: Made) -> dict[str, object]:
    """For the JSON."""
    report = made.report
    return {
        "set": asked.name,
        "digest": report.digest,
        "queries": report.judged,
        "documents": report.documents,
        "model": model,
        "opened_s": round(made.opened_s, 1),
        "took_s": round(made.took_s, 1),
        "systems": {
            one.system: {
                "measures": {name: rounded(found) for name, found in one.measures.items()},
                "documents_s": round(one.prepare_s, 1),
                "queries_s": round(one.search_s, 1),
                **({"samples": one.latency.samples, "p50_ms": rounded(one.latency.p50_ms)} if one.latency else {}),
                "identities": [
                    {"model": who.model, "revision": who.revision, "space": who.space, "fingerprint": who.fingerprint}
                    for who in one.identities
                ],
                "notes": list(one.notes),
            }
            for one in report.outcomes
        },
        "differences": [
            {"baseline": one.baseline, "candidate": one.candidate, "delta": rounded(one.delta), "p_value": one.p_value}
            for one in report.comparisons
            if one.measure == MEASURES[0]
        ],
    }


def rounded(found: Interval) -> dict[str, float]:
    return {"value": round(found.value, 4), "low": round(found.low, 4), "high": round(found.high, 4)}


def here(names: Sequence[str], settings: Settings) -> tuple[dict[str, ModelSpec], dict[str, str]]:
    """Models whose weights are here, and why the others are not; the default one is fetched."""
    found, missing = {}, {}
    for name in dict.fromkeys(names):
        try:
            found[name] = locate(name, settings if name == DEFAULT_MODEL else replace(settings, offline=True)).spec
        except (ConfigError, UnknownModel) as error:
            missing[name] = str(error).partition(" and offline")[0]
    return found, missing


def measured(data: Path, models: Sequence[str], settings: Settings) -> dict[str, object]:
    """Everything that goes into the JSON but the machine."""
    specs, missing = here(models, settings)
    rerankers, no_rerankers = here(RERANKERS, settings)
    reranker = next(iter(rerankers), "")
    rows = []
    for spec in specs.values():
        for asked in sets(data):
            if not asked.bm25 and spec.name in ENGLISH_ONLY:
                continue
            samples = SAMPLES if asked.is_english and spec.name == DEFAULT_MODEL else 0
            rows.append(row(asked, spec.name, evaluated(asked, systems_of(spec, asked, reranker), settings, samples)))
            to_stderr(f"{asked.name}, {spec.name}: {rows[-1]['took_s']} s")
    return {"default": DEFAULT_MODEL, "rows": rows, "not_measured": {**missing, **no_rerankers}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("EMBEDSTACK_TEST_DATA"))
    parser.add_argument("--model", action="append", default=[], help="one more; may be repeated")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.data is None:
        parser.error("no labelled sets; give --data FOLDER or set EMBEDSTACK_TEST_DATA")
    more = "".join(f" --model {name}" for name in given.model)
    result: Mapping[str, object] = {
        "machine": machine(),
        "versions": {name: version(name) for name in PACKAGES},
        "command": f"python bench/evaluating.py --data DATA{more} --out bench/results/evaluating.json",
        **measured(given.data, [*MODELS, *given.model], read_settings()),
    }
    print(page(result))
    if given.out:
        given.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        given.out.with_suffix(".md").write_text(page(result))
    return int(any(one.has_failed for one in criteria(result)))


if __name__ == "__main__":
    sys.exit(main())
