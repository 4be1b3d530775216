"""YAML in front of Markdown."""

from random import Random

import pytest

from embedstack.documents.document import Unfit
from embedstack.documents.front_matter import _parsed, _plain_lines, front_matter


def found(block):
    return front_matter(f"---\n{block}\n---\ntext")[0]


def test_names_and_values_are_taken_off_the_text():
    assert front_matter('---\ntitle: "A: B"\nword_count: 12\n---\n\n# Head\n') == (
        {"title": "A: B", "word_count": 12},
        "# Head\n",
    )


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("text", "text"),
        ("12", 12),
        ("-3", -3),
        ("1.5", 1.5),
        ("true", True),
        ("", None),
        ("null", None),
        ("'12'", "12"),
        ("[a, 2, {b: c}]", ["a", 2, {"b": "c"}]),
        ("2024-01-05", "2024-01-05"),
        ("2024-01-05 10:00:00", "2024-01-05 10:00:00"),
        ("no", "no"),
        ("12:30", "12:30"),
        ("0123", "0123"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("5e12345678", "5e12345678"),
        ("1.5e999", "1.5e999"),
        ("!!python/object:os.system x", "x"),
        ("|\n  a\n  b", "a\nb\n"),
    ],
)
def test_a_value_is_what_json_has_and_nothing_that_was_not_meant(written, value):
    assert found(f"key: {written}") == {"key": value}


def test_names_are_text():
    assert found("1: a\ntrue: b\n2024-01-05: c") == {"1": "a", "true": "b", "2024-01-05": "c"}


def test_a_merge_key_is_a_name_like_others():
    assert found("<<: {a: 1}") == {"<<": {"a": 1}}


@pytest.mark.parametrize("text", ["text", "---", "---\nno end", "text\n---\na: 1\n---\n", "----\na: 1\n----\n"])
def test_a_text_without_such_a_block_is_left_alone(text):
    assert front_matter(text) == ({}, text)


@pytest.mark.parametrize(
    "between",
    [
        "Just a paragraph",
        "\n# Head\n\nSee: this\n",
        "# Head",
        "* one\n* two",
        "- one: 1",
        "[link]: http://example.com",
        "**Note**: bold",
        "Dear reader: be warned",
        "http://example.com",
        pytest.param("word\n" * 20_000, id="long"),
    ],
)
def test_lines_that_divide_a_text_are_left_alone(between):
    text = f"---\n{between}\n---\nand more"

    assert front_matter(text) == ({}, text)


@pytest.mark.parametrize("block", ["a: 1", "# why\n # not\na: 1", '"a": 1', "'a' : 1", "  a: 1", "a:\n  1"])
def test_a_name_behind_comments_begins_a_block(block):
    assert front_matter(f"---\n{block}\n---\ntext") == ({"a": 1}, "text")


def test_an_empty_block_says_nothing():
    assert front_matter("---\n---\ntext") == ({}, "text")


@pytest.mark.parametrize("block", ["a: [1", "a: b: c", "a:\n\t- b", "a: \0", "a: 1\n? [a]\n: b", "a: *b"])
def test_what_is_no_such_block_is_refused(block):
    with pytest.raises(Unfit) as caught:
        found(block)

    assert caught.value.code == "bad_front_matter"


def test_aliases_that_would_multiply_are_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]

    with pytest.raises(Unfit, match="aliases"):
        found("\n".join(lines))


@pytest.mark.parametrize(
    "block", ["a: " + "[" * 30_000, "a: " + "{a: " * 10_000, "a:\n" + "- " * 30_000], ids=["[", "{", "-"]
)
def test_nesting_without_end_is_refused(block):
    with pytest.raises(Unfit):
        found(block)


def test_a_block_over_the_limit_is_refused():
    with pytest.raises(Unfit, match="65536"):
        found("a: " + "x" * 70_000)


def test_a_message_holds_nothing_of_the_block():
    with pytest.raises(Unfit) as caught:
        found("ok: 1\nsecret: [")

    assert "secret" not in caught.value.message


def drawn_blocks():
    """Lines with what YAML gives a meaning, in any order."""
    random = Random(5)
    pieces = ["a", "b1", "no", "1", ".5", "null", "True", " ", ":", ": ", "#", " #", '"', "'", "-", "- ", "[", "]", "{"]
    pieces += ["}", "&", "*", "!", "|", ">", "%", "@", "`", ",", "\\", "\t", "é", "\u2028", "\x85", "x: ", "key: ", "_"]
    names = ["a", "key", "null", "true", "a-b", "_", "1", "", " a"]
    for _ in range(20_000):
        lines = [f"{random.choice(names)}:{random.choice(['', ' '])}" for _ in range(random.randrange(1, 3))]
        yield "".join(line + "".join(random.choices(pieces, k=random.randrange(4))) + "\n" for line in lines)


@pytest.mark.slow
def test_plain_lines_are_read_as_yaml_reads_them():
    plain = [(block, found) for block in drawn_blocks() if (found := _plain_lines(block)) is not None]

    assert len(plain) > 1000
    assert [found for _, found in plain] == [_parsed(block) for block, _ in plain]
