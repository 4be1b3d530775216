"""SQuAD's JSON as a retrieval set, and the same set from other files."""

import json
from pathlib import Path

import pytest

from embedstack.errors import ConfigError
from embedstack.evals.sets.opening import open_labelled


def paragraph(context: str, *questions: tuple[str, str], **more) -> dict[str, object]:
    return {
        "context": context,
        "qas": [{"id": name, "question": text, "answers": [], **more} for name, text in questions],
    }


def squad(tmp_path: Path, *articles: list[dict[str, object]]) -> Path:
    path = tmp_path / "squad.json"
    path.write_text(
        json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": list(one)} for one in articles]})
    )
    return path


def as_beir(path: Path, folder: Path) -> Path:
    """What SQuAD's JSON says, written as BEIR's."""
    paragraphs = [one for article in json.loads(path.read_text())["data"] for one in article["paragraphs"]]
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(
        "".join(
            json.dumps({"_id": str(n), "title": "", "text": one["context"]}) + "\n" for n, one in enumerate(paragraphs)
        )
    )
    asked = [(qa, n) for n, one in enumerate(paragraphs) for qa in one["qas"]]
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": qa["id"], "text": qa["question"]}) + "\n" for qa, _ in reversed(asked))
    )
    (folder / "qrels/test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"{qa['id']}\t{n}\t1\n" for qa, n in reversed(asked))
    )
    return folder


def test_a_question_finds_the_paragraph_that_it_was_asked_about(tmp_path):
    path = squad(
        tmp_path, [paragraph("one", ("a", "A?"), ("b", "B?"))], [paragraph("two", ("c", "C?")), paragraph("three")]
    )
    labelled = open_labelled(path)

    assert labelled.documents == {"0": "one", "1": "two", "2": "three"}
    assert labelled.queries == {"a": "A?", "b": "B?", "c": "C?"}
    assert labelled.qrels == {"a": {"0": 1}, "b": {"0": 1}, "c": {"1": 1}}


def test_equal_paragraphs_are_one_document(tmp_path):
    path = squad(tmp_path, [paragraph("same", ("a", "A?")), paragraph("other"), paragraph("same", ("b", "B?"))])
    labelled = open_labelled(path)

    assert labelled.documents == {"0": "same", "1": "other"}
    assert labelled.qrels == {"a": {"0": 1}, "b": {"0": 1}}


def test_questions_without_an_answer_are_left_out(tmp_path):
    path = squad(tmp_path, [paragraph("one", ("a", "A?")), paragraph("two", ("b", "B?"), is_impossible=True)])
    labelled = open_labelled(path)

    assert labelled.qrels == {"a": {"0": 1}}
    assert labelled.notes == ("left out: 1 of 2 questions, which have no answer",)


def test_the_digest_does_not_depend_on_the_kind_of_file(tmp_path):
    path = squad(tmp_path, [paragraph("one", ("b", "B?"), ("a", "Ä?"))], [paragraph("two", ("c", "C?"))])

    assert open_labelled(path).digest == open_labelled(as_beir(path, tmp_path / "beir")).digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '{"data": [{"paragraphs": [{"qas": []}]}]}',
            "Object missing required field `context` - at `$.data[0].paragraphs",
        ),
        ('{"a": 1}', "it is no SQuAD JSON (Object missing required field `data`); give a BEIR folder"),
        ("[1, 2]", "it is no SQuAD JSON (Expected `object`, got `array`); give a BEIR folder"),
        ('{"data": [', "it is no SQuAD JSON (Input data was truncated)"),
        ('{"data": []}', "has no judgement"),
        ('{"_id": "d1", "text": "a"}\n', "it is a part of a BEIR folder, so name the folder"),
    ],
)
def test_other_json_is_refused(tmp_path, text, said):
    (tmp_path / "x.json").write_text(text)

    with pytest.raises(ConfigError) as refused:
        open_labelled(tmp_path / "x.json")
    assert said in refused.value.message


def test_a_question_twice_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="has the question id 'a' twice"):
        open_labelled(squad(tmp_path, [paragraph("one", ("a", "A?")), paragraph("two", ("a", "A?"))]))


# ------------------------------------------------------------------------------------------------ XQuAD


@pytest.mark.quality
@pytest.mark.parametrize("language", ["en", "ru"])
def test_xquad_is_read_whole(labelled_sets, language):
    labelled = open_labelled(labelled_sets / f"xquad/xquad.{language}.json")

    assert (len(labelled.documents), len(labelled.queries), len(labelled.qrels)) == (240, 1190, 1190)
    assert labelled.notes == ()


@pytest.mark.quality
def test_the_languages_of_xquad_share_their_judgements(labelled_sets):
    english, russian = (open_labelled(labelled_sets / f"xquad/xquad.{language}.json") for language in ("en", "ru"))

    assert english.qrels == russian.qrels
    assert english.digest != russian.digest


@pytest.mark.quality
def test_xquad_as_beir_is_the_same_set(labelled_sets, tmp_path):
    path = labelled_sets / "xquad/xquad.en.json"

    assert open_labelled(path).digest == open_labelled(as_beir(path, tmp_path / "beir")).digest
