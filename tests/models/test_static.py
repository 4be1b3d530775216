"""Static embeddings against the two packages that write them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

import embedstack
from embedstack.catalog import find
from embedstack.catalog.catalog import Entry
from embedstack.catalog.spec import draft
from embedstack.errors import BadRequest, ConfigError, TooLong, Unsupported
from embedstack.inputs.text import TextInput
from embedstack.models.folder import root_of
from embedstack.models.static import MAX_LENGTH, MOST_TOKENS, Vocabulary, read_vocabulary
from embedstack.models.weights import Weights
from embedstack.modelspec import ModelSpec, Truncate
from embedstack.types import Text
from support import tiny
from support.families import FamilyTests, Item, Tiny, write
from support.mutations import Changed, Mutation, halves_swapped, recipe

WIDTH, SHARED = 24, 60
BERT = tiny.CASES["bert-mean"]
VOCAB = tiny.tokenizer(BERT).get_vocab_size()
UNKNOWN = 1
WORDS = ("the panda sun", "a river", "the moon and the war", "pandas")
STATIC = "sentence_transformers.models.StaticEmbedding"


def by_sentence_transformers(folder: Path, items: Sequence[Item]) -> np.ndarray:
    import torch
    from sentence_transformers import SentenceTransformer

    static = SentenceTransformer(str(folder), device="cpu")[0]
    ids = torch.tensor(np.concatenate(items).astype(np.int64))
    offsets = torch.tensor(np.cumsum([0, *(len(item) for item in items[:-1])]))
    with torch.no_grad():
        return static({"input_ids": ids, "offsets": offsets})["sentence_embedding"].numpy()


def by_model2vec(folder: Path, items: Sequence[Item]) -> np.ndarray:
    model2vec = pytest.importorskip("model2vec", reason="model2vec is not installed")
    model = model2vec.StaticModel.from_pretrained(folder)
    return np.stack([model._encode_helper(item.tolist()).mean(axis=0) for item in items])


def modules(*places: str) -> Mapping[str, object]:
    kinds = (STATIC, "sentence_transformers.models.Normalize")
    rows = [
        {"idx": n, "name": str(n), "path": place, "type": kind}
        for n, (place, kind) in enumerate(zip(places, kinds, strict=False))
    ]
    return {"modules.json": rows}


def model2vec(**change: object) -> dict[str, object]:
    """As model2vec 0.3 to 0.10 writes it."""
    return {
        "model_type": "model2vec",
        "architectures": ["StaticModel"],
        "tokenizer_name": "baai/bge-base-en-v1.5",
        "apply_pca": 256,
        "apply_zipf": True,
        "hidden_dim": WIDTH,
        "seq_length": 1000000,
        "normalize": True,
        **change,
    }


BELOW = Tiny(
    name="static-below",
    config={},
    shapes={"embedding.weight": (VOCAB, WIDTH)},
    judge=by_sentence_transformers,
    pooling=None,
    files=modules("0_StaticEmbedding", "1_Normalize"),
)
PLAIN = Tiny(
    name="static-model2vec",
    config=model2vec(),
    shapes={"embeddings": (VOCAB, WIDTH)},
    judge=by_model2vec,
    pooling=None,
    files=modules(".", "1_Normalize"),
    seed=51,
    judged_by=("model2vec",),
)
MAPPED = Tiny(
    name="static-mapped",
    config=model2vec(vocabulary_quantization=SHARED, normalize=False),
    shapes={"embeddings": (SHARED, WIDTH), "weights": (VOCAB,)},
    judge=by_model2vec,
    pooling=None,
    seed=52,
    draw={"mapping": np.random.default_rng(53).integers(0, SHARED, VOCAB)},
    judged_by=("model2vec",),
)


@pytest.fixture(autouse=True)
def _not_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes tests record is none that a model could be loaded with."""
    monkeypatch.delenv("EMBEDSTACK_RECORD", raising=False)


def placed(case: Tiny, folder: Path) -> Path:
    """The folder of a case, its own files where sentence-transformers has them."""
    write(case, folder)
    if case is BELOW:
        (folder / "config.json").unlink()
        (folder / "0_StaticEmbedding").mkdir()
        for name in ("tokenizer.json", "model.safetensors"):
            (folder / name).rename(folder / "0_StaticEmbedding" / name)
    return folder


