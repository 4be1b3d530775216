"""The words for models: what is served under which name, and what a request gets."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from embedstack.engine.naming import Asked, kind_of, name_table, parse_asked, pick
from embedstack.errors import ConfigError, UnknownModel, Unsupported
from embedstack.modelspec import ModelSpec
from embedstack.testing.fake import hash_spec, overlap_spec
from embedstack.types import Image, Link, Text


@dataclass(frozen=True)
class Named:
    spec: ModelSpec
    aliases: tuple[str, ...] = ()
    is_variant: bool = False


@pytest.mark.parametrize(
    ("text", "model", "alias", "variant"),
    [
        ("bge-m3", "bge-m3", "", ""),
        ("small=bge-m3", "bge-m3", "small", ""),
        ("bge-m3@int8", "bge-m3", "", "int8"),
        ("bge-m3@onnx:int8", "bge-m3", "", "onnx:int8"),
        ("fast=org/name@onnx:auto", "org/name", "fast", "onnx:auto"),
        ("org/name@main", "org/name@main", "", ""),
        ("org/name@main@float32", "org/name@main", "", "float32"),
        ("./a=b", "./a=b", "", ""),
        ("mine=/models/a=b", "/models/a=b", "mine", ""),
    ],
)
def test_what_a_user_writes_is_taken_apart(text: str, model: str, alias: str, variant: str) -> None:
    asked = parse_asked(text)

    assert (asked.model, asked.alias, asked.variant) == (model, alias, variant)


def test_a_folder_that_is_there_is_that_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models/a=b@int8").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    assert parse_asked("models/a=b@int8").model == "models/a=b@int8"


@pytest.mark.parametrize("text", ["bge-m3@onnx:int9", "bge-m3@nonsense:int8", "@onnx:int8"])
def test_a_runtime_or_a_precision_that_is_none_is_refused_with_those_that_are(text: str) -> None:
    with pytest.raises(ConfigError, match=r"runtimes: numpy.*precisions: auto"):
        parse_asked(text)


@pytest.mark.parametrize("text", ["=bge-m3", "small=", "two words=bge-m3"])
def test_an_alias_that_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="ALIAS=MODEL"):
        parse_asked(text)


@pytest.mark.parametrize(
    ("asked", "public"),
    [
        (Asked("x", "x"), "own"),
        (Asked("x", "x", alias="mine", precision="int8"), "mine"),
        (Asked("x", "x", runtime="onnx", precision="int8"), "own@onnx:int8"),
    ],
)
def test_the_public_name_is_the_alias_else_says_the_variant(asked: Asked, public: str) -> None:
    assert asked.public("own") == public


def test_a_models_own_name_beats_another_ones_alias() -> None:
    table = name_table([Named(hash_spec("a"), ("b",)), Named(hash_spec("b"))])

    assert table == {"a": "a", "b": "b"}


def test_a_plain_model_keeps_its_aliases_beside_a_variant() -> None:
    table = name_table([Named(hash_spec("a@int8"), ("a", "org/a"), is_variant=True), Named(hash_spec("a"), ("org/a",))])

    assert table["org/a"] == "a"


def test_a_variant_alone_answers_to_the_models_names() -> None:
    assert name_table([Named(hash_spec("small"), ("a", "org/a"), is_variant=True)])["org/a"] == "small"


def test_two_models_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="ALIAS=MODEL"):
        name_table([Named(hash_spec("a")), Named(replace(hash_spec("b"), name="a"))])


SPECS = {"first": hash_spec("first"), "second": hash_spec("second"), "judge": overlap_spec("judge")}
TABLE = {name: name for name in SPECS} | {"one": "first"}


@pytest.mark.parametrize(
    ("name", "task", "wanted"), [("one", "embed", "first"), ("", "rerank", "judge"), ("", None, "first")]
)
def test_a_request_gets_the_model_that_it_names_else_the_first_of_its_task(name, task, wanted) -> None:
    assert pick(name, task, SPECS, TABLE).name == wanted


def test_a_reranker_stands_in_for_a_classifier() -> None:
    assert pick("", "classify", SPECS, TABLE).name == "judge"


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(UnknownModel, match=r"did you mean 'second'\? served: first, second, judge"):
        pick("secnd", "embed", SPECS, TABLE)


def test_a_model_of_another_task_is_refused() -> None:
    with pytest.raises(Unsupported, match="'first' is for embed, not for rerank"):
        pick("first", "rerank", SPECS, TABLE)


def test_a_task_that_nobody_serves_is_told() -> None:
    with pytest.raises(Unsupported, match="no model for rerank is served, only first"):
        pick("", "rerank", {"first": SPECS["first"]}, TABLE)


SEES = hash_spec("sees", inputs=("text", "image"))


@pytest.mark.parametrize(("kind", "wanted"), [("text", "first"), ("image", "sees"), (None, "sees")])
def test_without_a_name_texts_go_to_the_model_for_texts_and_images_to_the_one_that_takes_them(kind, wanted) -> None:
    assert pick("", "embed", {"sees": SEES, **SPECS}, TABLE, kind).name == wanted


def test_a_model_of_both_kinds_reads_texts_where_there_is_no_other() -> None:
    assert pick("", "embed", {"sees": SEES}, {"sees": "sees"}, "text").name == "sees"


def test_items_with_an_image_among_them_need_a_model_that_takes_images() -> None:
    assert kind_of([Text("a")]) == kind_of([]) == "text"
    assert kind_of([Text("a"), Image(b"")]) == kind_of([Link("https://example.org/a")]) == "image"
