"""`embedstack search`: what it prints, what it is told by flags, and how it refuses."""

import json
import shutil
import unicodedata
from pathlib import Path

import pytest

from embedstack.cli.search import meanings_of
from embedstack.cli.search_shown import (
    LINES,
    as_json,
    cut,
    lines_of,
    plain,
    snippet,
    title_parts,
    titled,
    width_of,
    wrapped,
)
from embedstack.databases.database import Json
from embedstack.errors import BadRequest, ConfigError, EmbedstackError, Mismatch, UnknownModel
from embedstack.search.found import Found, FoundPoint
from support.commands import good, process, run, settings_only

PANDA = "The panda sleeps on the ground between two meals."
PAGES = {
    "pandas.md": f"# Bears\n\n{PANDA}\n\n# Food\n\nIt eats bamboo all day, and little else.",
    "tea.txt": "Green tea is brewed for two minutes.",
    "ru.txt": "Панда спит на земле.",
}


@pytest.fixture(scope="module")
def made(folders: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with documents, and an index beside them."""
    root = tmp_path_factory.mktemp("made")
    (root / "docs").mkdir()
    for name, text in PAGES.items():
        (root / "docs" / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        good("index", "docs", "-m", folders["bert-mean"], "--language", "en")
    return root


@pytest.fixture
def indexed(made: Path, machine: Path, embedder: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it as the working folder; its model is that of the settings."""
    monkeypatch.setenv("EMBEDSTACK_MODELS", embedder)
    shutil.copytree(made, machine, dirs_exist_ok=True)
    return machine


def found(*texts: str, doc_id: str = "a.md", score: float = 0.5) -> Found:
    """One point for each text."""
    points = tuple(
        FoundPoint(id=number, score=score, payload={"doc_id": doc_id, "text": text}, scores={})
        for number, text in enumerate(texts)
    )
    return Found(points=points, fields=("dense",))


# ------------------------------------------------------------------------------------------------ the command


def test_the_passage_with_the_words_is_first_with_rank_score_document_and_text(indexed: Path) -> None:
    first, second, *_ = good("search", "green", "tea", "--fields", "bm25").stdout.splitlines()

    assert first.split() == ["1", first.split()[1], "tea.txt"]
    assert float(first.split()[1]) > 0
    assert second == "   Green tea is brewed for two minutes."


@pytest.mark.slow
def test_candidates_are_put_in_order_by_the_vectors_of_their_tokens(machine: Path) -> None:
    model = str(Path(__file__).parents[1] / "golden/bge_m3_tiny")
    (machine / "docs").mkdir()
    for name, text in PAGES.items():
        (machine / "docs" / name).write_text(text)
    good("index", "docs", "-m", model, "--multi")

    by_tokens = json.loads(good("search", "bamboo", "-m", model, "--rerank", "multi", "--json").stdout)
    alone = json.loads(good("search", "bamboo", "-m", model, "--fields", "multi", "--json").stdout)

    assert by_tokens["fields"] == ["dense", "bm25"]
    scores = {one["id"]: one["score"] for one in alone["results"]}
    assert {one["id"]: one["scores"]["rerank"] for one in by_tokens["results"]} == pytest.approx(scores, rel=1e-6)
    assert [one["id"] for one in by_tokens["results"]] == [one["id"] for one in alone["results"]]


def test_all_vectors_are_asked_where_nothing_else_is_said(indexed: Path) -> None:
    made = json.loads(good("search", "bamboo", "--json").stdout)

    assert made["fields"] == ["dense", "bm25"]
    assert made["results"][0]["payload"]["doc_id"] == "pandas.md"
    assert set(made["results"][0]["scores"]) == {"dense", "bm25", "fused"}
    assert [result["rank"] for result in made["results"]] == list(range(1, len(made["results"]) + 1))


def test_so_many_are_shown_as_were_asked_for(indexed: Path) -> None:
    assert len(json.loads(good("search", "panda", "-n", "2", "--json").stdout)["results"]) == 2


def test_conditions_leave_others_out(indexed: Path) -> None:
    made = json.loads(good("search", "panda", "--where", "file=tea.txt", "--where", "chunk_index=0", "--json").stdout)

    assert [result["payload"]["doc_id"] for result in made["results"]] == ["tea.txt"]


def test_of_one_key_one_of_the_values_must_hold(indexed: Path) -> None:
    words = ("--where", "file=tea.txt", "--where", "file=ru.txt")
    made = json.loads(good("search", "panda", *words, "--json").stdout)

    assert {result["payload"]["doc_id"] for result in made["results"]} == {"tea.txt", "ru.txt"}


def test_tenants_do_not_see_each_others_documents(indexed: Path) -> None:
    for tenant in ("acme", "bolt"):
        good("index", "docs", "--tenant", f"org={tenant}")

    made = json.loads(good("search", "tea", "--where", "org=acme", "--json").stdout)

    assert {result["payload"]["org"] for result in made["results"]} == {"acme"}


def test_nothing_found_is_said_and_no_failure(indexed: Path) -> None:
    result = good("search", "xyzzy", "--fields", "bm25")

    assert result.stdout == ""
    assert "nothing was found" in result.stderr


def test_a_least_score_is_of_one_vector_before_rankings_are_fused(indexed: Path) -> None:
    made = json.loads(good("search", "bamboo", "--least", "bm25=0.1", "--least", "dense=1", "--json").stdout)

    assert [result["payload"]["doc_id"] for result in made["results"]] == ["pandas.md"]


def test_weights_and_k_change_fused_scores(indexed: Path) -> None:
    plain, other = (
        json.loads(good("search", "bamboo", "--json", *words).stdout)["results"][0]["score"]
        for words in ((), ("--rrf-k", "1", "--weight", "bm25=3"))
    )

    assert other > plain


def test_a_reranker_orders_the_first_anew(indexed: Path, reranker: str) -> None:
    made = json.loads(good("search", "panda", "--rerank", reranker, "--rerank-top", "2", "--json").stdout)

    assert sum("rerank" in result["scores"] for result in made["results"]) == 2


def test_a_vector_that_is_not_there_is_named(indexed: Path) -> None:
    result = run("search", "tea", "--fields", "bm42")

    assert isinstance(result.exception, Mismatch)
    assert "it has: 'dense', 'bm25'" in str(result.exception)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tea", "--where", "org"), "'org' is no KEY=VALUE such as"),
        (("tea", "--weight", "bm25=x"), "'x' is no number"),
        (("tea", "--least", "bm25=1", "--least", "bm25=2"), "'bm25' is there twice"),
        (("tea", "--fusion", "rank"), "'rank' is not one of"),
        (("tea", "-n", "0"), "0 is not in the range"),
    ],
)
def test_a_flag_that_cannot_be_meant_is_a_wrong_use(machine: Path, words: tuple[str, ...], said: str) -> None:
    result = run("search", *words)

    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "no question is given; write it first"),
        (("--rerank", "tea"), "'tea' was taken for the model of --rerank"),
        (("tea", "--adaptive"), "--adaptive is for --rerank"),
    ],
)
def test_what_does_not_go_together_is_refused(machine: Path, words: tuple[str, ...], said: str) -> None:
    result = run("search", *words)

    assert isinstance(result.exception, BadRequest)
    assert said in str(result.exception)


