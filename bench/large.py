"""BGE-M3 and bge-reranker-v2-m3 at full size with drawn weights: start, one query, batches, pairs, memory.

    python bench/large.py --peers PEERS --scratch FOLDER --out bench/results/large.json

Speed and memory do not depend on what the weights are, so they are drawn and nothing is fetched: 2.3 GB for each model
in FOLDER, removed afterwards. PEERS holds the environment `st` for sentence-transformers on the same folders. Two cores
without native bfloat16 take about ten minutes. `--quick` makes two layers of 24, to try the script.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

import report
from contenders import Contender, Failed, Process, python_of
from embedstack.modelspec import Architecture
from embedstack.runtimes.processor import choose_precision, usable_threads
from machine import Limit, hold_to, machine, native_precisions, spread, work_flop

# config.json of BAAI/bge-m3 at 5617a9f61b028005a4858fdac845db406aefb181
LAYERS, HIDDEN, HEADS, WIDE, VOCAB, POSITIONS = 24, 1024, 16, 4096, 250002, 8194
WORDS = [f"word{n}" for n in range(200)]
QUERY, TEXT, LONG, PAIR = 16, 128, 512, 256  # tokens
PAIRS = (25, 50, 100)
ROUNDS = 3  # of the smallest count, in turn with CrossEncoder
CLAIMS = {  # of the systems that embedstack replaces, in their own words
    "start": "3-5 s (a CPU pod)",
    "query": "20-50 ms (a CPU pod)",
    "memory": "about 2 GB (a CPU pod)",
    "texts": "100-200 ms (a 7900 XTX)",
    "pairs": {25: "40-80 ms (a 7900 XTX)", 50: "80-150 ms (a 7900 XTX)", 100: "150-300 ms (a 7900 XTX)"},
}
Made = dict


# ------------------------------------------------------------------------------------------------ the folders


def write(folder: Path, layers: int, *, is_reranker: bool) -> Path:
    """A model folder as the published one looks, every number drawn."""
    folder.mkdir(parents=True)
    head = "ForSequenceClassification" if is_reranker else "Model"
    labels = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}} if is_reranker else {}
    config = {
        "architectures": [f"XLMRoberta{head}"], "model_type": "xlm-roberta", "num_hidden_layers": layers,
        "hidden_size": HIDDEN, "num_attention_heads": HEADS, "intermediate_size": WIDE, "hidden_act": "gelu",
        "layer_norm_eps": 1e-5, "max_position_embeddings": POSITIONS, "type_vocab_size": 1, "vocab_size": VOCAB,
        "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "position_embedding_type": "absolute", **labels,
    }  # fmt: skip
    _json(folder / "config.json", config)
    _tokenizer(folder)
    if not is_reranker:
        _sentence_transformer(folder)
    save_file(_drawn(layers, is_reranker=is_reranker), folder / "model.safetensors", {"format": "pt"})
    return folder


def _sentence_transformer(folder: Path) -> None:
    kinds = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (kind, path) in enumerate(kinds.items())
    ]
    _json(folder / "modules.json", modules)
    (folder / "1_Pooling").mkdir()
    _json(folder / "1_Pooling/config.json", {"word_embedding_dimension": HIDDEN, "pooling_mode_cls_token": True,
                                             "pooling_mode_mean_tokens": False})  # fmt: skip
    _json(folder / "sentence_bert_config.json", {"max_seq_length": POSITIONS - 2, "do_lower_case": False})


def _tokenizer(folder: Path) -> None:
    """One token a word, so that a text has the length that it should have."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocab = {word: n for n, word in enumerate([*special, *WORDS])}
    made = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(special)
    made.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=False, add_prefix_space=False
    )
    made.save(str(folder / "tokenizer.json"))
    names = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>",
             "unk_token": "<unk>"}  # fmt: skip
    kinds = {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids", "attention_mask"]}
    _json(folder / "tokenizer_config.json", {**names, **kinds, "model_max_length": POSITIONS - 2})


def _drawn(layers: int, *, is_reranker: bool) -> dict[str, np.ndarray]:
    draw, made, prefix = np.random.default_rng(0), {}, "roberta." if is_reranker else ""

    def put(name: str, *shape: int, scale: float) -> None:
        made[name] = draw.standard_normal(shape, np.float32) * np.float32(scale)

    def linear(name: str, wide: int, out: int) -> None:
        put(f"{name}.weight", out, wide, scale=wide**-0.5)
        put(f"{name}.bias", out, scale=0.02)

    def norm(name: str) -> None:
        made[f"{name}.weight"], made[f"{name}.bias"] = np.ones(HIDDEN, np.float32), np.zeros(HIDDEN, np.float32)

    for name, rows in (("word", VOCAB), ("position", POSITIONS), ("token_type", 1)):
        put(f"{prefix}embeddings.{name}_embeddings.weight", rows, HIDDEN, scale=0.05)
    norm(f"{prefix}embeddings.LayerNorm")
    for n in range(layers):
        at = f"{prefix}encoder.layer.{n}"
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            linear(f"{at}.{part}", HIDDEN, HIDDEN)
        linear(f"{at}.intermediate.dense", HIDDEN, WIDE)
        linear(f"{at}.output.dense", WIDE, HIDDEN)
        norm(f"{at}.attention.output.LayerNorm")
        norm(f"{at}.output.LayerNorm")
    heads = {"classifier.dense": HIDDEN, "classifier.out_proj": 1} if is_reranker else {"pooler.dense": HIDDEN}
    for name, out in heads.items():
        linear(name, HIDDEN, out)
    return made


def _json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2))


