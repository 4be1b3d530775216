"""Models at full size with drawn weights: long texts, a decoder and pictures, beside what people run them with.

    python bench/families.py --python PYTHON --out bench/results/families.json

Nothing is fetched: 0.4 to 2 GB for each model in the scratch folder, removed afterwards. PYTHON is one with
sentence-transformers and transformers 5, which has classes of its own for all of them. Texts go to it as it is by
default, pictures (files, so that reading them counts) to transformers. All run in turn, round by round, so that a noisy
minute hits all; the cosine between the vectors stands beside the ratio. Beside the JSON a table (.md) of the same name
is written.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from contenders import Contender, Failed, Process
from drawn import MODELS, WORDS, Folder, Model
from embedstack.runtimes.processor import choose_precision, usable_threads
from machine import Limit, hold_to, machine, native_precisions, spread
from support.pictures import picture, saved

BATCH = 32  # sentence-transformers' default
SHORT, PARAGRAPH, LONG = (8, 20), (60, 250), (1000, 2000)  # tokens
LONG_SHARE = 16  # of so many texts of the mixed set there is one long one
SIDES = ((640, 480), (480, 640), (1024, 768), (300, 300))  # of the pictures
OURS = "embedstack"
Made = dict
Sets = Mapping[str, list[str]]


def text_sets(count: int) -> Sets:
    """Questions and paragraphs of drawn lengths, and fewer long texts."""
    draw = np.random.default_rng(1)

    def texts(many: int, least: int, most: int) -> list[str]:
        return [" ".join(draw.choice(WORDS, draw.integers(least, most))) for _ in range(many)]

    mixed = texts(count // 2, *PARAGRAPH) + texts(count - count // 2, *SHORT)
    return {"mixed": mixed, "long": texts(max(2, count // LONG_SHARE), *LONG)}


def picture_sets(count: int, folder: Path) -> Sets:
    """Files of JPEG, no two alike."""
    made = []
    for number in range(count):
        width, height = SIDES[number % len(SIDES)]
        made.append(str(folder / f"{number}.jpg"))
        Path(made[-1]).write_bytes(saved(picture("RGB", width + number, height), "JPEG", quality=85))
    return {"pictures": made}


def contenders(model: Model, precision: str) -> list[Contender]:
    """Ours first."""
    kind = "images" if model.has_pictures else ""
    ours = Contender(OURS, f"embedstack_{kind}".strip("_"), options={"runtime": "openvino", "precision": precision})
    if not model.has_pictures:
        return [ours, Contender("sentence-transformers", "sentence_transformers", options={"backend": "torch"})]
    dtypes = ("float32", *model.also)
    return [ours, *(Contender(f"transformers {d}", "transformers_images", options={"dtype": d}) for d in dtypes)]


class Bench:
    """One model after the other, so that no two are in memory together.

    Args:
        python: runs the others.
    """

    def __init__(self, python: Path, scratch: Path, threads: int, rounds: int) -> None:
        self._python, self._scratch, self._threads, self._rounds = python, scratch, threads, rounds
        self._precision = choose_precision("auto")[0]
        self._limit = Limit(self._precision, threads) if self._precision in native_precisions() else None

    def measured(self, model: Model, count: int) -> Made:
        """Rates of all in turn, and how near their vectors are.

        Raises:
            Failed: one of them does not run.
        """
        made = model.make(model.layers)
        folder = made.write(self._scratch / "model")
        count = max(2, count // model.share)
        sets = picture_sets(count, self._scratch) if model.has_pictures else text_sets(count)
        (self._scratch / "sets.json").write_text(json.dumps(sets))
        processes: dict[str, Process] = {}
        try:
            for row in contenders(model, self._precision):
                which = Path(sys.executable) if row.name == OURS else self._python
                first = {"first": next(iter(sets.values()))[0]}
                row = replace(row, options={**row.options, **first})
                processes[row.name] = Process(which, row, folder, self._threads, self._scratch / f"{row.kind}.log")
                processes[row.name].ask("texts", path=str(self._scratch / "sets.json"))
            return {
                "versions": {name: process.versions for name, process in processes.items()},
                "precision": self._precision,
                "aim": model.aim,
                "sets": {name: self._in_turn(processes, made, name, items) for name, items in sets.items()},
            }
        finally:
            for process in processes.values():
                process.close()
            shutil.rmtree(folder)

    def _in_turn(self, processes: Mapping[str, Process], folder: Folder, name: str, items: Sequence[str]) -> Made:
        took: dict[str, list[float]] = {one: [] for one in processes}
        limits: list[float] = []
        asked = {"name": name, "places": list(range(len(items))), "batch": BATCH, "is_sorted": False}
        for number in range(self._rounds + 1):  # the first round warms all up
            limits += [self._limit.measure()] if self._limit else []
            for one, process in processes.items():
                save = {} if number else {"save": str(self._scratch / f"{one}.npy")}
                took[one].append(process.ask("run", **asked, **save)["s"])
        rates = {one: [len(items) / s for s in seconds[1:]] for one, seconds in took.items()}
        gflops = folder.flop(_lengths(folder, items)) / median(took[OURS][1:]) / 1e9
        limit = median(limits) if limits else None
        return {
            "items": len(items),
            "per_s": {one: spread(rate) for one, rate in rates.items()},
            "gflops": round(gflops, 1),
            "limit_gflops": limit and round(limit, 1),
            "share_of_limit": limit and round(gflops / limit, 3),
            "others": {one: self._against(one, rates) for one in rates if one != OURS},
        }

    def _against(self, other: str, rates: Mapping[str, list[float]]) -> Made:
        ours, theirs = (np.load(self._scratch / f"{one}.npy") for one in (OURS, other))
        cosines = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
        return {
            "ratio": round(median(rates[OURS]) / median(rates[other]), 2),
            "ratio_of_best": round(max(rates[OURS]) / max(rates[other]), 2),
            "cosine": {"min": round(float(cosines.min()), 7), "mean": round(float(cosines.mean()), 7)},
        }


def _lengths(folder: Folder, items: Sequence[str]) -> list[int]:
    """Tokens of each text, or patches of each picture."""
    places = folder.shapes.get("vision_model.embeddings.position_embedding.weight")
    return [places[0] if places else len(folder.tokenizer.encode(text).ids) for text in items]


def table(made: Made) -> str:
    """The page."""
    about = made["machine"]
    rows = [
        "| model | items | embedstack, each second | of the limit | beside | each second | ratio | of the best rounds "
        "| cosine least / mean | aim |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for model, one in made["models"].items():
        for name, row in one["sets"].items():
            fastest = min(other["ratio"] for other in row["others"].values())
            share = row["share_of_limit"]
            for peer, other in row["others"].items():
                cells = [
                    model,
                    f"{row['items']} {name}",
                    _rate(row["per_s"][OURS]),
                    f"{share:.0%}" if share else "not measured",
                    peer,
                    _rate(row["per_s"][peer]),
                    f"{other['ratio']:.2f} x",
                    f"{other['ratio_of_best']:.2f} x",
                    f"{other['cosine']['min']:.7f} / {other['cosine']['mean']:.7f}",
                    f">= {one['aim']:g} x the fastest: {'yes' if fastest >= one['aim'] else 'no'}",
                ]
                rows.append(f"| {' | '.join(cells)} |")
    skipped = [f"- {model}: {why}" for model, why in made["skipped"].items()]
    quick = " **A trial run (`--layers`): no result.**" if made["layers"] else ""
    return (
        "# Models at full size\n\n"
        f"Drawn weights; {made['threads']} threads of {about['processor']}, {about['date']}, commit {about['commit']}; "
        f"medians of {made['rounds']} interleaved rounds, with the range.{quick} *Of the limit*: products of the "
        "model's layers each second, as a part of what matrix products alone reach in the same round; attention is "
        "counted as if every token saw all others, so ModernBERT, most of whose layers see a window, can exceed it. "
        f"Made by `{made['command']}`.\n\n" + "\n".join([*rows, *([""] if skipped else []), *skipped]) + "\n"
    )


def _rate(of: Mapping[str, float]) -> str:
    return f"{of['median']:.2f} ({of['min']:.2f}-{of['max']:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, required=True, help="with sentence-transformers and transformers 5")
    parser.add_argument("--scratch", type=Path, help="where 2 GB may lie for a while; default: the system's own")
    parser.add_argument("--out", type=Path, help="where to write the JSON; stdout if left out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--items", type=int, default=64, help="of the mixed set, or pictures; large models get fewer")
    parser.add_argument("--only", default="", help="part of a model's name")
    parser.add_argument("--layers", type=int, default=0, help="fewer than the models have, to try the script")
    given = parser.parse_args()
    threads = usable_threads()
    hold_to(threads)
    made: Made = {
        "machine": machine(),
        "command": "python bench/families.py --python PYTHON --out bench/results/families.json",
        "threads": threads,
        "rounds": given.rounds,
        "layers": given.layers,
        "models": {},
        "skipped": {},
    }
    with tempfile.TemporaryDirectory(dir=given.scratch) as name:
        bench = Bench(given.python, Path(name), threads, given.rounds)
        for model in MODELS:
            if given.only.lower() not in model.name.lower():
                continue
            fitted = replace(model, layers=given.layers or model.layers)
            try:
                made["models"][model.name] = bench.measured(fitted, given.items)
            except Failed as error:
                made["skipped"][model.name] = str(error)
            said = made["models"].get(model.name) or made["skipped"]
            print(model.name, json.dumps(said), file=sys.stderr, flush=True)
    text = json.dumps(made, indent=2) + "\n"
    if given.out is None:
        print(text)
        return
    given.out.write_text(text)
    given.out.with_suffix(".md").write_text(table(made))


if __name__ == "__main__":
    main()
