"""Numbers that others have published of real models, run where the user's cache holds their weights.

Pictures are looked for in EMBEDSTACK_TEST_DATA/pictures: coco_000000039769.jpg is image 39769 of COCO's validation set
of 2017, fastembed_image.jpeg is tests/misc/image.jpeg of FastEmbed.
"""

import asyncio
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest

import embedstack
from embedstack.catalog import find
from embedstack.catalog.catalog import Wanted, parse
from embedstack.catalog.spec import read_model_type
from embedstack.catalog.store import MANIFEST, Store
from embedstack.inputs.text import TextInput
from embedstack.model import Model
from embedstack.models import encoder
from embedstack.models.folder import has_weights, root_of
from embedstack.models.weights import open_weights
from embedstack.modelspec import ModelSpec
from embedstack.runtimes.numpy import NumpyOps
from embedstack.settings import DEFAULT_MODEL, read_settings
from embedstack.types import Encode, Encoded, Image, Text, Tokens
from support.families import batch_of
from support.proofs import note_weights

Row = Mapping[str, object]
PUBLISHED = json.loads((Path(__file__).parents[1] / "golden" / "published.json").read_text())
CACHE = read_settings(env_file=None).cache_dir
pytestmark = pytest.mark.weights


def rows(kind: str) -> pytest.MarkDecorator:
    made = [pytest.param(row, id=f"{row['model']}, {row['origin'].partition(' ')[0]}") for row in PUBLISHED[kind]]
    return pytest.mark.parametrize("row", made)


def folder_of(name: str) -> Path:
    """Where the weights are: in our own cache, or in that of Hugging Face."""
    wanted, store = parse(name), Store(CACHE)
    assert isinstance(wanted, Wanted)
    commit = store.revision(wanted)
    config = huggingface_hub.try_to_load_from_cache(name, "config.json", revision=wanted.revision)
    config = config or huggingface_hub.try_to_load_from_cache(name, "modules.json", revision=wanted.revision)
    found = store.folder(wanted.repo, commit) if commit else Path(config).parent if isinstance(config, str) else None
    if found is None or not has_weights(str(path.relative_to(found)) for path in found.rglob("*")):
        pytest.skip(f"the weights of {name} are not in the cache")
    if not (root_of(found) / "tokenizer.json").is_file():
        pytest.skip(f"the weights of {name} and its tokenizer.json are not in the cache together")
    return found


def linked(row: Row, tmp: Path) -> Path:
    """The model as a folder without what our catalog adds, so that texts go in as they are, pooled as the row says."""
    found, made = folder_of(str(row["model"])), tmp / "model"
    for path in found.rglob("*"):
        if path.is_file() and path.name != MANIFEST:
            (made / path.relative_to(found)).parent.mkdir(parents=True, exist_ok=True)
            (made / path.relative_to(found)).symlink_to(path.resolve())
    if "pooling" in row:
        _pool(made, str(row["pooling"]))
    _without_prompts(made)
    return made


def _without_prompts(folder: Path) -> None:
    """Where no file states any: the published texts went in as they are, whatever a card asks for."""
    path = folder / "config_sentence_transformers.json"
    told = json.loads(path.read_text()) if path.is_file() else {}
    if not told.get("prompts"):
        path.unlink(missing_ok=True)
        path.write_text(json.dumps({**told, "prompts": {"query": "", "document": ""}}))


def _pool(folder: Path, pooling: str) -> None:
    kinds = ("Transformer", "Pooling")
    modules = [
        {"path": f"{n}_{kind}" if n else "", "type": f"sentence_transformers.models.{kind}"}
        for n, kind in enumerate(kinds)
    ]
    (folder / "1_Pooling").mkdir(exist_ok=True)
    for name, content in (("modules.json", modules), ("1_Pooling/config.json", {"pooling_mode": pooling})):
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_text(json.dumps(content))


def test_weights_without_a_tokenizer_are_a_reason_to_skip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    found = lambda repo, name, **at: str(tmp_path / name)  # noqa: E731
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", found)

    with pytest.raises(pytest.skip.Exception, match=r"tokenizer\.json are not in the cache"):
        folder_of("nobody/nothing")

    (tmp_path / "tokenizer.json").write_text("{}")
    assert folder_of("nobody/nothing") == tmp_path


@pytest.fixture
def folder(row: Row, tmp_path: Path) -> Path:
    return linked(row, tmp_path)