def texts_of(tokens: int, count: int) -> list[str]:
    """Texts of so many tokens each, the two special ones included."""
    draw = np.random.default_rng(1)
    return [" ".join(draw.choice(WORDS, tokens - 2)) for _ in range(count)]


# ------------------------------------------------------------------------------------------------ measuring


class Bench:
    """The models one after the other: no two of them are in memory together."""

    def __init__(self, peers: Path | None, scratch: Path, threads: int, layers: int) -> None:
        self.peers, self.scratch, self.threads, self.layers = peers, scratch, threads, layers
        self.default = choose_precision("auto")[0]
        self.skipped: dict[str, str] = {}
        pair = texts_of(PAIR - QUERY, max(PAIRS))  # joined to a query, both with their special tokens
        sets = {"query": texts_of(QUERY, 20), "texts": texts_of(TEXT, 32), "long": texts_of(LONG, 4), "pairs": pair}
        self.texts = scratch / "texts.json"
        self.texts.write_text(json.dumps(sets))

    def embedder(self) -> dict[str, Made]:
        """Per precision, and sentence-transformers' default."""
        folder, made = write(self.scratch / "bge-m3", self.layers, is_reranker=False), {}
        for precision in (self.default, "int8"):
            row = Contender(f"bge-m3 {precision}", "embedstack", options=_options(precision))
            self._try(row, folder, lambda process, key=precision: made.update({key: self._encoded(process, key)}))
        row = Contender("bge-m3 sentence-transformers", "sentence_transformers", "st", options={"backend": "torch"})
        self._try(row, folder, lambda process: made.update({"sentence-transformers": _queries(process)}))
        shutil.rmtree(folder)
        return made

    def reranker(self) -> Made:
        folder, made = write(self.scratch / "bge-reranker-v2-m3", self.layers, is_reranker=True), {}
        ours = Contender("bge-reranker-v2-m3", "embedstack_reranker", options=_options(self.default))
        theirs = Contender("bge-reranker-v2-m3 CrossEncoder", "cross_encoder", "st")

        def compare(one: Process, other: Process) -> None:
            rates: dict[str, list[float]] = {"ours": [], "cross_encoder": []}
            for _ in range(ROUNDS + 1):  # the first round warms both up
                for name, process in (("ours", one), ("cross_encoder", other)):
                    rates[name].append(PAIRS[0] * 1000 / _ms(process, "pairs", PAIRS[0]))
            made.update({name: {"pairs_per_s": spread(rate[1:], 3)} for name, rate in rates.items()})
            mine, other_s = (median(rate[1:]) for rate in rates.values())
            made["ratio_to_cross_encoder"] = round(mine / other_s, 2)

        def alone(process: Process) -> None:
            made["start_s"] = round(process.start_s, 2)
            self._try(theirs, folder, lambda other: compare(process, other))
            made["pairs_ms"] = {str(count): _ms(process, "pairs", count) for count in PAIRS}
            made.update(process.ask("memory"))

        self._try(ours, folder, alone)
        shutil.rmtree(folder)
        return made

    def _try(self, row: Contender, folder: Path, step) -> None:
        print(row.name, file=sys.stderr, flush=True)
        try:
            python = python_of(row, self.peers)
            # the first start reads the disk and makes the digests that later ones remember; it does not count
            Process(python, row, folder, self.threads, self.scratch / "log").close()
            process = Process(python, row, folder, self.threads, self.scratch / "log")
            try:
                process.loaded = process.ask("memory")
                process.ask("texts", path=str(self.texts))
                step(process)
            finally:
                process.close()
        except Failed as error:
            self.skipped[row.name] = str(error)
            print(f"{row.name}: skipped: {error}", file=sys.stderr, flush=True)

    def _encoded(self, process: Process, precision: str) -> Made:
        made = _queries(process)
        made["texts_ms"] = _ms(process, "texts", 32)
        alone = Limit(precision, self.threads) if precision in native_precisions() else None
        limits, long_s = [], []
        for _ in range(3):
            limits += [alone.measure()] if alone else []
            long_s.append(_ms(process, "long", 4) / 1000)
        limit = max(limits, default=None)
        shape = Architecture(family="xlm-roberta", layers=self.layers, hidden=HIDDEN, heads=HEADS, intermediate=WIDE,
                             vocab=VOCAB, positions=POSITIONS)  # fmt: skip
        gflops = work_flop(shape, [LONG] * 4) / min(long_s) / 1e9
        weights_mb = _weights_mb(self.layers, precision)
        return {
            **made,
            "gflops": round(gflops, 1),
            "limit_gflops": limit and round(limit, 1),
            "share_of_limit": limit and round(gflops / limit, 3),
            "weights_mb": round(weights_mb),
            "peak_to_weights": round(made["peak_while_loading_mb"] / weights_mb, 2),
        }