def without_weights() -> Mutation:
    def change(at: str, values: np.ndarray) -> np.ndarray:
        return np.ones_like(values) if at == "weights" else values

    return lambda spec, weights: (spec, Changed(weights, change))


def mapping_moved(spec: ModelSpec, weights: Weights) -> tuple[ModelSpec, Weights]:
    class Moved(Weights):
        def __init__(self) -> None:
            self.__dict__ = dict(weights.__dict__)

        def whole_numbers(self, name: str) -> NDArray[np.int64]:
            return np.roll(super().whole_numbers(name), 1)

    return spec, Moved()


class TestStatic(FamilyTests):
    family = "static"
    cases = (BELOW, PLAIN, MAPPED)
    mutations: ClassVar[Mapping[str, Mutation]] = {
        "rows moved": halves_swapped("embedding"),
        "cls pooling": recipe(pooling="cls"),
        "max pooling": recipe(pooling="max"),
        "weights left out": without_weights(),
        "mapping moved": mapping_moved,
    }
    not_for: ClassVar[Mapping[str, Sequence[str]]] = {
        "weights left out": [BELOW.name, PLAIN.name],
        "mapping moved": [BELOW.name, PLAIN.name],
    }
    unseen: ClassVar[Sequence[str]] = ("mapping",)  # whole numbers, moved by a mutation above

    @classmethod
    def placed(cls, case: Tiny, folder: Path) -> Path:
        return placed(case, folder)

    @pytest.mark.reference
    def test_texts_get_the_vectors_of_the_original(self, case: Tiny, folders: dict[str, Path]) -> None:
        """One word of the last text is unknown to the tokeniser."""
        texts = [*WORDS, "the panda ☃ sun"] if case is not BELOW else [*WORDS]
        model = embedstack.load(str(folders[case.name]), precision="float32")

        said = _encoded(case, folders[case.name], texts)

        np.testing.assert_allclose(model.encode(texts), said, atol=1e-6)


def _encoded(case: Tiny, folder: Path, texts: list[str]) -> np.ndarray:
    if case is BELOW:
        judge = pytest.importorskip("sentence_transformers", reason="transformers is not installed")
        return np.asarray(judge.SentenceTransformer(str(folder), device="cpu").encode(texts))
    judge = pytest.importorskip("model2vec", reason="model2vec is not installed")
    return np.asarray(judge.StaticModel.from_pretrained(folder).encode(texts))


def spec_of(case: Tiny, folder: Path) -> ModelSpec:
    return find(str(placed(case, folder)), cache_dir=folder.parent / "cache").spec


def test_files_are_read_where_the_first_module_is(tmp_path: Path) -> None:
    assert root_of(placed(BELOW, tmp_path / "m")) == tmp_path / "m" / "0_StaticEmbedding"


def test_only_the_weights_say_how_large_the_table_is(tmp_path: Path) -> None:
    spec = spec_of(MAPPED, tmp_path / "m")

    assert (spec.dim, spec.architecture.vocab) == (WIDTH, VOCAB)


def test_whose_vectors_are_of_length_1_is_stated(tmp_path: Path) -> None:
    assert [spec_of(case, tmp_path / case.name).normalize for case in (BELOW, PLAIN, MAPPED)] == [True, True, False]


def test_model2vec_cuts_texts_and_sentence_transformers_does_not(tmp_path: Path) -> None:
    limits = [spec_of(case, tmp_path / case.name).max_tokens for case in (BELOW, PLAIN)]

    assert limits == [MOST_TOKENS, MAX_LENGTH]


def truncated(folder: Path, **change: object) -> Path:
    """BELOW, whose tokenizer.json cuts texts."""
    placed(BELOW, folder)
    path = folder / "0_StaticEmbedding" / "tokenizer.json"
    rule = {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0, **change}
    path.write_text(json.dumps({**json.loads(path.read_text()), "truncation": rule}))
    return folder


def test_a_tokeniser_that_cuts_is_the_limit_of_sentence_transformers(tmp_path: Path) -> None:
    assert find(str(truncated(tmp_path / "m")), cache_dir=tmp_path).spec.max_tokens == 5


def test_a_tokeniser_that_cuts_the_beginning_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="'Left'"):
        find(str(truncated(tmp_path / "m", direction="Left")), cache_dir=tmp_path)