def test_where_there_is_no_index_it_is_said_how_to_make_one(machine: Path) -> None:
    result = run("search", "tea")

    assert isinstance(result.exception, ConfigError)
    assert "make one with: embedstack index" in str(result.exception)


def test_a_collection_that_is_not_there_is_refused_with_those_that_are(indexed: Path) -> None:
    result = run("search", "tea", "-c", "nope")

    assert isinstance(result.exception, EmbedstackError)
    assert str(result.exception) == "collection 'nope' is not there; it has: documents"


def test_what_reranks_and_is_neither_a_model_nor_a_vector_is_refused_with_the_vectors_that_are(indexed: Path) -> None:
    result = run("search", "tea", "--rerank", "multi")

    assert isinstance(result.exception, UnknownModel)
    assert str(result.exception).endswith("nor is it a vector of collection 'documents', which has: 'dense', 'bm25'")


def test_a_blank_question_is_refused(indexed: Path) -> None:
    assert isinstance(run("search", "  ").exception, BadRequest)


def test_the_collections_model_may_be_called_otherwise_here(
    indexed: Path, embedder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EMBEDSTACK_MODELS")

    assert "name its folder with --model" in str(run("search", "tea").exception)
    assert "tea.txt" in good("search", "tea", "--model", embedder).stdout


def test_by_words_alone_no_model_is_needed(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMBEDSTACK_MODELS")

    assert "tea.txt" in good("search", "tea", "--fields", "bm25").stdout


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("Lind", ["Lind"]), ("2019", ["2019", 2019]), ("true", ["true", True]), ("007", ["007"]), ("-3", ["-3", -3])],
)
def test_a_value_is_what_may_stand_in_a_payload(typed: str, meant: list[object]) -> None:
    assert meanings_of(typed) == meant


