"""Which models are tried where none is named, and which are refused before they are fetched."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from embedstack.catalog.catalog import entries
from embedstack.catalog.store import MANIFEST, Manifest
from embedstack.errors import Mismatch, Unsupported
from embedstack.identifying.contenders import Contenders, contenders, widths_of
from embedstack.origin import Identity, Origin
from embedstack.settings import Settings
from support.by_hand import By, Hand
from support.kept_vectors import found, lines, quiet

COMMIT = "0123456789" * 4


def pulled(folder: Path, cache: Path) -> None:
    """Into a cache, as `models pull` leaves a model of that name."""
    place = cache / f"models/org--{folder.name}/{COMMIT}"
    shutil.copytree(folder, place)
    files = [path for path in place.rglob("*") if path.is_file()]
    digests = {path.relative_to(place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    manifest = Manifest(repo=f"org/{folder.name}", revision=COMMIT, source="the Hub", files=digests)
    (place / MANIFEST).write_bytes(msgspec.json.encode(manifest))


@pytest.fixture(scope="module")
def cached(first: Path, second: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    cache = tmp_path_factory.mktemp("cache")
    for folder in (first, second):
        pulled(folder, cache)
    return replace(settings, cache_dir=cache, offline=True)


def chosen(dim: int, settings: Settings, *names: str, signed: Origin | None = None) -> Contenders:
    return contenders(names, dim, signed, settings, quiet)


def names(made: Contenders) -> list[str]:
    return [one.spec.name for one in made.here]


@pytest.mark.slow
def test_a_model_of_the_cache_is_named_where_nobody_named_one(
    second: Path, words: list[str], cached: Settings, tmp_path: Path
) -> None:
    place = lines(tmp_path, words, Hand(second).vectors(words, By()))

    made = found(place, cached)

    assert (made.finding.verdict, made.finding.best.recipe.spec.name) == ("named", "org/second")
    assert made.tried == ("org/first", "org/second")


def test_models_of_the_cache_are_tried_if_their_width_fits(cached: Settings) -> None:
    assert [names(chosen(dim, cached)) for dim in (32, 31)] == [["org/first", "org/second"], []]


def test_the_model_that_is_signed_is_tried_first(cached: Settings) -> None:
    identity = Identity(model="org/second", revision=COMMIT, space="5" * 32, fingerprint="f", dim=32, max_tokens=256)

    assert names(chosen(32, cached, signed=Origin(identity=identity))) == ["org/second", "org/first"]


def test_a_broken_model_is_told_and_left_out(first: Path, settings: Settings, tmp_path: Path) -> None:
    pulled(first, tmp_path)
    weights = next(tmp_path.glob("models/*/*/model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])

    made = chosen(32, replace(settings, cache_dir=tmp_path))

    assert (names(made), [one.name for one in made.absent]) == ([], ["org/first"])
    assert "model.safetensors" in made.absent[0].why


@pytest.mark.parametrize(
    ("dim", "there"), [(768, "nomic-embed-text-v1.5"), (256, "nomic-embed-text-v1.5"), (1024, "bge-m3")]
)
def test_models_of_the_catalog_that_are_not_here_are_named_by_their_widths(
    dim: int, there: str, settings: Settings, tmp_path: Path
) -> None:
    absent = {one.name: one.why for one in chosen(dim, replace(settings, cache_dir=tmp_path)).absent}

    assert absent[there].startswith(f"{dim} numbers, not on this machine (")
    assert absent[there].endswith(f"embedstack models pull {there}")


def test_a_named_model_may_have_been_cut_to_any_width(first: Path, settings: Settings) -> None:
    assert names(chosen(7, settings, str(first))) == ["first"]


@pytest.mark.parametrize(
    ("name", "kind", "why"),
    [
        ("bge-reranker-v2-m3", Unsupported, "makes no dense vectors"),
        ("Splade_PP_en_v1", Unsupported, "makes no dense vectors"),
        ("bge-small-en-v1.5", Mismatch, "the vectors have 768 numbers and 'bge-small-en-v1.5' makes 384"),
    ],
)
def test_what_made_no_such_vectors_is_not_fetched(
    name: str, kind: type[Exception], why: str, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=why):
        chosen(768, replace(settings, cache_dir=tmp_path), name)


def test_the_catalog_says_the_width_of_each_model_of_vectors() -> None:
    silent = [entry.name for entry in entries() if entry.task == "embed" and not widths_of(entry)]

    assert silent == ["Splade_PP_en_v1"]
