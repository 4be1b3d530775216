"""Models that take turns under a memory ceiling: what is held in each round, and what each model needs.

    python bench/cycle.py --scratch FOLDER --out bench/results/cycle.json

Three models of other shapes, all-MiniLM-L6-v2 and two with drawn weights (1 GB in FOLDER, removed afterwards), are
asked for in turn in one process whose ceiling holds only some of them. The rule: never over the ceiling, and after the
last round within 5 % of the first. `--rounds 2` tries the script.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from embedstack.api import open_pool
from embedstack.catalog import find
from embedstack.engine.memory import ProcessMemory
from embedstack.engine.need import MB
from embedstack.engine.pool import Pool
from embedstack.runtimes.processor import choose_precision
from embedstack.settings import DEFAULT_MODEL, Settings, read_settings
from embedstack.types import Encode, Text
from machine import machine

ROUNDS = 20
DRIFT = 0.05
# layers, width, heads, inner width, rows of the vocabulary: much product and little table, and the other way round
SHAPES = {"base": (12, 768, 12, 3072, 30522), "wide-vocabulary": (12, 384, 12, 1536, 250037)}
# megabytes: the two larger ones never fit together
CASES = {("openvino", "auto"): 870, ("onnx", "float32"): 720}
WORDS = [f"word{n}" for n in range(200)]
LENGTHS = (8, 64, 250)
Made = dict


def draw(folder: Path, layers: int, wide: int, heads: int, inner: int, vocab: int) -> Path:
    """A BERT folder, every number drawn: memory does not depend on what the weights are."""
    folder.mkdir(parents=True)
    config = {
        "architectures": ["BertModel"], "model_type": "bert", "num_hidden_layers": layers, "hidden_size": wide,
        "num_attention_heads": heads, "intermediate_size": inner, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512, "type_vocab_size": 2, "vocab_size": vocab, "pad_token_id": 0,
        "position_embedding_type": "absolute",
    }  # fmt: skip
    kinds = {"Transformer": "", "Pooling": "1_Pooling"}
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (kind, path) in enumerate(kinds.items())
    ]
    pooling = {"word_embedding_dimension": wide, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    (folder / "1_Pooling").mkdir()
    for name, content in {
        "config.json": config, "modules.json": modules, "1_Pooling/config.json": pooling,
        "sentence_bert_config.json": {"max_seq_length": 512, "do_lower_case": False},
    }.items():  # fmt: skip
        (folder / name).write_text(json.dumps(content))
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    made = Tokenizer(models.WordLevel({w: n for n, w in enumerate([*special, *WORDS])}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.save(str(folder / "tokenizer.json"))
    save_file(_weights(layers, wide, inner, vocab), folder / "model.safetensors", {"format": "pt"})
    return folder


def _weights(layers: int, wide: int, inner: int, vocab: int) -> dict[str, np.ndarray]:
    rng, made = np.random.default_rng(0), {}

    def put(name: str, *shape: int) -> None:
        made[name] = rng.standard_normal(shape, np.float32) * np.float32(shape[-1] ** -0.5)

    def linear(name: str, out: int, into: int) -> None:
        put(f"{name}.weight", out, into)
        made[f"{name}.bias"] = np.zeros(out, np.float32)

    def norm(name: str) -> None:
        made[f"{name}.weight"], made[f"{name}.bias"] = np.ones(wide, np.float32), np.zeros(wide, np.float32)

    for name, rows in (("word", vocab), ("position", 512), ("token_type", 2)):
        put(f"embeddings.{name}_embeddings.weight", rows, wide)
    norm("embeddings.LayerNorm")
    for n in range(layers):
        at = f"encoder.layer.{n}"
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            linear(f"{at}.{part}", wide, wide)
        linear(f"{at}.intermediate.dense", inner, wide)
        linear(f"{at}.output.dense", wide, inner)
        norm(f"{at}.attention.output.LayerNorm")
        norm(f"{at}.output.LayerNorm")
    linear("pooler.dense", wide, wide)
    return made


def cycled(folders: list[Path], settings: Settings, rounds: int) -> Made:
    """Each round asks every model for short and long texts, loading it where it has to be."""
    texts = tuple(Text(" ".join(WORDS[:length])) for length in LENGTHS for _ in range(4))
    meter, ends, tops = ProcessMemory(), [], []
    pool = open_pool(settings, [str(folder) for folder in folders], say=lambda line: None)
    try:
        for number in range(rounds):
            with meter.watch() as peak:
                for spec in pool.models():
                    pool.load_model(spec.name).result()
                    asyncio.run(pool.encode(Encode(model=spec.name, items=texts)))
            meter.give_back()
            ends.append(round(meter.now_bytes() / MB))
            tops.append(round(peak.top_bytes / MB))
            print(
                f"round {number + 1}: end {ends[-1]} MB, top {tops[-1]} MB, {_kept(pool)}", file=sys.stderr, flush=True
            )
        return {
            "ceiling_mb": settings.memory_mb,
            "end_mb": ends,
            "top_mb": tops,
            "is_under_the_ceiling": max(tops) <= settings.memory_mb,
            "drift": round(ends[-1] / ends[0] - 1, 3),
            "is_steady": ends[-1] <= (1 + DRIFT) * ends[0],
            "models": {state.name: _need(state.need) for state in pool.states()},
        }
    finally:
        pool.close()


def _kept(pool: Pool) -> str:
    return "in memory: " + ", ".join(state.name for state in pool.states() if state.state == "loaded")


def _need(need) -> Made:
    held, peak = (round(size / MB) for size in (need.held_bytes, need.peak_bytes))
    return {"held_mb": held, "peak_mb": peak, "load_s": round(need.load_s, 2)}


def one(case: str, scratch: str, minilm: Path, rounds: int) -> Made:
    """A runtime and a precision, in this process."""
    runtime, precision = case.split(":")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as cache:
        settings = replace(
            Settings(), runtime=runtime, precision=precision, lazy=True, memory_mb=CASES[runtime, precision],
            cache_dir=Path(cache),
        )  # fmt: skip
        made = cycled([minilm, *(Path(scratch) / name for name in SHAPES)], settings, rounds)
    return {**made, "seconds": round(time.monotonic() - began)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, help="where 1 GB may lie for a while; default: the system's own")
    parser.add_argument("--out", type=Path, help="where to write the JSON; stdout if left out")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--minilm", type=Path, help="its folder; default: from the user's cache")
    parser.add_argument("--one", nargs=2, metavar=("RUNTIME:PRECISION", "FOLDER"), help="what each process is given")
    given = parser.parse_args()
    minilm = given.minilm or find(DEFAULT_MODEL, cache_dir=read_settings().cache_dir).folder
    if given.one:
        json.dump(one(*given.one, minilm, given.rounds), sys.stdout)
        return
    made: Made = {}
    with tempfile.TemporaryDirectory(dir=given.scratch) as scratch:
        for name, shape in SHAPES.items():
            draw(Path(scratch) / name, *shape)
        for case in map(":".join, CASES):
            print(case, file=sys.stderr, flush=True)
            command = [
                sys.executable,
                __file__,
                "--rounds",
                str(given.rounds),
                "--minilm",
                minilm,
                "--one",
                case,
                scratch,
            ]
            made[case] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    result = {
        "machine": machine(),
        "command": "python bench/cycle.py --scratch FOLDER --out bench/results/cycle.json",
        "rounds": given.rounds,
        "auto": choose_precision("auto")[0],
        "cases": made,
    }
    text = json.dumps(result, indent=2) + "\n"
    given.out.write_text(text) if given.out else print(text)


if __name__ == "__main__":
    main()
