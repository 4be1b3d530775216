"""Encoders of 8,192 tokens at full size with drawn weights, beside sentence-transformers' default on the same folders.

    python bench/families.py --python PYTHON --out bench/results/families.json

Speed does not depend on what the weights are, so they are drawn and nothing is fetched: 0.4 to 0.6 GB for each model in
the scratch folder, with 30,000 words. PYTHON is one with sentence-transformers and transformers 5, which has classes of
its own for all of them. Both sides run in turn, round by round, so that a noisy minute hits both; the cosine between
their vectors stands beside the ratio. Beside the JSON a table (.md) of the same name is written.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from contenders import Contender, Failed, Process
from embedstack.runtimes.processor import choose_precision, usable_threads
from machine import hold_to, machine, spread

AIM = 4.0
VOCAB, HIDDEN, HEADS = 30_000, 768, 12
WORDS = [f"word{n}" for n in range(200)]
SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
BATCH = 32  # sentence-transformers' default
SHORT, PARAGRAPH, LONG = (8, 20), (60, 250), (1000, 2000)  # tokens
LONG_SHARE = 16  # of so many texts of the mixed set there is one long one
Made = dict
Shapes = dict[str, tuple[int, ...]]


# ------------------------------------------------------------------------------------------------ the models


@dataclass(frozen=True)
class Model:
    """One family at the size of its best-known model."""

    name: str
    config: Mapping[str, object]
    shapes: Callable[[int], Shapes]  # of its tensors, for so many layers
    layers: int
    pooling: str
    prompts: Mapping[str, str]


def nomic(layers: int) -> Shapes:
    """Source: nomic-ai/nomic-embed-text-v1.5, in the names of transformers 5."""
    return _words(2) | _gated(layers, 3072, biased=())


def gte(layers: int) -> Shapes:
    """Source: Alibaba-NLP/gte-multilingual-base, in the names of transformers 5."""
    return _words(1) | _gated(layers, 3072, biased=("q", "k", "v", "o", "down"))


def modernbert(layers: int, wide: int = 1152) -> Shapes:
    """Source: answerdotai/ModernBERT-base."""
    made: Shapes = {"embeddings.tok_embeddings.weight": (VOCAB, HIDDEN)}
    norms = ["embeddings.norm", "final_norm", *(f"layers.{n}.attn_norm" for n in range(1, layers))]
    for n in range(layers):
        norms.append(f"layers.{n}.mlp_norm")
        made |= {f"layers.{n}.attn.Wqkv.weight": (3 * HIDDEN, HIDDEN), f"layers.{n}.attn.Wo.weight": (HIDDEN, HIDDEN)}
        made |= {f"layers.{n}.mlp.Wi.weight": (2 * wide, HIDDEN), f"layers.{n}.mlp.Wo.weight": (HIDDEN, wide)}
    return made | {f"{name}.weight": (HIDDEN,) for name in norms}


def _words(kinds: int) -> Shapes:
    tables = {"word": VOCAB, "token_type": kinds}
    made = {f"embeddings.{name}_embeddings.weight": (rows, HIDDEN) for name, rows in tables.items()}
    return made | _norm("embeddings.LayerNorm")


def _gated(layers: int, wide: int, biased: tuple[str, ...]) -> Shapes:
    made: Shapes = {}
    for n in range(layers):
        products = {f"self_attn.{part}_proj": (HIDDEN, HIDDEN) for part in "qkvo"}
        products |= {"mlp.up_proj": (wide, HIDDEN), "mlp.gate_proj": (wide, HIDDEN), "mlp.down_proj": (HIDDEN, wide)}
        for name, shape in products.items():
            made[f"layers.{n}.{name}.weight"] = shape
            if name.rpartition(".")[2].removesuffix("_proj") in biased:
                made[f"layers.{n}.{name}.bias"] = shape[:1]
        made |= _norm(f"layers.{n}.post_attention_layernorm") | _norm(f"layers.{n}.post_mlp_layernorm")
    return made


def _norm(name: str) -> Shapes:
    return {f"{name}.weight": (HIDDEN,), f"{name}.bias": (HIDDEN,)}


SHARED = {"hidden_size": HIDDEN, "num_attention_heads": HEADS, "vocab_size": VOCAB, "pad_token_id": 0}
MODELS = (
    Model(
        "nomic-embed-text-v1.5",
        {"architectures": ["NomicBertModel"], "model_type": "nomic_bert", "intermediate_size": 3072,
         "hidden_act": "silu", "layer_norm_eps": 1e-12, "max_position_embeddings": 2048, "type_vocab_size": 2,
         "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0}},
        nomic, 12, "mean", {"query": "search_query: ", "document": "search_document: "},
    ),
    Model(
        "ModernBERT-base",
        {"architectures": ["ModernBertModel"], "model_type": "modernbert", "intermediate_size": 1152,
         "hidden_activation": "gelu", "norm_eps": 1e-5, "max_position_embeddings": 8192, "local_attention": 128,
         "global_attn_every_n_layers": 3, "global_rope_theta": 160000.0, "local_rope_theta": 10000.0,
         "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3},
        modernbert, 22, "cls", {},
    ),
    Model(
        "gte-multilingual-base",
        {"architectures": ["GteModel"], "model_type": "gte", "intermediate_size": 3072, "hidden_act": "gelu",
         "layer_norm_eps": 1e-12, "max_position_embeddings": 8192, "type_vocab_size": 1,
         "rope_parameters": {"rope_type": "default", "rope_theta": 20000.0}},
        gte, 12, "cls", {},
    ),
)  # fmt: skip


def write(model: Model, folder: Path) -> Path:
    """A folder as the published one looks, every number drawn."""
    names = {"cls": "cls_token", "mean": "mean_tokens"}
    kinds = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (kind, path) in enumerate(kinds.items())
    ]
    modes = {f"pooling_mode_{name}": how == model.pooling for how, name in names.items()}
    default = {"default_prompt_name": "document"} if model.prompts else {}
    for name, content in {
        "config.json": {**SHARED, **model.config, "num_hidden_layers": model.layers},
        "modules.json": modules,
        "1_Pooling/config.json": {"word_embedding_dimension": HIDDEN, **modes},
        "config_sentence_transformers.json": {"prompts": dict(model.prompts), **default},
        "sentence_bert_config.json": {"max_seq_length": 2048, "do_lower_case": False},
        "tokenizer_config.json": {**SPECIAL, "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 2048,
                                  "model_input_names": ["input_ids", "attention_mask"]},
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=2))
    _tokenizer().save(str(folder / "tokenizer.json"))
    save_file(_drawn(model.shapes(model.layers)), folder / "model.safetensors", {"format": "pt"})
    return folder


def _tokenizer() -> Tokenizer:
    """One token a word, so that a text has the length that it should have."""
    made = Tokenizer(models.WordLevel({w: n for n, w in enumerate([*SPECIAL.values(), *WORDS])}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(list(SPECIAL.values()))
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def _drawn(shapes: Shapes) -> dict[str, np.ndarray]:
    """So that activations stay of order 1, whatever the depth."""
    draw = np.random.default_rng(0)

    def made(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if len(shape) == 1:
            return np.full(shape, 0.0 if name.endswith("bias") else 1.0, np.float32)
        return draw.standard_normal(shape, np.float32) * np.float32(shape[1] ** -0.5)

    return {name: made(name, shape) for name, shape in shapes.items()}


def text_sets(count: int) -> dict[str, list[str]]:
    """Questions and paragraphs of drawn lengths, and fewer long texts."""
    draw = np.random.default_rng(1)

    def texts(many: int, least: int, most: int) -> list[str]:
        return [" ".join(draw.choice(WORDS, draw.integers(least, most))) for _ in range(many)]

    mixed = texts(count // 2, *PARAGRAPH) + texts(count - count // 2, *SHORT)
    return {"mixed": mixed, "long": texts(max(2, count // LONG_SHARE), *LONG)}


# ------------------------------------------------------------------------------------------------ measuring


def measured(model: Model, scratch: Path, python: Path, threads: int, rounds: int, sets: dict[str, list[str]]) -> Made:
    """Rates of both in turn, and how near their vectors are.

    Raises:
        Failed: one of them does not run.
    """
    folder = write(model, scratch / model.name)
    precision = choose_precision("auto")[0]
    ours = Contender("embedstack", "embedstack", options={"runtime": "openvino", "precision": precision})
    theirs = Contender("sentence-transformers", "sentence_transformers", options={"backend": "torch"})
    both: dict[str, Process] = {}
    try:
        for row, which in ((ours, Path(sys.executable)), (theirs, python)):
            both[row.name] = Process(which, row, folder, threads, scratch / f"{row.name}.log")
            both[row.name].ask("texts", path=str(scratch / "texts.json"))
        return {
            "versions": {name: process.versions for name, process in both.items()},
            "precision": precision,
            "sets": {name: _side_by_side(both, name, len(texts), rounds, scratch) for name, texts in sets.items()},
        }
    finally:
        for process in both.values():
            process.close()
        shutil.rmtree(folder)


def _side_by_side(both: dict[str, Process], name: str, count: int, rounds: int, scratch: Path) -> Made:
    took: dict[str, list[float]] = {one: [] for one in both}
    asked = {"name": name, "places": list(range(count)), "batch": BATCH, "is_sorted": False}
    for number in range(rounds + 1):  # the first round warms both up
        for one, process in both.items():
            save = {} if number else {"save": str(scratch / f"{one}.npy")}
            took[one].append(process.ask("run", **asked, **save)["s"])
    rates = {one: [count / s for s in seconds[1:]] for one, seconds in took.items()}
    ours, theirs = (np.load(scratch / f"{one}.npy") for one in both)
    cosines = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    mine, other = rates.values()
    return {
        "texts": count,
        **{one: {"texts_per_s": spread(rate)} for one, rate in rates.items()},
        "ratio": round(median(mine) / median(other), 2),
        "ratio_of_best": round(max(mine) / max(other), 2),
        "cosine": {"min": round(float(cosines.min()), 7), "mean": round(float(cosines.mean()), 7)},
    }


def table(made: Made) -> str:
    """The page."""
    about, names = made["machine"], ("embedstack", "sentence-transformers")
    rows = [
        "| model | texts | embedstack texts/s | sentence-transformers texts/s | ratio | of the best rounds "
        "| cosine least / mean | aim |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for model, one in made["models"].items():
        for name, row in one["sets"].items():
            rates = (row[side]["texts_per_s"] for side in names)
            cells = [
                model,
                f"{row['texts']} {name}",
                *(f"{rate['median']:.2f} ({rate['min']:.2f}-{rate['max']:.2f})" for rate in rates),
                f"{row['ratio']:.2f} x",
                f"{row['ratio_of_best']:.2f} x",
                f"{row['cosine']['min']:.7f} / {row['cosine']['mean']:.7f}",
                f">= {AIM:.0f} x: {'yes' if row['ratio'] >= AIM else 'no'}",
            ]
            rows.append(f"| {' | '.join(cells)} |")
    skipped = [f"- {model}: {why}" for model, why in made["skipped"].items()]
    quick = " **A trial run (`--layers`): no result.**" if made["layers"] else ""
    return (
        "# Long-context encoders\n\n"
        f"Full size, drawn weights, {VOCAB} words; {made['threads']} threads of {about['processor']}, {about['date']}, "
        f"commit {about['commit']}; medians of {made['rounds']} interleaved rounds, with the range.{quick} Made by "
        f"`{made['command']}`.\n\n" + "\n".join([*rows, *([""] if skipped else []), *skipped]) + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, required=True, help="with sentence-transformers and transformers 5")
    parser.add_argument("--scratch", type=Path, help="where 0.6 GB may lie for a while; default: the system's own")
    parser.add_argument("--out", type=Path, help="where to write the JSON; stdout if left out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=64, help="of the mixed set")
    parser.add_argument("--only", default="", help="part of a model's name")
    parser.add_argument("--layers", type=int, default=0, help="fewer than the models have, to try the script")
    given = parser.parse_args()
    threads, sets = usable_threads(), text_sets(given.texts)
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
        scratch = Path(name)
        (scratch / "texts.json").write_text(json.dumps(sets))
        for model in MODELS:
            if given.only.lower() not in model.name.lower():
                continue
            fitted = replace(model, layers=given.layers or model.layers)
            try:
                made["models"][model.name] = measured(fitted, scratch, given.python, threads, given.rounds, sets)
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