@pytest.mark.reference
def test_texts_that_are_cut_get_the_vectors_of_sentence_transformers(tmp_path: Path) -> None:
    judge = pytest.importorskip("sentence_transformers", reason="transformers is not installed")
    folder, texts = str(truncated(tmp_path / "m")), ["the moon and the war and the panda sun", "a river"]

    made = embedstack.load(folder, precision="float32").encode(texts, truncate="right")

    np.testing.assert_allclose(made, judge.SentenceTransformer(folder, device="cpu").encode(texts), atol=1e-6)


def test_the_catalogs_word_on_lengths_comes_first(tmp_path: Path) -> None:
    folder = write(MAPPED, tmp_path / "m")
    entry = Entry(
        name="m", repo="org/m", revision="r", licence="MIT", about="", size_mb=1, task="embed", normalize=True
    )  # fmt: skip

    assert not draft(folder, name="m", revision="r").normalize
    assert draft(folder, name="m", revision="r", entry=entry).normalize


@pytest.mark.parametrize(("stated", "limit"), [(64, 64), (None, MOST_TOKENS), (1_000_000, MOST_TOKENS)])
def test_a_model2vec_may_state_where_it_cuts(tmp_path: Path, stated: int | None, limit: int) -> None:
    case = Tiny(
        name="m", config=model2vec(max_length=stated), shapes=PLAIN.shapes, judge=by_model2vec, pooling=None
    )  # fmt: skip

    assert spec_of(case, tmp_path / "m").max_tokens == limit


def ids(case: Tiny, folder: Path, text: str, max_tokens: int | None = None) -> list[int]:
    spec = spec_of(case, folder)
    return TextInput(folder, spec).encode([Text(text)], max_tokens)[0].ids.tolist()


# ------------------------------------------------------------------------------------------------ characters

MEDIAN = 3  # characters of a token of tiny.tokenizer in the middle


def reader(tmp_path: Path) -> TextInput:
    return TextInput(tmp_path / "m", spec_of(PLAIN, tmp_path / "m"))


@pytest.mark.parametrize(("stated", "median"), [(64, MEDIAN), (MOST_TOKENS, MEDIAN), (None, 0), (1_000_000, 0)])
def test_only_a_limit_of_model2vecs_own_counts_characters(tmp_path: Path, stated: int | None, median: int) -> None:
    case = Tiny(name="m", config=model2vec(max_length=stated), shapes=PLAIN.shapes, judge=by_model2vec, pooling=None)

    assert spec_of(case, tmp_path / "m").median_chars == median


def test_the_pieces_of_a_unigram_model_are_tokens_too(tmp_path: Path) -> None:
    tokenizer: dict[str, object] = {
        "model": {"type": "Unigram", "unk_id": 1, "vocab": [["ab", 0.0], ["<unk>", 0.0], ["abcd", -1.0]]}
    }
    tokenizer["added_tokens"] = [{"id": 3, "content": "abcdef"}]
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))

    assert read_vocabulary(tmp_path) == Vocabulary(unknown=1, median_chars=4)


@pytest.mark.parametrize(("end", "kept"), [("right", ["panda"]), ("left", ["a", "sun"])])
def test_a_text_is_cut_by_its_characters_before_it_is_tokenised(tmp_path: Path, end: Truncate, kept: list[str]) -> None:
    """Two tokens are 6 characters, of which `panda` leaves none to `sun`, and `da sun` has three tokens."""
    text_input = reader(tmp_path)
    vocab = tiny.tokenizer(BERT).get_vocab()

    (made,) = text_input.encode([Text("panda sun")], 2, end)

    assert made.ids.tolist() == [vocab.get(word if word in ("panda", "sun") else f"##{word}") for word in kept]
    assert made.dropped == 1 if end == "right" else made.dropped >= 1


def test_a_text_of_so_many_characters_is_whole(tmp_path: Path) -> None:
    (made,) = reader(tmp_path).encode([Text("the  sun ")], 3, "refuse")

    assert (made.cost, made.dropped) == (2, 0)


def test_a_text_of_more_characters_is_refused_where_it_must_not_be_cut(tmp_path: Path) -> None:
    with pytest.raises(TooLong, match="text 0 has 9 characters, and of 2 tokens 'm' reads 6"):
        reader(tmp_path).encode([Text("panda sun")], 2, "refuse")


