"""Prompts that only a model's card or name tells: the makers' own words count, and what others say of them does not."""

from pathlib import Path

import pytest
from model_folders import Files, as_json, minilm, write

from embedstack.catalog.catalog import entry_of
from embedstack.catalog.digests import Digests
from embedstack.catalog.spec import read_spec
from embedstack.models.nomic_bert import PROMPTS as NOMIC
from embedstack.modelspec import ModelSpec

E5 = {"query": "query: ", "document": "passage: "}
SEARCH = {"query": "search_query: ", "document": "search_document: "}
FRONT = "---\nlicense: mit\nmodel-index:\n" + "- results of a benchmark\n" * 8000 + "---\n"

CARDS = {
    # the words of the cards of intfloat/e5-base-v2 and multilingual-e5-large, nomic-ai/nomic-embed-text-v1.5 and
    # nomic-ai/modernbert-embed-base that say it
    "e5, its example": ('# Each input text should start with "query: " or "passage: ", even for others.\n', E5),
    "e5, its questions": ('**1. Do I need to add the prefix "query: " and "passage: " to input texts?**\nYes\n', E5),
    "nomic": (
        "**Important**: the text prompt *must* include a *task instruction prefix*, instructing the model. You embed "
        "documents as `search_document: <text here>` and queries as `search_query: <text here>`.\n",
        NOMIC,
    ),
    "modernbert": (
        "Reminder, this model is trained similarly to Nomic Embed and **REQUIRES** prefixes to be added to the input."
        "\n\nMost use cases, adding `search_query: ` to the query and `search_document: ` to the documents will do.\n",
        SEARCH,
    ),
}
OTHERS = {
    "none": "",
    "another's prefixes": 'Unlike E5, it needs no "query: " or "passage: " in front.\n',
    "a sentence without its prefixes": "As of others, the text prompt must include a task instruction prefix.\n",
    "prefixes without a word on them": "model.encode(['search_query: what', 'search_document: that'])\n",
    "without its blank": "Each input text should start with `query:` or `passage:`.\n",
}
NAMES = {
    "multilingual-e5-large": E5,
    "e5-small": E5,
    "e5-base-v2": E5,
    "E5-Base-v2": E5,
    "nomic-embed-text-v1": NOMIC,
    "nomic-embed-text-v1.5": NOMIC,
    "modernbert-embed-base": SEARCH,
}
OTHER_NAMES = ["multilingual-e5-large-instruct", "e5", "my-e5-base", "e5-base-v2-onnx", "nomic-embed-text-v2-moe"]


def files(card: str = "", prompts: object = None, **config: object) -> Files:
    told = {} if prompts is None else {"prompts": prompts}
    return {
        **minilm(**config),
        "README.md": f"{FRONT}{card}".encode(),
        "config_sentence_transformers.json": as_json(told),
    }


def read(tmp_path: Path, given: Files, name: str = "org/model", catalog: str = "") -> ModelSpec:
    folder = write(tmp_path / "model", given)
    return read_spec(folder, name=name, revision="r", digests=Digests(tmp_path / "cache"), entry=entry_of(catalog))


@pytest.mark.parametrize(("card", "prompts"), CARDS.values(), ids=CARDS)
@pytest.mark.parametrize("stated", [None, {}, {"query": None}, {"query": "", "document": ""}], ids=str)
def test_a_card_that_says_so_gives_the_prompts(
    tmp_path: Path, card: str, prompts: dict[str, str], stated: object
) -> None:
    spec = read(tmp_path, files(card, stated))

    assert (spec.prompts, spec.needs_prompt) == (prompts, True)


@pytest.mark.parametrize("card", OTHERS.values(), ids=OTHERS)
def test_a_card_that_only_mentions_them_gives_none(tmp_path: Path, card: str) -> None:
    spec = read(tmp_path, files(card))

    assert (spec.prompts, spec.needs_prompt) == ({}, False)


def test_what_stands_before_the_text_of_a_card_is_no_text_of_it(tmp_path: Path) -> None:
    told = {**minilm(), "README.md": f"---\nabout: {CARDS['e5, its example'][0]}---\n".encode()}

    assert read(tmp_path, told).prompts == {}


@pytest.mark.parametrize(("name", "prompts"), NAMES.items())
@pytest.mark.parametrize("spelling", ["intfloat/{}", "{}", "org/{}@main"])
def test_a_name_gives_the_prompts_whatever_its_card_leaves_out(
    tmp_path: Path, name: str, prompts: dict[str, str], spelling: str
) -> None:
    spec = read(tmp_path, files("A copy.\n"), spelling.format(name))

    assert (spec.prompts, spec.needs_prompt) == (prompts, True)


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_a_name_that_only_holds_another_gives_none(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, files(), f"intfloat/{name}").prompts == {}


@pytest.mark.parametrize("made_of", ["intfloat/multilingual-e5-base", "/home/me/models/e5-base-v2/"])
def test_what_a_model_was_made_of_counts_where_there_is_no_card(tmp_path: Path, made_of: str) -> None:
    assert read(tmp_path / "1", files(_name_or_path=made_of)).prompts == E5
    assert read(tmp_path / "2", files("Trained anew, without any.\n", _name_or_path=made_of)).prompts == {}


def test_words_that_the_files_state_for_a_role_come_first(tmp_path: Path) -> None:
    spec = read(tmp_path, files(CARDS["e5, its example"][0], {"query": "find: ", "document": ""}))

    assert (spec.prompts, spec.needs_prompt) == ({"query": "find: "}, False)


def test_words_for_something_else_leave_the_roles_to_the_card(tmp_path: Path) -> None:
    stated = {"query": "", "document": "", "twins": "find: "}

    spec = read(tmp_path, files(CARDS["e5, its example"][0], stated))

    assert (spec.prompts, spec.needs_prompt) == ({**E5, "twins": "find: "}, True)


EMPTY = {"query": "", "document": ""}  # what sentence-transformers 5 writes for any model


def test_empty_prompts_say_nothing_where_a_name_asks_for_some(tmp_path: Path) -> None:
    spec = read(tmp_path, files("A copy.\n", EMPTY), "intfloat/e5-base-v2")

    assert (spec.prompts, spec.needs_prompt) == (E5, True)


@pytest.mark.parametrize("card", OTHERS.values(), ids=OTHERS)
def test_empty_prompts_stay_empty_where_nothing_asks_for_any(tmp_path: Path, card: str) -> None:
    spec = read(tmp_path, files(card, EMPTY))

    assert (spec.prompts, spec.needs_prompt) == ({}, False)


def test_the_files_may_state_what_the_card_asks_for(tmp_path: Path) -> None:
    spec = read(tmp_path, files(CARDS["e5, its example"][0], E5))

    assert (spec.prompts, spec.needs_prompt) == (E5, True)


def test_the_catalogs_word_comes_before_a_card(tmp_path: Path) -> None:
    spec = read(tmp_path, files(CARDS["e5, its example"][0]), catalog="all-MiniLM-L6-v2")

    assert (spec.prompts, spec.needs_prompt) == ({}, False)


def test_the_catalogs_e5_as_a_folder_is_of_the_same_space(tmp_path: Path) -> None:
    told = files(CARDS["e5, its example"][0])

    named = read(tmp_path, told, "multilingual-e5-small", "multilingual-e5-small")

    assert read(tmp_path, told, "some-folder").space == named.space
