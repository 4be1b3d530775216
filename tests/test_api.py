"""The synchronous face and its async twins: what goes in, what comes back, and what is refused."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import embedstack
from embedstack.api import model_names, open_engine
from embedstack.errors import BadRequest, ConfigError, NotReady, TooLong, UnknownModel, Unsupported
from embedstack.model import Model
from embedstack.settings import Settings
from embedstack.types import Image
from support.tiny import CASES, HIDDEN, write
from support.tiny_clip import DIM, png, write_clip

TEXTS = ["the sun and the moon", "panda", "a river in the city of light"]
QUERY = "what is a panda?"
DOCUMENTS = ["the panda is a bear", "music", "light and water", "a bear of china"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tiny")
    return {name: write(CASES[name], root / name) for name in ("bert-mean", "bert-classifier", "bert-labels")}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(cache_dir=tmp_path_factory.mktemp("cache"), precision="float32", threads=1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDSTACK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def model(folders: dict[str, Path], settings: Settings) -> Iterator[Model]:
    with Model(open_engine(settings, [str(folders["bert-mean"])], say=lambda line: None)) as model:
        yield model


@pytest.fixture(scope="module")
def reranker(folders: dict[str, Path], settings: Settings) -> Iterator[Model]:
    with Model(open_engine(settings, [str(folders["bert-classifier"])], say=lambda line: None)) as model:
        yield model


@pytest.fixture(scope="module")
def classifier(folders: dict[str, Path], settings: Settings) -> Iterator[Model]:
    with Model(open_engine(settings, [str(folders["bert-labels"])], say=lambda line: None)) as model:
        yield model


def close_to(made: np.ndarray, wanted: np.ndarray) -> bool:
    return made.shape == wanted.shape and bool(np.abs(made - wanted).max() < 1e-6)


# ------------------------------------------------------------------------------------------------ load


def test_load_gives_a_model_that_encodes(folders: dict[str, Path]) -> None:
    with embedstack.load(str(folders["bert-mean"]), precision="float32", threads=1) as model:
        assert model.encode(TEXTS).dense.shape == (3, HIDDEN)


def test_load_says_nothing(folders: dict[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    embedstack.load(str(folders["bert-mean"])).close()

    assert capfd.readouterr() == ("", "")


def test_load_reads_the_settings(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDSTACK_PRECISION", "float32")
    monkeypatch.setenv("EMBEDSTACK_MAX_TEXT_CHARS", "5")

    with embedstack.load(str(folders["bert-mean"])) as model:
        assert model.encode("panda").fingerprint == model.spec.fingerprint("float32")
        with pytest.raises(TooLong):
            model.encode("pandas")


def test_an_argument_beats_the_settings(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDSTACK_RUNTIME", "nothing")

    with embedstack.load(str(folders["bert-mean"]), runtime="numpy") as model:
        assert model.encode("panda").fingerprint == model.spec.fingerprint("float64")


def test_load_takes_one_name_also_with_a_comma(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = write(CASES["bert-mean"], tmp_path / "one,two")

    with embedstack.load(str(folder), runtime="numpy") as model:
        assert model.spec.name == "one,two"


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(UnknownModel, match="did you mean 'all-MiniLM-L6-v2'"):
        embedstack.load("all-MiniLM-L6")


def test_a_model_that_is_not_here_is_not_fetched_offline() -> None:
    with pytest.raises(ConfigError, match="bge-m3"):
        embedstack.load("bge-m3", offline=True)


@pytest.mark.parametrize(("wish", "reason"), [({"runtime": "tpu"}, "runtime 'tpu'"), ({"threads": -1}, "--threads")])
def test_a_wrong_wish_is_a_configuration_error(folders: dict[str, Path], wish: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        embedstack.load(str(folders["bert-mean"]), **wish)


def test_a_model_of_images_encodes_them_beside_texts(tmp_path: Path) -> None:
    with embedstack.load(str(write_clip(tmp_path / "clip")), precision="float32", threads=1) as model:
        made = model.encode([Image(png(31)), "a photo of a cat", Image(png(40))])
        alone = model.encode(Image(png(40)))

    assert made.dense.shape == (3, DIM)
    assert np.allclose(made.dense[2], alone.dense[0], atol=1e-6)


def test_the_limits_of_the_settings_are_those_of_pictures(tmp_path: Path, settings: Settings) -> None:
    folder = str(write_clip(tmp_path / "clip"))
    small = replace(settings, max_image_pixels=1000)
    with Model(open_engine(small, [folder], say=lambda line: None)) as model, pytest.raises(TooLong, match="1000"):
        model.encode(Image(png(40)))


def test_parts_of_one_text_are_read_together(model: Model) -> None:
    late, plain = (model.encode(["the sun ", "and the moon"], late_chunking=late) for late in (True, False))

    assert [span.item for span in late.spans] == [0, 1]
    assert not close_to(late.dense, plain.dense)


# ------------------------------------------------------------------------------------------------ encode


def test_one_text_gives_one_row(model: Model) -> None:
    made = model.encode(TEXTS[0])

    assert (made.dense.shape, made.dense.dtype, made.usage.items) == ((1, HIDDEN), np.float32, 1)


def test_rows_come_in_the_order_of_the_texts(model: Model) -> None:
    together = model.encode(TEXTS).dense

    assert all(close_to(together[n : n + 1], model.encode(text).dense) for n, text in enumerate(TEXTS))
    assert not close_to(together[0], together[1])


def test_rows_have_length_1_unless_asked_otherwise(model: Model) -> None:
    unit, raw = model.encode(TEXTS).dense, model.encode(TEXTS, normalize=False).dense

    assert np.allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    assert not np.allclose(np.linalg.norm(raw, axis=1), 1, atol=0.1)


def test_no_texts_give_a_matrix_of_no_rows(model: Model) -> None:
    made = model.encode([])

    assert made.dense.shape == (0, HIDDEN)
    assert (made.usage.items, made.usage.tokens) == (0, 0)
    assert made.fingerprint == model.encode("panda").fingerprint


def test_texts_may_come_from_a_generator(model: Model) -> None:
    assert close_to(model.encode(text for text in TEXTS).dense, model.encode(TEXTS).dense)  # type: ignore[arg-type]


def test_numpy_reads_the_result_as_a_matrix(model: Model) -> None:
    assert np.asarray(model.encode(TEXTS)).shape == (3, HIDDEN)


def test_the_result_carries_its_identity_and_its_cost(model: Model) -> None:
    made = model.encode(["the sun", "moon " * 60])

    assert made.spec == model.spec
    assert made.spec.name == "bert-mean"
    assert made.fingerprint == model.spec.fingerprint("float32")
    assert (made.usage.items, made.usage.tokens, made.usage.truncated, made.usage.dropped) == (2, 44, 1, 22)


def test_a_role_puts_its_prompt_in_front(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = write(CASES["bert-mean"], tmp_path / "prompted")
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "what is "}}')

    with embedstack.load(str(folder), precision="float32", threads=1) as model:
        assert close_to(model.encode("panda", role="query").dense, model.encode("what is panda").dense)
        assert not close_to(model.encode("panda", role="query").dense, model.encode("panda").dense)


def test_an_unknown_role_is_refused(model: Model) -> None:
    with pytest.raises(BadRequest, match="role 'title' is unknown to 'bert-mean'; send one of: document, none, query"):
        model.encode(TEXTS, role="title")


def test_a_width_that_the_model_was_not_trained_for_is_refused(model: Model) -> None:
    with pytest.raises(Unsupported, match=f"not trained for 8 dimensions; allowed: {HIDDEN}"):
        model.encode(TEXTS, dim=8)


def test_the_models_own_width_may_be_named(model: Model) -> None:
    assert model.encode(TEXTS, dim=HIDDEN).fingerprint == model.encode(TEXTS).fingerprint


@pytest.mark.parametrize("outputs", ["sparse", ("dense", "multi")])
def test_an_output_that_the_model_lacks_is_refused(model: Model, outputs: object) -> None:
    with pytest.raises(Unsupported, match=r"has no (sparse|multi) output; it gives: dense"):
        model.encode(TEXTS, outputs=outputs)  # type: ignore[arg-type]


def test_outputs_may_be_one_word_or_several(model: Model) -> None:
    assert close_to(model.encode(TEXTS, outputs="dense").dense, model.encode(TEXTS, outputs=["dense"]).dense)


def test_the_limit_and_the_end_that_is_cut_may_be_named(model: Model) -> None:
    right, left = (model.encode("sun moon star", max_tokens=3, truncate=end).dense for end in ("right", "left"))

    assert close_to(right, model.encode("sun").dense)
    assert close_to(left, model.encode("star").dense)


def test_a_text_over_the_limit_is_refused_when_asked(model: Model) -> None:
    with pytest.raises(TooLong, match="text 1 has 62 tokens"):
        model.encode(["sun", "moon " * 60], truncate="refuse")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([""], "text 0 is empty"),
        (["sun", 5], "text 1 is int, not a string"),
        (["sun", None], "text 1 is NoneType, not a string"),
        (5, "text 0 is int, not a string"),
        (b"sun", "text 0 is int, not a string"),
        (["\ud800"], "text 0 holds a lone surrogate"),
    ],
)
def test_a_bad_text_is_refused_by_its_place(model: Model, texts: object, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        model.encode(texts)  # type: ignore[arg-type]


def test_a_request_that_is_refused_does_not_hurt_the_next(model: Model) -> None:
    with pytest.raises(BadRequest):
        model.encode([""])

    assert model.encode("sun\x00").dense.shape == (1, HIDDEN)


# ------------------------------------------------------------------------------------------------ score


def test_scores_come_in_the_order_of_the_documents(reranker: Model) -> None:
    together = reranker.score(QUERY, DOCUMENTS)

    assert close_to(together.scores, np.array([reranker.score(QUERY, one).scores[0] for one in DOCUMENTS]))
    assert together.order == sorted(range(4), key=lambda n: -together.scores[n])
    assert len(set(together.scores.tolist())) == 4


def test_a_score_is_the_sigmoid_of_its_logit(reranker: Model) -> None:
    raw = reranker.score(QUERY, DOCUMENTS, raw_scores=True).scores.astype(np.float64)

    assert close_to(reranker.score(QUERY, DOCUMENTS).scores, 1 / (1 + np.exp(-raw)))
    assert np.abs(raw).max() > 0.01


def test_no_documents_give_no_scores(reranker: Model) -> None:
    assert reranker.score(QUERY, []).scores.shape == (0,)


def test_scores_carry_their_identity_and_their_cost(reranker: Model) -> None:
    made = reranker.score("sun", ["moon", "star tree"])

    assert (made.spec, made.fingerprint) == (reranker.spec, reranker.spec.fingerprint("float32"))
    assert (made.usage.items, made.usage.tokens) == (2, 11)


def test_a_pair_is_cut_or_refused_as_asked(reranker: Model) -> None:
    cut = reranker.score("sun", ["moon star tree"], max_tokens=5)

    assert (cut.usage.truncated, cut.usage.dropped) == (1, 2)
    assert close_to(cut.scores, reranker.score("sun", ["moon"]).scores)
    with pytest.raises(TooLong, match="document 0 with its query has 7 tokens"):
        reranker.score("sun", ["moon star tree"], max_tokens=5, truncate="refuse")


@pytest.mark.parametrize(
    ("query", "documents", "message"),
    [
        (5, ["sun"], "the query is int"),
        ("", ["sun", ""], "document 1 and the query are both empty"),
        ("sun", ["moon", 5], "document 1 is int"),
    ],
)
def test_a_bad_pair_is_refused_by_its_place(reranker: Model, query: str, documents: list[str], message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        reranker.score(query, documents)


def test_an_embedder_does_not_score_and_says_what_would(model: Model) -> None:
    with pytest.raises(Unsupported) as caught:
        model.score(QUERY, DOCUMENTS)

    assert str(caught.value) == (
        "'bert-mean' is made for embedding and cannot score; take another model, for example 'ms-marco-MiniLM-L6-v2'"
    )


def test_a_reranker_does_not_encode_and_says_what_would(reranker: Model) -> None:
    with pytest.raises(Unsupported, match=r"made for reranking and cannot encode; .* example 'all-MiniLM-L6-v2'"):
        reranker.encode(TEXTS)


# ------------------------------------------------------------------------------------------------ classify, tokens


def test_a_classifier_gives_the_scores_of_its_labels(classifier: Model) -> None:
    made, raw = classifier.classify(TEXTS), classifier.classify(TEXTS, raw_scores=True)

    assert made.spec.label_names == ("calm", "glad", "sad")
    assert made.scores.shape == (3, 3)
    assert made.scores.argmax(axis=1).tolist() == raw.scores.argmax(axis=1).tolist()
    assert close_to(made.scores[1:2], classifier.classify("panda").scores)


def test_only_a_classifier_classifies(model: Model, classifier: Model) -> None:
    with pytest.raises(Unsupported, match=r"made for embedding and cannot classify; take another model$"):
        model.classify(TEXTS)
    with pytest.raises(Unsupported, match="made for classifying and cannot encode"):
        classifier.encode(TEXTS)


def test_every_model_shows_its_tokens(model: Model, classifier: Model) -> None:
    shown = model.tokens("sun moon star", max_tokens=4)

    assert [(piece.text, piece.is_cut) for piece in shown.items[0]] == [
        ("[CLS]", False), ("sun", False), ("moon", False), ("star", True), ("[SEP]", False),
    ]  # fmt: skip
    assert [len(pieces) for pieces in classifier.tokens(TEXTS).items] == [7, 3, 9]


# ------------------------------------------------------------------------------------------------ loops and threads


def test_the_async_twins_give_the_same(model: Model, reranker: Model) -> None:
    async def ask() -> tuple[np.ndarray, np.ndarray]:
        encoded, scored = await asyncio.gather(model.encode_async(TEXTS), reranker.score_async(QUERY, DOCUMENTS))
        assert encoded.dense is not None
        return encoded.dense, scored.scores

    dense, scores = asyncio.run(ask())

    assert close_to(dense, model.encode(TEXTS).dense)
    assert close_to(scores, reranker.score(QUERY, DOCUMENTS).scores)


def test_a_script_with_a_running_loop_may_call_the_plain_methods(model: Model) -> None:
    async def notebook() -> np.ndarray:
        return model.encode(TEXTS).dense

    assert close_to(asyncio.run(notebook()), model.encode(TEXTS).dense)


def test_one_model_serves_loops_that_come_and_go(model: Model) -> None:
    first, second = (asyncio.run(model.encode_async(TEXTS)).dense for _ in range(2))

    assert close_to(first, second)


def test_one_model_serves_several_threads(model: Model) -> None:
    wanted = model.encode(TEXTS).dense
    made: dict[int, np.ndarray] = {}

    def ask(number: int) -> None:
        made[number] = model.encode(TEXTS[number % 3]).dense

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(close_to(made[n][0], wanted[n % 3]) for n in range(12))


# ------------------------------------------------------------------------------------------------ the end


def test_close_may_be_called_twice(folders: dict[str, Path]) -> None:
    model = embedstack.load(str(folders["bert-mean"]))
    model.encode("sun")

    model.close()
    model.close()


def test_a_closed_model_says_so(folders: dict[str, Path]) -> None:
    with embedstack.load(str(folders["bert-mean"])) as model:
        pass

    with pytest.raises(NotReady, match="'bert-mean' is closed; load it again"):
        model.encode([])


def test_the_context_ends_the_threads(folders: dict[str, Path]) -> None:
    before = lanes()
    with embedstack.load(str(folders["bert-mean"])):
        during = lanes()

    assert (during - before, lanes() - before) == (1, 0)


def lanes() -> int:
    return sum(thread.name.startswith("embedstack-lane") for thread in threading.enumerate())


# ------------------------------------------------------------------------------------------------ several models


def test_an_engine_has_every_model_of_the_settings_once(folders: dict[str, Path], settings: Settings) -> None:
    embedder, reranker = str(folders["bert-mean"]), str(folders["bert-classifier"])
    said: list[str] = []

    engine = open_engine(replace(settings, models=f"{embedder}, {reranker},{embedder}/."), say=said.append)

    assert [spec.name for spec in engine.models()] == ["bert-mean", "bert-classifier"]
    assert [line.partition(":")[0] for line in said] == ["bert-mean", "bert-classifier"]
    assert "float32, as asked" in said[0]
    assert engine.find(f"{embedder}/.", "embed").spec.name == "bert-mean"
    engine.close()


def test_two_folders_of_one_name_are_refused(folders: dict[str, Path], settings: Settings, tmp_path: Path) -> None:
    other = write(CASES["bert-cls"], tmp_path / "bert-mean")

    with pytest.raises(ConfigError, match="are both called 'bert-mean'; rename one of the folders"):
        open_engine(settings, [str(folders["bert-mean"]), str(other)])


def test_a_folder_called_like_a_model_of_the_catalog_does_not_answer_to_its_other_names(
    settings: Settings, tmp_path: Path
) -> None:
    engine = open_engine(settings, [str(write(CASES["bert-mean"], tmp_path / "bge-m3"))], say=lambda line: None)

    assert engine.find("bge-m3", "embed").spec.revision == "local"
    with pytest.raises(UnknownModel):
        engine.find("BAAI/bge-m3", "embed")
    engine.close()


@pytest.mark.parametrize("models", ["", " , "])
def test_settings_without_a_model_are_refused(models: str) -> None:
    with pytest.raises(ConfigError, match="names no model; example: all-MiniLM-L6-v2"):
        model_names(Settings(models=models))


# ------------------------------------------------------------------------------------------------ the package


@pytest.mark.slow
@pytest.mark.parametrize("module", ["numpy", "openvino", "tokenizers", "click"])
def test_importing_the_package_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, embedstack; sys.exit({module!r} in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_package_offers_what_it_says() -> None:
    assert all(getattr(embedstack, name) is not None for name in embedstack.__all__)
    with pytest.raises(AttributeError, match="no attribute 'encode'"):
        embedstack.encode  # noqa: B018


@pytest.mark.weights
def test_the_default_model_gives_384_numbers_of_length_1(minilm_folder: Path) -> None:
    with embedstack.load(str(minilm_folder), precision="float32") as model:
        made = model.encode(["A man is eating food.", "Somebody eats a meal.", "The stock market fell."])

    same, other = made.dense[0] @ made.dense[1], made.dense[0] @ made.dense[2]
    assert made.dense.shape == (3, 384)
    assert same > 0.6 > 0.2 > other


SCRIPT = "import embedstack, sys; embedstack.load(sys.argv[1]).encode('panda'); print('there', flush=True)"


@pytest.mark.slow
def test_a_script_that_closes_nothing_ends_cleanly(tmp_path: Path) -> None:
    """A thread that frees a graph while the interpreter ends aborts the process: without a join, 5 of 12 runs did."""
    folder = write(CASES["bert-mean"], tmp_path / "m")
    environment = {**os.environ, "EMBEDSTACK_CACHE_DIR": str(tmp_path / "cache")}

    def ended(_: int) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(folder)], capture_output=True, text=True, check=False, env=environment
        )
        return done.returncode, done.stderr

    with ThreadPoolExecutor(2) as at_once:
        assert list(at_once.map(ended, range(8))) == [(0, "")] * 8


STOPPED = """
import signal, sys, embedstack
first, second = (embedstack.load(sys.argv[1], runtime="openvino") for _ in range(2))
first.close(), second.close()
del first, second
try:
    signal.raise_signal(signal.SIGINT)  # in this thread, whose stack it is about
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_script_whose_models_are_closed_can_still_be_interrupted(tmp_path: Path) -> None:
    """Where each model had an OpenVINO core of its own, the signal found a stack that was gone: SIGSEGV, always."""
    folder = write(CASES["bert-mean"], tmp_path / "m")
    environment = {**os.environ, "EMBEDSTACK_CACHE_DIR": str(tmp_path / "cache")}

    done = subprocess.run(
        [sys.executable, "-c", STOPPED, str(folder)], capture_output=True, text=True, check=False, env=environment
    )

    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