@pytest.fixture
def model(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Model]:
    monkeypatch.setenv("EMBEDSTACK_CACHE_DIR", str(tmp_path / "cache"))
    with embedstack.load(str(folder), precision="float32") as opened:
        yield opened


@pytest.fixture
def picture(row: Row) -> Image:
    path = Path(os.environ.get("EMBEDSTACK_TEST_DATA", "")) / "pictures" / str(row["picture"])
    folder_of(str(row["model"]))  # that these are missing is the first thing to say
    if not path.is_file():
        pytest.skip(f"EMBEDSTACK_TEST_DATA is not set to a folder that has pictures/{row['picture']}")
    return Image(path.read_bytes())


def read(folder: Path, spec: ModelSpec, *texts: str) -> list[Tokens]:
    """Texts without a prompt, also for a model that refuses them."""
    made = TextInput(folder, replace(spec, needs_prompt=False)).encode([Text(text, "none") for text in texts])
    return [Tokens(tuple(one.ids.tolist())) for one in made]


def encoded(model: Model, *items: Text | Tokens | Image, normalize: bool) -> Encoded:
    return asyncio.run(model._engine.encode(Encode(model="", items=items, normalize=normalize)))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def unit(row: np.ndarray) -> np.ndarray:
    return row / np.linalg.norm(row)


def keep(row: Row, folder: Path, made: object, said: object) -> None:
    """Note that real weights of this family were compared, and how far off they were by what judges them."""
    ours, judged = np.array(made, np.float64), np.array(said, np.float64)
    off = 1 - cosine(ours, judged) if "cosine" in row else np.abs(ours - judged).max() / np.abs(judged).max()
    if not str(row["model"]).endswith(f"/{DEFAULT_MODEL}"):  # whose whole vectors tests/engine/test_published.py has
        note_weights(read_model_type(folder)[0], str(row["model"]), float(off))


@rows("dense")
def test_vectors_are_the_published_ones(row: Row, folder: Path, model: Model) -> None:
    asked = Text(row["text"], row["role"]) if "role" in row else read(folder, model.spec, row["text"])[0]

    made = encoded(model, asked, normalize=row["normalize"]).dense[0]
    made = unit(made[: row["cut"]]) if "cut" in row else made

    first = np.array(row["first"])
    if "cosine" in row:
        assert cosine(made[: len(first)], first) >= row["cosine"]
        assert np.linalg.norm(made[: len(first)]) == pytest.approx(np.linalg.norm(first), rel=0.02)
    else:
        assert made[: len(first)] == pytest.approx(first, abs=row["abs"])
    keep(row, folder, made[: len(first)], first)


@rows("images")
def test_vectors_of_pictures_are_the_published_ones(row: Row, picture: Image, folder: Path, model: Model) -> None:
    made = encoded(model, picture, normalize=row["normalize"]).dense[0]

    assert made[: len(row["first"])] == pytest.approx(np.array(row["first"]), abs=row["abs"])
    keep(row, folder, made[: len(row["first"])], row["first"])


@rows("logits")
def test_texts_meet_a_picture_as_published(row: Row, picture: Image, folder: Path, model: Model) -> None:
    texts = encoded(model, *(Text(text, "none") for text in row["texts"]), normalize=True).dense
    seen = encoded(model, picture, normalize=True).dense[0]

    logits = texts @ seen * model.spec.logit_scale + model.spec.logit_bias

    assert logits == pytest.approx(np.array(row["logits"]), abs=row["abs"])
    if "probabilities" in row:
        assert 1 / (1 + np.exp(-logits)) == pytest.approx(np.array(row["probabilities"]), abs=0.01)
    keep(row, folder, logits, row["logits"])


@rows("similar")
def test_similarities_are_the_published_ones(row: Row, folder: Path, model: Model) -> None:
    made = model.encode(row["texts"], role="none", outputs=row["output"])

    dense = made.dense if row["output"] == "dense" else spread(made, model.spec.architecture.vocab)
    assert dense @ dense.T == pytest.approx(np.array(row["table"]), abs=row["abs"])
    keep(row, folder, dense @ dense.T, row["table"])


@rows("found")
def test_queries_are_as_near_to_documents_as_published(row: Row, folder: Path, model: Model) -> None:
    queries = model.encode([row["prompt"] + text for text in row["queries"]], role="none").dense
    documents = model.encode(row["documents"], role="none").dense

    assert queries @ documents.T == pytest.approx(np.array(row["table"]), abs=row["abs"])
    keep(row, folder, queries @ documents.T, row["table"])