# ------------------------------------------------------------------------------------------------ what is shown


def test_no_line_is_wider_than_the_terminal() -> None:
    texts = ["word " * 100, "大熊猫睡在地上。" * 30, "a" * 500, "́" * 50, ""]

    for columns in (10, 30, 57, 200):
        lines = list(lines_of(found(*texts, doc_id="a-long-name/" * 9), "word", "text", columns))
        assert max(map(width_of, lines)) <= max(columns, 30)
        assert len(lines) <= len(texts) * (1 + LINES)


def test_signs_of_east_asia_take_two_columns() -> None:
    assert (width_of("熊猫"), width_of("panda"), width_of("e\u0301")) == (4, 5, 1)
    assert cut("大熊猫睡", 5) == "大熊…"


def test_nothing_in_a_document_moves_the_cursor_or_changes_colours() -> None:
    hostile = "\x1b[2J\x1b]0;title\x07red\u202etext\u200b\r\nnext\x85line\x9b31m"

    shown = "".join(lines_of(found(hostile, doc_id=f"{hostile}.md"), "x", "text", 200))

    assert not {unicodedata.category(one) for one in shown} & {"Cc", "Cf", "Cs"}
    assert "redtext next" in plain(hostile)


def test_a_snippet_begins_shortly_before_the_first_word_of_the_question() -> None:
    text = "nothing of it " * 10 + "here the Panda sleeps"

    assert snippet(text, {"panda"}) == "… nothing of it here the Panda sleeps"
    assert snippet(text, {"tea"}) == text


def test_lines_break_at_spaces_and_the_last_says_that_there_is_more() -> None:
    assert wrapped("one two three four five six", 10, 2) == ["one two", "three fou…"]
    assert wrapped("one two", 10, 2) == ["one two"]
    assert wrapped("", 10, 2) == []


@pytest.mark.parametrize(
    ("payload", "name"),
    [({"doc_id": "a.md", "id": "b"}, "a.md"), ({"id": "faq-1"}, "faq-1"), ({"id": 7}, "12"), ({}, "12")],
)
def test_a_point_is_called_by_its_document_else_by_the_id_that_its_row_had(payload: dict[str, Json], name: str) -> None:
    assert title_parts(FoundPoint(id=12, score=1.0, payload=payload, scores={}))[0] == name


@pytest.mark.parametrize(
    ("payload", "key", "line"),
    [
        ({"body": "a cat"}, "body", "   a cat"),
        ({"metadata": {"body": "a cat"}}, "metadata.body", "   a cat"),
        ({"metadata.body": "a dog", "metadata": {"body": "a cat"}}, "metadata.body", "   a dog"),
        ({"body": "a cat"}, "text", None),
        ({"body": ["a cat"]}, "body", None),
    ],
)
def test_the_passage_is_under_the_key_that_is_named(payload: dict[str, Json], key: str, line: str | None) -> None:
    one = Found(points=(FoundPoint(id=7, score=1.0, payload=payload, scores={}),), fields=("dense",))

    assert list(lines_of(one, "x", key, 80))[1:] == ([] if line is None else [line])


def test_where_headings_are_too_long_the_last_one_stays() -> None:
    parts = ["a.md", "The title of the page", "A chapter", "The section"]

    assert titled(parts, 80) == "a.md › The title of the page › A chapter › The section"
    assert titled(parts, 40) == "a.md › … › A chapter › The section"
    assert titled(parts, 17) == "a.md › The secti…"
    assert titled(["a.md"], 18) == "a.md"


def test_a_point_of_others_is_shown_by_its_id() -> None:
    one = Found(points=(FoundPoint(id=7, score=1.0, payload={}, scores={}),), fields=("dense",))

    assert list(lines_of(one, "x", "text", 80)) == ["1  1.0000  7"]
    assert as_json(one, "x", "docs")["results"] == [{"rank": 1, "id": 7, "score": 1.0, "scores": {}, "payload": {}}]


# ------------------------------------------------------------------------------------------------ in processes


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.usefixtures("minilm_folder")
def test_two_commands_in_an_empty_folder_answer_a_question_by_its_meaning(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name, text in PAGES.items():
        (tmp_path / "docs" / name).write_text(text)

    made = process("index", "./docs", cwd=tmp_path, env=settings_only())
    asked = process("search", "where does a bear rest?", "--json", cwd=tmp_path, env=settings_only())

    assert made.returncode == 0, made.stderr
    first = json.loads(asked.stdout)["results"][0]
    assert PANDA in first["payload"]["text"]
    assert b"Traceback" not in made.stderr + asked.stderr
