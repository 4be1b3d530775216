"""`embedstack identify`: what it prints, and how it ends."""

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from embedstack.databases.opening import open_database
from embedstack.errors import BadRequest, ConfigError, Unsupported
from embedstack.origin import Identity, Origin
from support.by_hand import By, Hand, folder, texts
from support.commands import process, run
from support.kept_vectors import collection, lines

pytestmark = [pytest.mark.usefixtures("machine"), pytest.mark.slow]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def words() -> list[str]:
    return texts(20, most=330)


def kept(root: Path, model: Path, words: Sequence[str], by: By | None = None) -> str:
    return lines(root, words, Hand(model).vectors(words, by or By())).named


def test_one_recipe_ends_with_0_and_says_what_to_do(model: Path, words: list[str], tmp_path: Path) -> None:
    done = run("identify", kept(tmp_path, model, words), "--model", str(model))

    assert done.exit_code == 0, done.output
    lines_of = done.stdout.splitlines()
    assert lines_of[2].split() == ["MODEL", "POOLING", "PROMPT", "CUT", "OTHERWISE", "ROWS", "COSINE"]
    assert lines_of[3].split() == ["first", "mean", "none", "256", "(own)", "-", "20/20", "1.0000000"]
    assert "made by first, mean pooling, no prompt, cut at 256 tokens" in lines_of
    assert "use: these are vectors of first as its files say it: search them with that model" in lines_of
    assert done.stderr == "trying first (1 of 1)\n"


def test_another_recipe_ends_with_0_and_says_which_file_makes_it(model: Path, words: list[str], tmp_path: Path) -> None:
    done = run("identify", kept(tmp_path, model, words, By(pooling="cls", cut=128)), "--model", str(model))

    assert done.exit_code == 0, done.output
    assert "change max_seq_length in sentence_bert_config.json and pooling_mode in 1_Pooling/config.json" in done.stdout


def test_a_recipe_that_no_file_can_say_is_to_be_made_again(model: Path, words: list[str], tmp_path: Path) -> None:
    done = run("identify", kept(tmp_path, model, words, By(is_cased=True)), "--model", str(model))

    assert "use: no setting makes such vectors (case); embed the texts again with first" in done.stdout


def test_a_tie_ends_with_10_and_says_what_would_break_it(model: Path, tmp_path: Path) -> None:
    short = texts(8, most=20)

    done = run("identify", kept(tmp_path, model, short), "--model", str(model))

    assert done.exit_code == 10, done.output
    assert "tokens, so cuts at 128, 256 and 512 cannot be told apart" in done.stdout


def test_none_ends_with_11_and_names_the_nearest(model: Path, words: list[str], tmp_path: Path) -> None:
    random = np.random.default_rng(0).normal(size=(len(words), 32)).astype(np.float32)

    done = run("identify", lines(tmp_path, words, random).named, "--model", str(model))

    assert done.exit_code == 11, done.output
    assert "none of these: no recipe of first made these vectors" in done.stdout
    assert "note: nearest: first, " in done.stdout
    assert ": not it" in done.stdout


def signed(root: Path, model: Path, words: Sequence[str], space: str) -> str:
    identity = Identity(model="first", revision="local", space=space, fingerprint="f", dim=32, max_tokens=256)
    vectors = Hand(model).vectors(words, By())
    return collection(f"{root}/store", words, vectors, Origin(identity=identity)).named


def test_vectors_that_are_not_what_they_are_signed_as_end_with_3(model: Path, words: list[str], tmp_path: Path) -> None:
    done = run("identify", signed(tmp_path, model, words, "5" * 32), "--model", str(model))

    assert done.exit_code == 3, done.output
    assert (
        "signed: they are signed as of 'first' (space 555555555555…), role document, and what was found is"
        in done.stdout
    )


def test_for_machines_it_is_json_with_the_space_that_is_found(model: Path, words: list[str], tmp_path: Path) -> None:
    place = signed(tmp_path, model, words, "5" * 32)

    said = json.loads(run("identify", place, "--model", str(model), "--json").stdout)

    with closing(open_database(place.rpartition("#")[0])) as database:
        assert database.names() == ["docs"]
    assert (said["verdict"], said["best"]["pooling"], said["best"]["role"], said["best"]["strays"]) == (
        "named", "mean", "document", [],
    )  # fmt: skip
    assert (said["signed"]["state"], said["text"], said["lengths"]) == ("contradicts", "page_content", "normalised")
    assert said["rows"] == {
        "total": 20, "looked_at": 20, "without_text": 0, "without_direction": 0, "compared": 20, "unfit": [],
    }  # fmt: skip
    assert said["confidence"]["times_the_noise"] > 1


def test_a_mix_ends_with_3(model: Path, words: list[str], tmp_path: Path) -> None:
    hand = Hand(model)
    vectors = np.concatenate([hand.vectors(words[:15], By()), hand.vectors(words[15:], By(pooling="cls"))])

    done = run("identify", lines(tmp_path, words, vectors).named, "--model", str(model))

    assert done.exit_code == 3, done.output
    assert "a mix: of 20 rows 15 by first, mean pooling" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "kind", "why"),
    [
        (["nothing.jsonl"], ConfigError, "is not there"),
        (["rows.jsonl", "--runtime", "reference"], Unsupported, "gives no states of tokens"),
        (["rows.jsonl", "--text-key", "body"], BadRequest, "has a text under 'body'"),
        (["rows.jsonl", "--vector", "dense"], BadRequest, "name its key with --vector"),
        (["rows.jsonl"], ConfigError, "no model that can be tried on this machine makes vectors of 2 numbers"),
        (["http://127.0.0.1:1#docs"], Exception, "127.0.0.1"),
    ],
    ids=["nothing", "runtime", "text", "vector", "model", "away"],
)
def test_what_cannot_be_compared_is_an_error(
    arguments: list[str], kind: type[Exception], why: str, tmp_path: Path
) -> None:
    lines(tmp_path, ["a b"], np.ones((1, 2), np.float32))

    done = run("identify", *arguments)

    assert isinstance(done.exception, kind), done.exception
    assert why in str(done.exception)
    assert done.stdout == ""


def test_an_error_is_one_line_on_stderr(tmp_path: Path) -> None:
    lines(tmp_path, ["a b"], np.ones((1, 2), np.float32))

    done = process("identify", "rows.jsonl", "--text-key", "body")

    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert done.stderr.startswith(b"error: no row of file://")