def test_what_is_left_of_a_text_may_be_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"no token that .* knows"):
        reader(tmp_path).encode([Text(" " * 6 + "panda")], 2)


@pytest.mark.parametrize(("end", "kept"), [("right", [False, True]), ("left", [True, False])])
def test_what_its_characters_cut_off_is_marked(tmp_path: Path, end: Truncate, kept: list[bool]) -> None:
    (made,) = reader(tmp_path).pieces([Text("panda sun")], 2, end)

    assert [piece.is_cut for piece in made] == kept


@pytest.mark.reference
def test_texts_that_their_characters_cut_get_the_vectors_of_model2vec(tmp_path: Path) -> None:
    judge = pytest.importorskip("model2vec", reason="model2vec is not installed")
    folder = str(placed(PLAIN, tmp_path / "m"))
    texts = ["panda sun", "the   " * 9 + "moon", "pandas and a river", "a b c d e f", "the moon"]

    for limit in (2, 5):
        made = embedstack.load(folder, precision="float32").encode(texts, max_tokens=limit)

        said = judge.StaticModel.from_pretrained(folder).encode(texts, max_length=limit)
        np.testing.assert_allclose(made, said, atol=1e-6)


@pytest.mark.parametrize(("normalize", "places"), [(False, (".", "1_Normalize")), (True, (".",))])
def test_two_files_that_differ_on_lengths_are_refused(tmp_path: Path, normalize: bool, places: tuple[str, ...]) -> None:
    case = Tiny(
        name="m", config=model2vec(normalize=normalize), shapes=PLAIN.shapes, judge=by_model2vec, pooling=None,
        files=modules(*places),
    )  # fmt: skip

    with pytest.raises(Unsupported, match=rf"normalize={normalize} in config\.json.* in modules\.json"):
        spec_of(case, tmp_path / "m")


@pytest.mark.parametrize(("places", "is_unit"), [((".", "1_Normalize"), True), ((".",), False)])
@pytest.mark.parametrize("absent", [{}, {"normalize": None}], ids=["not there", "null"])
def test_the_modules_alone_say_whose_vectors_are_of_length_1_where_model2vecs_file_does_not(
    tmp_path: Path, absent: dict[str, object], places: tuple[str, ...], is_unit: bool
) -> None:
    silent = {name: value for name, value in model2vec().items() if name != "normalize"}
    case = Tiny(
        name="m", config={**silent, **absent}, shapes=PLAIN.shapes, judge=by_model2vec, pooling=None,
        files=modules(*places),
    )  # fmt: skip

    assert spec_of(case, tmp_path / "m").normalize is is_unit


# ------------------------------------------------------------------------------------------------ tokens


def test_no_special_tokens_stand_around_a_text(tmp_path: Path) -> None:
    assert len(ids(BELOW, tmp_path / "m", "the panda")) == 2


def test_model2vec_takes_unknown_tokens_out_after_the_cut(tmp_path: Path) -> None:
    whole = ids(PLAIN, tmp_path / "m", "the ☃ panda")
    cut = ids(PLAIN, tmp_path / "m", "the ☃ panda", 2)

    assert (len(whole), cut) == (2, whole[:1])


def test_sentence_transformers_keeps_unknown_tokens(tmp_path: Path) -> None:
    assert UNKNOWN in ids(BELOW, tmp_path / "m", "the ☃ panda")


def test_a_text_of_unknown_tokens_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"no token that .* knows"):
        ids(PLAIN, tmp_path / "m", "☃ ☃")


def test_a_mapping_to_rows_that_are_not_there_is_refused(tmp_path: Path) -> None:
    case = Tiny(
        name="m", config=model2vec(), shapes=MAPPED.shapes, judge=by_model2vec, pooling=None,
        draw={"mapping": np.full(VOCAB, SHARED)},
    )  # fmt: skip

    with pytest.raises(ConfigError, match="names rows outside"):
        embedstack.load(str(write(case, tmp_path / "m")), precision="float32")


def test_a_table_of_whole_numbers_is_refused(tmp_path: Path) -> None:
    case = Tiny(
        name="m", config=model2vec(), shapes={}, judge=by_model2vec, pooling=None,
        draw={"embeddings": np.ones((VOCAB, WIDTH), np.int8)},
    )  # fmt: skip

    with pytest.raises(ConfigError, match="holds int8"):
        embedstack.load(str(write(case, tmp_path / "m")), precision="float32")
