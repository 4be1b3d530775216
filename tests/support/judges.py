"""The judges: the same folder through transformers, FlagEmbedding and sentence-transformers, from their own packages.

Run with PyTorch at hand it records what they say, for the machines that have none:

    python tests/support/judges.py tests/golden
"""

import json
import sys
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from support.tiny import CASES, Case, ragged, write

TEXTS = [
    "what is a panda",
    "The panda is a bear of China.",
    "music",
    "a river, a city and the stars! who was the king?",
]
PAIRS = [
    ("what is a panda?", "the panda is a bear"),
    ("who was the queen", "light and water"),
    ("sun", "a sun and moon " * 20),
]
SENTENCES = [
    "The weather is lovely today.",
    "It's so sunny outside!",
    "He drove to the stadium.",
    "hello world",
    "Ünïcödé, ЮНИКОД and 漢字 in one line; with (punctuation) — and 12,345.67 numbers.",
    "A long text that is cut. " * 60,
]


def transformers_outputs(folder: Path, case: Case) -> dict[str, np.ndarray]:
    """What transformers gives for the ragged items of a case, in one padded batch."""
    import torch
    from transformers import AutoModel, AutoModelForSequenceClassification

    kind = AutoModelForSequenceClassification if case.has_classifier else AutoModel
    model = kind.from_pretrained(folder, attn_implementation="eager").eval()
    items = ragged(case)
    longest = max(len(ids) for ids, _ in items)
    pad = 0 if case.is_bert else 1
    ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row, _ in items])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row, _ in items])
    kinds = (
        {"token_type_ids": torch.tensor([[*s, *[0] * (longest - len(s))] for _, s in items])} if case.is_bert else {}
    )
    with torch.no_grad():
        made = model(input_ids=ids, attention_mask=mask, **kinds)
    if case.has_classifier:
        return {"score": made.logits.numpy()}
    return {"dense": _pooled(made.last_hidden_state, mask, case.pooling).numpy()}


def _pooled(hidden, mask, how):
    from sentence_transformers.sentence_transformer.modules import Pooling

    names = {"cls": "cls", "mean": "mean", "max": "max", "last": "lasttoken"}
    pooling = Pooling(hidden.shape[-1], pooling_mode=names[how])
    return pooling({"token_embeddings": hidden, "attention_mask": mask})["sentence_embedding"]


def make_m3(folder: Path) -> Path:
    """A tiny BGE-M3 as its repository has it: pytorch_model.bin and the heads as float16 .pt files."""
    import torch
    from safetensors.torch import load_file

    write(CASES["bge-m3"], folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    heads = load_file(folder / "heads.safetensors")
    for head in ("sparse_linear", "colbert_linear"):
        state = {name.partition(".")[2]: values.half() for name, values in heads.items() if name.startswith(head)}
        torch.save(state, folder / f"{head}.pt")
    (folder / "model.safetensors").unlink()
    (folder / "heads.safetensors").unlink()
    return folder


def flagembedding_outputs(folder: Path) -> dict[str, object]:
    """Dense, lexical weights and ColBERT vectors of TEXTS."""
    from FlagEmbedding import BGEM3FlagModel

    model = BGEM3FlagModel(str(folder), use_fp16=False, devices="cpu")
    made = model.encode(TEXTS, return_dense=True, return_sparse=True, return_colbert_vecs=True)
    return {
        "dense": np.asarray(made["dense_vecs"], np.float32).tolist(),
        "sparse": [{str(k): float(v) for k, v in row.items()} for row in made["lexical_weights"]],
        "multi": [np.asarray(row, np.float32).tolist() for row in made["colbert_vecs"]],
    }


def cross_encoder_outputs(folder: Path) -> list[float]:
    """Scores of PAIRS."""
    from sentence_transformers import CrossEncoder

    return [float(score) for score in CrossEncoder(str(folder), device="cpu").predict(PAIRS)]


def label_outputs(folder: Path) -> list[list[float]]:
    """Scores of the labels of TEXTS and then of PAIRS, in the order of the logits."""
    from transformers import pipeline

    pipe = pipeline("text-classification", model=str(folder), device="cpu")
    items = [*({"text": text} for text in TEXTS), *({"text": one, "text_pair": other} for one, other in PAIRS)]
    order = pipe.model.config.label2id
    return [
        [
            float(row["score"])
            for row in sorted(pipe(item, top_k=None, truncation=True), key=lambda r: order[r["label"]])
        ]
        for item in items
    ]


def with_problems(case: Case) -> dict[str, Case]:
    """A classifier of each kind that a config can state."""
    kinds = ("single_label_classification", "multi_label_classification", "regression")
    return {f"{case.name}/{kind}": replace(case, config={"problem_type": kind}) for kind in kinds}


def sentence_transformers_outputs(folder: Path, texts: list[str]) -> np.ndarray:
    """Vectors of any sentence-transformers folder."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu").encode(texts, normalize_embeddings=True)


def origin(*packages: str) -> str:
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return f"recorded: {versions}; python tests/support/judges.py"


def record(golden: Path, minilm: Path | None) -> None:
    """Write every golden file."""
    with tempfile.TemporaryDirectory() as tmp:
        made: dict[str, np.ndarray] = {}
        for case in CASES.values():
            folder = write(case, Path(tmp) / case.name)
            made |= {f"{case.name}/{name}": values for name, values in transformers_outputs(folder, case).items()}
        np.savez(golden / "transformers.npz", origin=origin("transformers", "torch", "sentence-transformers"), **made)
        scores = {n: cross_encoder_outputs(Path(tmp) / n) for n, case in CASES.items() if case.is_reranker}
        _dump(
            golden / "cross_encoder.json",
            {"origin": origin("sentence-transformers", "torch"), "pairs": PAIRS, "scores": scores},
        )
    record_labels(golden)
    m3 = make_m3(golden / "bge_m3_tiny")
    _dump(
        golden / "bge_m3.json",
        {"origin": origin("FlagEmbedding", "torch"), "texts": TEXTS, **flagembedding_outputs(m3)},
    )
    if minilm is not None:
        vectors = sentence_transformers_outputs(minilm, SENTENCES)
        about = {"origin": origin("sentence-transformers", "torch"), "model": "all-MiniLM-L6-v2", "texts": SENTENCES}
        _dump(golden / "minilm.json", {**about, "vectors": [[float(f"{x:.8g}") for x in row] for row in vectors]})


def record_labels(golden: Path) -> None:
    """What classifiers give."""
    with tempfile.TemporaryDirectory() as tmp:
        scores = {
            name: label_outputs(write(kind, Path(tmp) / name))
            for case in CASES.values()
            if case.is_classifier
            for name, kind in with_problems(case).items()
        }
    about = {"origin": origin("transformers", "torch"), "texts": TEXTS, "pairs": PAIRS}
    _dump(golden / "labels.json", {**about, "scores": scores})


def _dump(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    record(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
