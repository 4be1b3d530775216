"""The engine's other answers: labels, tokens and texts of tokens; and what it refuses before anything is computed."""

import asyncio
import time
from collections.abc import Iterator

import numpy as np
import pytest

from embedstack.catalog import find
from embedstack.engine import reading
from embedstack.engine.engine import Engine
from embedstack.engine.loaded import Loaded
from embedstack.errors import BadRequest, DeadlineExceeded, UnknownModel, Unsupported
from embedstack.inputs.text import TextInput
from embedstack.models.weights import open_weights
from embedstack.runtimes import Options, open_runtime
from embedstack.types import Classified, Classify, Decode, Encode, Image, Link, Pair, Score, Text, Tokenize, Tokens
from embedstack.watching import ShowsLoad
from support.tiny import CASES, write

NAMES = ("bert-mean", "bert-classifier", "bert-labels")
TEXTS = (Text("the panda is a bear"), Text("music"), Pair("what is a panda", "a bear of china"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Loaded]:
    root = tmp_path_factory.mktemp("tiny")
    made = {}
    for name in NAMES:
        folder = write(CASES[name], root / name)
        spec = find(str(folder), cache_dir=root / "cache").spec
        runtime = open_runtime("numpy")(spec, open_weights(folder), Options())
        made[name] = Loaded(spec, TextInput(folder, spec), runtime)
    return made


@pytest.fixture
def engine(models: dict[str, Loaded]) -> Iterator[Engine]:
    yield from opened([models[name] for name in NAMES])


def opened(models: list[Loaded]) -> Iterator[Engine]:
    """The runtimes are shared and stay open."""
    made = Engine(models, cache_bytes=100_000)
    yield made
    for lane in made._lanes:
        lane.end()


def labelled(engine: Engine, *items: Text | Pair, **change: object) -> Classified:
    request = Classify(**{"model": "", "items": items or TEXTS, **change})  # type: ignore[arg-type]
    return asyncio.run(engine.classify(request))


# ------------------------------------------------------------------------------------------------ labels


def test_every_item_has_a_score_for_each_label(engine: Engine) -> None:
    made = labelled(engine)

    assert (made.spec.name, made.spec.label_names) == ("bert-labels", ("calm", "glad", "sad"))
    assert made.scores.shape == (3, 3)
    assert made.scores.sum(axis=1) == pytest.approx([1, 1, 1])
    assert made.usage.items == 3


def test_rows_are_in_input_order(engine: Engine) -> None:
    together = labelled(engine).scores

    assert together == pytest.approx(np.concatenate([labelled(engine, item).scores for item in TEXTS]))


def test_raw_scores_are_what_softmax_was_made_of(engine: Engine) -> None:
    raw = np.exp(labelled(engine, raw_scores=True).scores)

    assert labelled(engine).scores == pytest.approx(raw / raw.sum(axis=1, keepdims=True), abs=1e-6)


def test_no_items_have_no_labels(engine: Engine) -> None:
    assert labelled(engine, items=()).scores.shape == (0, 3)


def test_a_reranker_is_a_classifier_of_one_label(engine: Engine) -> None:
    pair = Pair("sun", "moon")

    made = labelled(engine, pair, model="bert-classifier")

    scored = asyncio.run(engine.score(Score(model="bert-classifier", items=(pair,))))
    assert made.scores[:, 0].tolist() == scored.scores.tolist()
    assert (made.spec.label_names, made.fingerprint) == (("LABEL_0",), scored.fingerprint)


def test_a_documents_own_limit_cuts_it_and_stands_in_the_fingerprint(engine: Engine) -> None:
    long, short = Pair("sun star", "moon tree sun"), Pair("sun star", "moon")

    cut = asyncio.run(engine.score(Score(model="bert-classifier", items=(long,), document_tokens=1)))
    whole = asyncio.run(engine.score(Score(model="bert-classifier", items=(short,))))

    assert (cut.scores.tolist(), cut.usage.dropped) == (whole.scores.tolist(), 2)
    assert cut.fingerprint != whole.fingerprint


def test_a_reranker_classifies_where_there_is_no_classifier(models: dict[str, Loaded]) -> None:
    (engine,) = opened([models["bert-mean"], models["bert-classifier"]])

    assert engine.find("", "classify").spec.name == "bert-classifier"


@pytest.mark.parametrize(("name", "task"), [("bert-mean", "classify"), ("bert-labels", "rerank")])
def test_a_model_of_another_task_is_refused(engine: Engine, name: str, task: str) -> None:
    with pytest.raises(Unsupported, match=f"not for {task}"):
        engine.find(name, task)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ tokens


def shown(engine: Engine, *items: Text | Pair, **change: object):
    return asyncio.run(engine.tokens(Tokenize(**{"model": "", "items": items, **change})))  # type: ignore[arg-type]


def test_any_model_shows_its_tokens(engine: Engine) -> None:
    made = [shown(engine, Text("panda"), model=name) for name in ("", *NAMES)]

    assert [one.spec.name for one in made] == ["bert-mean", *NAMES]
    assert all([piece.text for piece in one.items[0]] == ["[CLS]", "panda", "[SEP]"] for one in made)


def test_usage_counts_what_a_request_would(engine: Engine) -> None:
    texts = (Text("sun moon star tree"), Text("sun"))

    made = shown(engine, *texts, max_tokens=4, special_tokens=False)

    encoded = asyncio.run(engine.encode(Encode(model="", items=texts, max_tokens=4)))
    assert (made.usage.items, made.usage.tokens) == (encoded.usage.items, encoded.usage.tokens)
    assert (made.usage.dropped, made.usage.truncated) == (encoded.usage.dropped, encoded.usage.truncated) == (2, 1)


def test_special_tokens_are_left_out_where_not_wanted(engine: Engine) -> None:
    (made,) = shown(engine, Text("sun moon"), special_tokens=False).items

    assert [piece.text for piece in made] == ["sun", "moon"]


def test_tokens_of_an_unknown_model_are_refused(engine: Engine) -> None:
    with pytest.raises(UnknownModel, match="'bert-mena' is not served; did you mean 'bert-mean'"):
        shown(engine, Text("sun"), model="bert-mena")


@pytest.mark.parametrize("many", [0, 3])
def test_an_item_is_called_by_its_place_in_the_request(
    engine: Engine, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "GROUP_CHARS", 4)

    with pytest.raises(BadRequest, match=f"text {many} is empty"):
        shown(engine, *[Text("moon")] * many, Text(""))


def test_a_deadline_ends_the_tokenising_of_many(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "INLINE_CHARS", 0)
    monkeypatch.setattr(reading, "GROUP_CHARS", 4)

    with pytest.raises(DeadlineExceeded):
        shown(engine, Text("moon"), Text("moon"), deadline=time.monotonic() - 1)


def test_the_texts_of_tokens_come_back(engine: Engine) -> None:
    (pieces,) = shown(engine, Text("the panda")).items
    ids = Tokens(tuple(piece.id for piece in pieces))

    made = asyncio.run(engine.decode(Decode(model="", items=(ids, ids))))
    whole = asyncio.run(engine.decode(Decode(model="", items=(ids,), skip_special_tokens=False)))

    assert made.texts == ("the panda", "the panda")
    assert whole.texts == ("[CLS] the panda [SEP]",)
    assert (made.usage.items, made.usage.tokens) == (2, 8)


# ------------------------------------------------------------------------------------------------ refusals, load


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"items": (Text("sun"), Image(b"GIF89a"))}, "item 1 is an image"),
        ({"items": (Link("https://example.org/a.png"),)}, "item 0 is a link to an image"),
        ({"items": (Tokens((7,)),), "late_chunking": True}, "item 0 is no text"),
    ],
)
def test_what_it_cannot_do_is_refused_before_anything_is_computed(
    engine: Engine, change: dict[str, object], message: str
) -> None:
    with pytest.raises(Unsupported, match=message):
        asyncio.run(engine.encode(Encode(**{"model": "", **change})))  # type: ignore[arg-type]

    assert engine.load().cache_entries == 0


def test_it_says_how_busy_it_is(engine: Engine) -> None:
    for _ in range(2):
        asyncio.run(engine.encode(Encode(model="", items=(Text("sun"), Text("moon")))))

    load = engine.load()

    assert isinstance(engine, ShowsLoad)
    assert (load.waiting_tokens, load.batch_tokens) == (0, 1024)
    assert (load.cache_hits, load.cache_misses, load.cache_entries) == (2, 2, 2)
    assert load.cache_bytes > 0
    assert dict(load.precisions) == dict.fromkeys(NAMES, "float64")


def test_usage_says_how_long_tokenising_took(engine: Engine) -> None:
    assert asyncio.run(engine.encode(Encode(model="", items=(Text("sun"),)))).usage.tokenize_s > 0