def spread(made: Encoded, vocab: int) -> np.ndarray:
    """Lexical weights as rows over the vocabulary."""
    whole = np.zeros((len(made.sparse), vocab))
    for place, one in enumerate(made.sparse):
        whole[place, one.ids] = one.weights
    return whole


@rows("sparse")
def test_lexical_weights_are_the_published_ones(row: Row, folder: Path, model: Model) -> None:
    (made,) = model.encode(row["text"], role="none", outputs="sparse").sparse

    weights = dict(zip(made.ids.tolist(), made.weights.tolist(), strict=True))
    there = [weights.get(int(i), 0.0) for i in row["weights"]]
    assert there == pytest.approx([*row["weights"].values()], abs=row["abs"])
    keep(row, folder, there, [*row["weights"].values()])


@rows("scores")
def test_scores_are_the_published_ones(row: Row, folder: Path, model: Model) -> None:
    logits = model.score(row["query"], row["documents"], raw_scores=True).scores

    assert logits == pytest.approx(np.array(row["logits"]), abs=row["abs"])
    if "sigmoid" in row:
        assert 1 / (1 + np.exp(-logits)) == pytest.approx(np.array(row["sigmoid"]), abs=row["abs"] / 4)
    keep(row, folder, logits, row["logits"])


@rows("labels")
def test_labels_are_the_published_ones(row: Row, folder: Path, model: Model) -> None:
    made = model.classify(row["text"], raw_scores=True).scores[0]

    assert made == pytest.approx(np.array(row["logits"]), abs=row["abs"])
    keep(row, folder, made, row["logits"])


@rows("states")
def test_hidden_states_are_the_published_ones(row: Row, folder: Path, tmp_path: Path) -> None:
    spec = find(str(folder), cache_dir=tmp_path).spec
    ids = [np.array(one.ids, np.int32) for one in read(folder, spec, *row["texts"])]

    made = [encoder(NumpyOps(open_weights(folder), batch_of([one])), spec) for one in ids]

    slices = np.array([one[1:4, 1:4] for one in made])
    assert slices == pytest.approx(np.array(row["slices"]), abs=row["abs"])
    keep(row, folder, slices, row["slices"])


# ------------------------------------------------------------------------------------------------ BGE-M3


@pytest.fixture
def m3(row: Row, model: Model) -> tuple[Encoded, Encoded]:
    outputs = ("dense", "sparse", "multi")
    return model.encode(row["queries"], outputs=outputs), model.encode(row["documents"], outputs=outputs)


@rows("m3")
def test_all_scores_of_bge_m3_are_the_published_ones(
    row: Row, m3: tuple[Encoded, Encoded], folder: Path, model: Model
) -> None:
    queries, documents = m3
    vocab = model.spec.architecture.vocab

    made = {
        "dense": queries.dense @ documents.dense.T,
        "sparse": spread(queries, vocab) @ spread(documents, vocab).T,
        "multi": np.array([[float((q @ d.T).max(axis=1).mean()) for d in documents.multi] for q in queries.multi]),
    }

    for name, table in made.items():
        assert table == pytest.approx(np.array(row[name]), abs=row["abs"]), name
    dense, sparse, multi = row["weights"]
    both = (dense * made["dense"] + sparse * made["sparse"]) / (dense + sparse)
    every = dense * made["dense"] + sparse * made["sparse"] + multi * made["multi"]
    assert both == pytest.approx(np.array(row["sparse_and_dense"]), abs=row["abs"])
    assert every == pytest.approx(np.array(row["all"]), abs=row["abs"])
    dense, sparse, multi = row["other_weights"]
    both = (dense * made["dense"] + sparse * made["sparse"]) / (dense + sparse)
    every = (dense * made["dense"] + sparse * made["sparse"] + multi * made["multi"]) / (dense + sparse + multi)
    assert np.diag(both) == pytest.approx(np.array(row["other_sparse_and_dense"]), abs=row["abs"])
    assert np.diag(every) == pytest.approx(np.array(row["other_all"]), abs=row["abs"])
    keep(row, folder, every, row["all"])


@rows("m3")
def test_the_words_of_bge_m3_weigh_what_is_published(
    row: Row, m3: tuple[Encoded, Encoded], folder: Path, model: Model
) -> None:
    for one, words in zip(m3[0].sparse, row["words"], strict=True):
        names = TextInput(folder, model.spec).decode([Tokens((int(i),)) for i in one.ids])
        names = [name.strip() for name in names]

        assert dict(zip(names, one.weights.tolist(), strict=True)) == pytest.approx(words, abs=row["abs"])
