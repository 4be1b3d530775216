"""Words of `embedstack job`: sizes, budgets and what is usual of chunks."""

import os
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from embedstack.cli.job_flags import (
    CHILD_TOKENS,
    OVERLAP,
    TOKENS,
    RunOptions,
    asked_for,
    budget,
    budget_words,
    chunking_of,
    endpoints_of,
    model_from_everywhere,
    placed,
    size,
    words_of,
)
from embedstack.cli.job_plan import Cut
from embedstack.errors import BadRequest
from embedstack.jobs.finishing import most_failed

CONTEXT = click.Context(click.Command("run"))
OPTION = click.Option(["--it"])


@pytest.mark.parametrize(
    ("text", "bytes_"), [("200GB", 200 * 10**9), ("1.5 tb", 15 * 10**11), ("4GiB", 4 * 2**30), ("512", 512)]
)
def test_a_size_has_a_unit_or_none(text: str, bytes_: int) -> None:
    assert size(CONTEXT, OPTION, text) == bytes_


@pytest.mark.parametrize("text", ["", "much", "-1GB", "5 elephants"])
def test_what_is_no_size_is_refused_with_examples(text: str) -> None:
    with pytest.raises(click.BadParameter, match="200GB"):
        size(CONTEXT, OPTION, text)


@pytest.mark.parametrize(("text", "most"), [("1%", 10), ("0.1%", 1), ("0%", 0), ("25", 25), ("1", 1), ("0", 0)])
def test_a_budget_is_a_number_or_a_share(text: str, most: int) -> None:
    assert most_failed(budget(CONTEXT, OPTION, text), 1000) == most


def test_all_documents_may_fail() -> None:
    assert most_failed(budget(CONTEXT, OPTION, "100%"), 1000) >= 1000


@pytest.mark.parametrize("text", ["1.5", "101%", "-1", "few"])
def test_what_is_no_budget_is_refused_with_examples(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"0\.1%"):
        budget(CONTEXT, OPTION, text)


@pytest.mark.parametrize("text", ["1%", "0.1%", "33.3%", "0%", "0.00001%", "99.99999999999%", "100%", "25", "1"])
def test_a_budget_survives_being_written(text: str) -> None:
    given = budget(CONTEXT, OPTION, text)

    assert budget(CONTEXT, OPTION, budget_words(given)) == given


def test_a_path_is_the_same_from_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert placed("docs/") == os.path.join(tmp_path, "docs")  # noqa: PTH118


def test_a_url_is_left_as_it_is() -> None:
    assert placed("s3://bucket/docs") == "s3://bucket/docs"


@pytest.mark.parametrize("name", ["{}", "{}@int8", "docs={}", "docs={}@openvino:int8"])
def test_a_folder_of_a_model_is_the_same_from_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    made = model_from_everywhere(name.format("models/mine"))

    assert made == name.format(tmp_path / "models" / "mine")


@pytest.mark.parametrize("name", ["bge-m3", "BAAI/bge-m3@5617a9f", "docs=bge-m3@int8"])
def test_a_model_that_is_no_folder_keeps_its_name(name: str) -> None:
    assert model_from_everywhere(name) == name


# ------------------------------------------------------------------------------------------------ chunks


@pytest.mark.parametrize("is_late", [False, True])
def test_late_chunking_cuts_without_overlap_where_nobody_says(is_late: bool) -> None:
    cut = Cut(strategy="window", tokens=None, overlap=None, parent_tokens=1500, skip_index=False, is_late=is_late)

    assert cut.for_model(512).overlap == (0 if is_late else OVERLAP)


@pytest.mark.parametrize(
    ("strategy", "tokens", "overlap"),
    [("semantic", TOKENS, 0), ("window", TOKENS, OVERLAP), ("parent", CHILD_TOKENS, OVERLAP)],
)
def test_what_is_usual_of_chunks_depends_on_how_they_are_cut(strategy: str, tokens: int, overlap: int) -> None:
    made = chunking_of(strategy, None, None, 1500, skip_index=False, most=8192)

    assert (made.tokens, made.overlap) == (tokens, overlap)


def test_chunks_are_no_longer_than_what_the_model_takes() -> None:
    assert chunking_of("semantic", None, None, 1500, skip_index=False, most=256).tokens == 256


def test_what_was_asked_for_is_not_made_smaller_without_a_word() -> None:
    assert chunking_of("semantic", 512, None, 1500, skip_index=False, most=256).tokens == 512


def test_short_windows_do_not_overlap_by_themselves() -> None:
    assert chunking_of("window", 64, None, 1500, skip_index=False, most=0).overlap == 0


def test_an_overlap_that_would_change_nothing_is_refused() -> None:
    with pytest.raises(BadRequest, match="--overlap is for --chunker window and parent"):
        chunking_of("semantic", None, 50, 1500, skip_index=False, most=0)


# ------------------------------------------------------------------------------------------------ as words again


def test_settings_that_were_given_are_passed_on_as_flags() -> None:
    given = {"threads": "2", "offline": True, "allow_unproven": False, "lanes": None, "env_file": None}

    assert words_of(given) == ["--no-allow-unproven", "--threads", "2", "--offline"]


def test_options_of_a_run_are_passed_on_as_they_were_given() -> None:
    options = RunOptions(model=None, via="tei", max_dead=0.01, spool=None, spool_mb=10, requests=2, single_writer=True)

    assert options.words() == [
        "--via", "tei", "--max-dead", "1%", "--spool-mb", "10", "--requests", "2", "--single-writer",
    ]  # fmt: skip


def test_what_is_asked_for_is_known_also_if_it_is_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDSTACK_PRECISION", "auto")

    found = asked_for({"runtime": "openvino", "lanes": None, "env_file": None})

    assert {"precision", "runtime"} <= found
    assert "lanes" not in found


# ------------------------------------------------------------------------------------------------ elsewhere


@pytest.fixture
def given() -> Iterator[dict[str, object]]:
    with click.Context(click.Command("run")):
        yield {"env_file": None}


def test_an_endpoint_is_asked_for_the_model_by_its_name(given: dict[str, object]) -> None:
    assert endpoints_of("http://127.0.0.1:9", "bge-m3", given).embed.targets[0].model == "bge-m3"


def test_a_folder_of_this_machine_is_no_name_elsewhere(given: dict[str, object], tmp_path: Path) -> None:
    assert endpoints_of("http://127.0.0.1:9", str(tmp_path), given).embed.targets[0].model == ""


def test_nothing_is_elsewhere_unless_it_is_said(given: dict[str, object]) -> None:
    assert endpoints_of(None, "bge-m3", given) is None
