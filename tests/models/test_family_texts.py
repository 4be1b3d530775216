"""From a text to its vector as sentence-transformers makes it of the same folder: prompts, cases, cuts, ends, pooling.

Each folder has the files of a published model: its modules, its prompts, its kind of tokeniser. Its numbers are drawn.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from embedstack.catalog import find
from embedstack.engine.engine import Engine
from embedstack.engine.loaded import Loaded
from embedstack.inputs.text import TextInput
from embedstack.models.weights import open_weights
from embedstack.runtimes.numpy import NumpyRuntime
from embedstack.types import Encode, Text
from support import tiny
from support.byte_level import byte_level
from support.every import folders
from support.families import SEEN, TOLERANCE
from support.proofs import RECORDS, judges, note

GOLDEN = Path(__file__).parents[1] / "golden" / "texts.npz"
COMMAND = "EMBEDSTACK_RECORD=1 python -m pytest -m reference tests/models/test_family_texts.py"
TEXTS = (
    "what is a panda",
    "The Panda is a BEAR of China.",
    "a river, ☃ and the stars!",
    "the moon and the sun of the night are the light of the city " * 4,  # is cut
)
WIDTH = 8  # of a row that is cut
SETTINGS = "config_sentence_transformers.json"
INSTRUCT = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
NOMIC = "nomic-embed-text-v1.5"
SEARCH = {"query": "search_query: ", "document": "search_document: "}


def saved(prompts: Mapping[str, str]) -> dict[str, object]:
    """What stands in the file beside modules.json."""
    return {"prompts": dict(prompts), "default_prompt_name": None, "similarity_fn_name": "cosine"}


@dataclass(frozen=True)
class Published:
    """A folder, and how sentence-transformers is asked for each role.

    Args:
        stated: the prompts in its own files.
        asked: by role, the arguments of `encode`.
    """

    row: str
    write: Callable[[Path], Path]
    stated: Mapping[str, str] = field(default_factory=dict)
    asked: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: {"document": {}})

    def prompt(self, role: str) -> str:
        """What stands before the texts."""
        asked = self.asked[role]
        return asked.get("prompt", self.stated.get(asked.get("prompt_name", ""), ""))

    def folder(self, to: Path) -> Path:
        self.write(to)
        if self.stated:
            (to / SETTINGS).write_text(json.dumps(saved(self.stated)))
        return to


def of_case(name: str, **change: object) -> Callable[[Path], Path]:
    """The folder of a family's case, changed."""
    one = folders()[name]
    return lambda to: replace(one, case=replace(one.case, **change)).write(to)  # type: ignore[arg-type]


def by_name(**names: str) -> dict[str, dict[str, str]]:
    return {role: {"prompt_name": name} for role, name in names.items()}


def by_text(**prompts: str) -> dict[str, dict[str, str]]:
    return {role: {"prompt": prompt} for role, prompt in prompts.items()}


E5 = replace(tiny.CASES["xlm-roberta-cls"], name="e5", pooling="mean", seed=61)
DISTILBERT = {**tiny.tokenizer_config(tiny.CASES["bert-mean"]), "model_input_names": ["input_ids", "attention_mask"]}
QWEN3: dict[str, object] = {
    "tokenizer": lambda: byte_level(["<|endoftext|>"]),
    "tokenizer_config": {**folders()["qwen3-last"].case.tokenizer_config, "padding_side": "left"},
}
PUBLISHED = {
    "all-mpnet-base-v2": Published("mpnet", of_case("mpnet-mean", max_seq_length=40)),
    "multi-qa-distilbert-cos-v1": Published("distilbert", of_case("distilbert-mean", tokenizer_config=DISTILBERT)),
    "modernbert-embed-base": Published("modernbert", of_case("modernbert-mean"), asked=by_text(**SEARCH)),
    "snowflake-arctic-embed-m-v2.0": Published(
        "gte", of_case("gte-separate"), {"query": "query: "}, {"query": {"prompt_name": "query"}, "document": {}}
    ),
    NOMIC: Published("nomic_bert", of_case("nomic-separate", pooling="mean"), asked=by_text(**SEARCH)),
    "Qwen3-Embedding-0.6B": Published(
        "qwen3",
        of_case("qwen3-last", **QWEN3),
        {"query": INSTRUCT, "document": ""},
        by_name(query="query", document="document"),
    ),
    "EuroBERT-210m": Published("eurobert", of_case("eurobert-mean")),
    "multilingual-e5-base": Published(
        "xlm-roberta", lambda to: tiny.write(E5, to), asked=by_text(query="query: ", document="passage: ")
    ),
    "tuned-e5": Published(
        "xlm-roberta",
        lambda to: tiny.write(E5, to),
        {"query": "query: ", "passage": "passage: "},
        by_name(query="query", document="passage"),
    ),
}
"""By the names of the models that they look like; some state no prompts in their files, and their card does."""
ASKED = [(name, role) for name, one in PUBLISHED.items() for role in one.asked]
PROMPTED = [(name, role) for name, role in ASKED if PUBLISHED[name].prompt(role)]


def golden(key: str) -> np.ndarray:
    with np.load(GOLDEN) as recorded:
        return recorded[key]


def published(name: str, role: str, tmp: Path, more: str = "") -> tuple[Path, np.ndarray]:
    """The folder, and what the judge said."""
    return PUBLISHED[name].folder(tmp / name), golden(f"{name}/{role}{more}")


