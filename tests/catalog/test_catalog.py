"""A name becomes a repository at a revision, or an error that names the nearest."""

from pathlib import Path

import pytest

from embedstack.catalog.catalog import COMMIT, Wanted, copies, entries, entry_of, parse
from embedstack.errors import ConfigError, UnknownModel
from embedstack.settings import DEFAULT_MODEL

SHA256_DIGITS = 64


def test_the_first_of_the_catalog_is_the_default() -> None:
    assert entries()[0].name == DEFAULT_MODEL


def test_the_catalog_has_the_models_that_are_promised() -> None:
    promised = {"all-MiniLM-L6-v2", "bge-m3", "bge-reranker-v2-m3", "multilingual-e5-small", "bge-small-en-v1.5"}
    later = {"gte-modernbert-base", "Splade_PP_en_v1", "siglip-so400m-patch14-384", "siglip2-base-patch16-224"}

    assert promised | later | {"ms-marco-MiniLM-L6-v2"} <= {entry.name for entry in entries()}


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_every_block_is_pinned_and_complete(entry) -> None:
    assert COMMIT.fullmatch(entry.revision)
    assert entry.licence
    assert entry.about
    assert all(len(digest) == SHA256_DIGITS for digest in entry.sha256.values())


def test_no_spelling_means_two_models() -> None:
    spellings = [spelling.casefold() for entry in entries() for spelling in set(entry.spellings)]

    assert len(spellings) == len(set(spellings))


ALIASES = [
    ("sentence-transformers/all-MiniLM-L6-v2", "all-MiniLM-L6-v2"),
    ("Xenova/all-MiniLM-L6-v2", "all-MiniLM-L6-v2"),
    ("ALL-minilm-l6-V2", "all-MiniLM-L6-v2"),
    ("Xenova/bge-m3", "bge-m3"),
    ("intfloat/multilingual-e5-small", "multilingual-e5-small"),
    ("Xenova/multilingual-e5-small", "multilingual-e5-small"),
    ("cross-encoder/ms-marco-MiniLM-L-6-v2", "ms-marco-MiniLM-L6-v2"),
    ("Xenova/ms-marco-MiniLM-L-6-v2", "ms-marco-MiniLM-L6-v2"),
    ("Xenova/clip-vit-base-patch16", "clip-vit-base-patch16"),
    ("google/siglip-so400m-patch14-384", "siglip-so400m-patch14-384"),
]


@pytest.mark.parametrize(("alias", "name"), ALIASES)
def test_an_alias_means_the_pinned_original(alias: str, name: str) -> None:
    entry = entry_of(name)

    assert entry is not None
    assert parse(alias) == Wanted(name, entry.repo, entry.revision, entry)


@pytest.mark.parametrize("spelt", [str, str.lower, str.upper])
def test_an_onnx_copy_of_a_model_without_a_block_means_the_original_like_any_id(spelt) -> None:
    original = "sentence-transformers/distilbert-base-nli-stsb-mean-tokens"

    assert parse(spelt("Xenova/distilbert-base-nli-stsb-mean-tokens")) == Wanted(original, original, "main")


def test_a_copy_has_no_block_and_neither_has_its_original() -> None:
    assert copies()
    assert [name for pair in copies().items() for name in pair if entry_of(name)] == []


def test_any_id_of_the_hub_is_taken_at_its_main_revision() -> None:
    assert parse("org/model.v1") == Wanted("org/model.v1", "org/model.v1", "main")


def test_a_revision_may_be_given() -> None:
    assert parse("org/model@refs/pr/1") == Wanted("org/model@refs/pr/1", "org/model", "refs/pr/1")


@pytest.mark.parametrize("start", ["bge-m3", "BAAI/bge-m3"])
def test_another_revision_of_a_catalog_model_keeps_its_additions_and_not_its_digests(start: str) -> None:
    wanted = parse(f"{start}@abc")

    assert isinstance(wanted, Wanted)
    assert (wanted.repo, wanted.revision, wanted.entry) == ("BAAI/bge-m3", "abc", entry_of("bge-m3"))
    assert (wanted.is_pinned, wanted.sha256) == (False, {})


def test_a_revision_of_a_copy_is_the_copys_own() -> None:
    assert parse("Xenova/bge-m3@abc") == Wanted("Xenova/bge-m3@abc", "Xenova/bge-m3", "abc")


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [("all-MiniLM-L6", "all-MiniLM-L6-v2"), ("bge_m3", "bge-m3"), ("e5-small", "multilingual-e5-small")],
)
def test_an_unknown_name_names_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(UnknownModel, match=f"did you mean '{nearest}'"):
        parse(wrong)


@pytest.mark.parametrize("wrong", ["", "gpt", "a/b/c", "org/..", "org/model@../x", "org/model@", "org/mo del", "-x/y"])
def test_what_is_no_id_is_refused_with_the_catalogs_names(wrong: str) -> None:
    with pytest.raises(UnknownModel, match="the catalog has: all-MiniLM-L6-v2"):
        parse(wrong)


def test_a_folder_is_known_by_its_first_character(tmp_path: Path) -> None:
    assert parse(str(tmp_path)) == tmp_path.resolve()


def test_a_relative_folder_that_exists_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    assert parse("models/mine") == (tmp_path / "models" / "mine").resolve()


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "~/nowhere-at-all", "../nowhere"])
def test_a_folder_that_is_not_there_is_an_error(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError, match="is not there"):
        parse(name)