def _options(precision: str) -> dict[str, str]:
    return {"runtime": "onnx" if precision == "int8" else "openvino", "precision": precision}


def _weights_mb(layers: int, precision: str) -> float:
    """What the compiled weights should take: products in the precision, tables of embeddings in float32."""
    products = layers * (4 * HIDDEN**2 + 2 * HIDDEN * WIDE)
    tables = (VOCAB + POSITIONS) * HIDDEN
    return (products * {"float32": 4, "bfloat16": 2, "int8": 1}[precision] + tables * 4) / 1e6


def _queries(process: Process) -> Made:
    """One at a time; the first five are for warming up."""
    took = process.ask("each", name="query", places=list(range(20)), batch=32)["s"][5:]
    return {
        "start_s": round(process.start_s, 2),
        "peak_while_loading_mb": process.loaded["peak_mb"],
        "anonymous_mb": process.ask("memory")["anonymous_mb"],
        "query_ms": spread([t * 1000 for t in took], 1),
    }


def _ms(process: Process, name: str, count: int) -> float:
    took = process.ask("run", name=name, places=list(range(count)), batch=32, is_sorted=False)["s"]
    return round(took * 1000, 1)


# ------------------------------------------------------------------------------------------------ the rows


def rows_of(default: str, embedder: dict[str, Made], reranker: Made) -> list[dict[str, str]]:
    """For the page: what was measured here beside what is claimed elsewhere."""
    made, theirs = embedder.get(default), embedder.get("sentence-transformers")
    rows = []
    if made:
        rows += [
            ("BGE-M3, start of the process to the first vector", f"{made['start_s']:.1f} s", CLAIMS["start"]),
            (f"BGE-M3, a query of {QUERY} tokens", f"{made['query_ms']['median']:.0f} ms", CLAIMS["query"]),
            ("BGE-M3, memory: anonymous; peak while loading",
             f"{made['anonymous_mb']:.0f} MB; {made['peak_while_loading_mb']:.0f} MB", CLAIMS["memory"]),
            (f"BGE-M3, 32 texts of {TEXT} tokens", f"{made['texts_ms']:.0f} ms", CLAIMS["texts"]),
        ]  # fmt: skip
    if theirs:
        query = f"{theirs['query_ms']['median']:.0f} ms"
        rows.append((f"the same query in sentence-transformers, {theirs['start_s']:.1f} s to start", query, ""))
    for count, took in reranker.get("pairs_ms", {}).items():
        rows.append((f"reranker, {count} pairs of {PAIR} tokens", f"{took:.0f} ms", CLAIMS["pairs"][int(count)]))
    if "ratio_to_cross_encoder" in reranker:
        mine, other = (reranker[name]["pairs_per_s"]["median"] for name in ("ours", "cross_encoder"))
        measured = f"{mine:.2f}, {reranker['ratio_to_cross_encoder']:.2f} x CrossEncoder's {other:.2f}"
        rows.append(("reranker, pairs/s", measured, ""))
    return [{"what": what, "measured": measured, "claim": claim} for what, measured, claim in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="the folder of their environments, made by bench/peers.sh")
    parser.add_argument("--scratch", type=Path, help="where 2.5 GB may lie for a while; default: the system's own")
    parser.add_argument("--out", type=Path, help="where to write the JSON; stdout if left out")
    parser.add_argument("--threads", type=int, default=0, help="default: all that this process may use")
    parser.add_argument("--quick", action="store_true", help="two layers of 24, to try the script")
    given = parser.parse_args()
    threads = given.threads or usable_threads()
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
    hold_to(threads)
    with tempfile.TemporaryDirectory(dir=given.scratch) as scratch:
        bench = Bench(given.peers, Path(scratch), threads, 2 if given.quick else LAYERS)
        embedder, reranker = bench.embedder(), bench.reranker()
    made = {
        "machine": machine(),
        "command": "python bench/large.py --peers PEERS --scratch FOLDER --out bench/results/large.json",
        "threads": threads,
        "quick": given.quick,
        "default": bench.default,
        "bge-m3": embedder,
        "reranker": reranker,
        "skipped": bench.skipped,
        "rows": rows_of(bench.default, embedder, reranker),
    }
    text = json.dumps(made, indent=2) + "\n"
    given.out.write_text(text) if given.out else print(text)
    if given.out and (compared := given.out.with_name("compare.json")).exists():
        report.write(compared)


if __name__ == "__main__":
    main()