def encoded(folder: Path, tmp: Path, role: str, dim: int | None = None, **change: object) -> np.ndarray:
    """(texts, dim), by the numpy runtime, of a spec that may be changed."""
    spec = replace(find(str(folder), cache_dir=tmp).spec, **change)  # type: ignore[arg-type]
    engine = Engine([Loaded(spec, TextInput(folder, spec), NumpyRuntime(spec, open_weights(folder)))])
    request = Encode(model=spec.name, items=tuple(Text(text, role) for text in TEXTS), dim=dim)
    try:
        dense = asyncio.run(engine.encode(request)).dense
    finally:
        engine.close()
    assert dense is not None
    return dense


@pytest.mark.parametrize(("name", "role"), ASKED)
def test_texts_get_the_vectors_of_sentence_transformers(name: str, role: str, tmp_path: Path) -> None:
    folder, said = published(name, role, tmp_path)

    off = float(np.abs(encoded(folder, tmp_path, role) - said).max() / np.abs(said).max())

    assert off <= TOLERANCE
    note(PUBLISHED[name].row, f"texts: {name}", "numpy", off, heads=["dense"])


@pytest.mark.parametrize(("name", "role"), PROMPTED)
def test_a_missing_prompt_is_seen(name: str, role: str, tmp_path: Path) -> None:
    folder, said = published(name, role, tmp_path)

    bare = encoded(folder, tmp_path, "none", needs_prompt=False)

    assert np.abs(bare - said).max(axis=1).min() > SEEN * TOLERANCE
    note(PUBLISHED[name].row, f"texts: {name}", f"mutation: no prompt before a {role}", 0.0)


@pytest.mark.parametrize("name", [name for name, one in PUBLISHED.items() if len(one.asked) > 1])
def test_queries_are_read_otherwise_than_documents(name: str) -> None:
    assert np.abs(golden(f"{name}/query") - golden(f"{name}/document")).max(axis=1).min() > SEEN * TOLERANCE


def test_a_text_that_is_not_cut_is_seen(tmp_path: Path) -> None:
    """So that the comparison above sees a limit: of the last text, and of no other."""
    folder, said = published("all-mpnet-base-v2", "document", tmp_path)

    off = np.abs(encoded(folder, tmp_path, "document", max_tokens=39) - said).max(axis=1)

    assert (off > SEEN * TOLERANCE).tolist() == [False, False, False, True]


def test_the_end_that_the_tokeniser_appends_is_seen(tmp_path: Path) -> None:
    """The last token's row stands for the text."""
    folder, said = published("Qwen3-Embedding-0.6B", "query", tmp_path)

    off = np.abs(encoded(folder, tmp_path, "query", special_tokens=False) - said).max(axis=1)

    assert off.min() > SEEN * TOLERANCE
    note("qwen3", "texts: Qwen3-Embedding-0.6B", "mutation: no token at the end", 0.0)


# ------------------------------------------------------------------------------------------------ nomic, cut


def levelling(folder: Path) -> Path:
    """The folder with modules that do what the card of nomic-embed-text-v1.5 writes: a LayerNorm before the cut."""
    kinds = ("Transformer", "Pooling", "LayerNorm")
    rows = [
        {"idx": n, "name": str(n), "path": f"{n}_{kind}" if n else "", "type": f"sentence_transformers.models.{kind}"}
        for n, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(rows))
    width = json.loads((folder / "config.json").read_text())["hidden_size"]
    (folder / "2_LayerNorm").mkdir()
    (folder / "2_LayerNorm" / "config.json").write_text(json.dumps({"dimension": width}))
    plain = {"norm.weight": np.ones(width, np.float32), "norm.bias": np.zeros(width, np.float32)}
    save_file(plain, folder / "2_LayerNorm" / "model.safetensors", {"format": "pt"})
    return folder


@pytest.mark.parametrize("role", ["query", "document"])
def test_a_row_of_nomic_is_levelled_cut_and_brought_to_length_1(role: str, tmp_path: Path) -> None:
    folder, said = published(NOMIC, role, tmp_path, f"/{WIDTH}")

    made = encoded(folder, tmp_path, role, WIDTH, cuts=(WIDTH,))
    plain = encoded(folder, tmp_path, role, WIDTH, cuts=(WIDTH,), cut_norm=False)

    assert np.abs(made - said).max() <= TOLERANCE
    assert np.abs(plain - said).max(axis=1).min() > SEEN * TOLERANCE


# ------------------------------------------------------------------------------------------------ the judge


def judged(folder: Path, one: Published, **how: object) -> dict[str, np.ndarray]:
    """By role."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"attn_implementation": "eager"})
    return {role: model.encode(list(TEXTS), **asked, **how) for role, asked in one.asked.items()}


@pytest.mark.reference
def test_the_golden_vectors_are_what_sentence_transformers_says_now(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="transformers is not installed")
    said: dict[str, np.ndarray] = {}
    for name, one in PUBLISHED.items():
        made = judged(one.folder(tmp_path / name), one)
        said |= {f"{name}/{role}": rows for role, rows in made.items()}
    nomic = PUBLISHED[NOMIC]
    cut = judged(levelling(nomic.folder(tmp_path / "cut")), nomic, truncate_dim=WIDTH, normalize_embeddings=True)
    said |= {f"{NOMIC}/{role}/{WIDTH}": rows for role, rows in cut.items()}

    if RECORDS:
        np.savez(GOLDEN, origin=f"recorded: {judges()}; {COMMAND}", **said)
    assert all(np.abs(rows - golden(key)).max() <= 1e-6 for key, rows in said.items())
