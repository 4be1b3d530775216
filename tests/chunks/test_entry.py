"""A glossary becomes its entries."""

import pytest

from embedstack.chunks.chunk import Chunk, Chunking
from embedstack.chunks.chunking import chunk
from embedstack.testing.fake import WordRuler
from support.work import WASTED, growth


def cut(text: str, kind: str = "markdown", tokens: int = 20, strategy: str = "entry") -> list[Chunk]:
    return chunk(text, kind, Chunking(strategy=strategy, tokens=tokens), WordRuler(4096))


def terms(made: list[Chunk]) -> list[str]:
    return [str(one.metadata.get("term", "")) for one in made]


@pytest.mark.parametrize(
    "text",
    [
        "**Abacus** A frame.\n\n**Basalt:** A rock.\n\nMore of it.",
        "__Abacus__ – a frame.\n\n__Basalt__ – a rock.\n\nMore of it.",
        "- **Abacus**: a frame\n- **Basalt**: a rock\n\n  More of it.",
        "Abacus\n: A frame.\n\nBasalt\n:   A rock.\n\nMore of it.",
        "Abacus\r\n: A frame.\r\n\r\nBasalt\r\n: A rock.\r\n\r\nMore of it.",
        "### Abacus\n\nA frame.\n\n### Basalt\n\nA rock.\n\nMore of it.",
    ],
)
def test_an_entry_is_a_chunk_with_its_term(text: str) -> None:
    made = cut(text)

    assert terms(made) == ["Abacus", "Basalt"]
    assert made[1].text.endswith("More of it.")


def test_plain_text_has_entries_where_a_colon_or_a_dash_says_so() -> None:
    made = cut("Abacus: a frame.\n\nBasalt — a rock.\n\nMore of it.", "text")

    assert terms(made) == ["Abacus", "Basalt"]


def test_the_letter_before_an_entry_goes_with_it() -> None:
    made = cut("# Glossary\n\nAll terms.\n\n## A\n\n**Abacus** one.\n\n## B\n\n**Basalt** two.")

    assert [one.text.split()[:2] for one in made] == [["#", "Glossary"], ["##", "A"], ["##", "B"]]
    assert made[2].metadata == {"strategy": "entry", "headings": ["Glossary", "B"], "term": "Basalt"}


def test_an_entry_that_does_not_fit_keeps_its_term_in_all_parts() -> None:
    made = cut("**Abacus** " + "word " * 15 + "\n\n" + "word " * 15 + "\n\n**Basalt** two.")

    assert terms(made) == ["Abacus", "Abacus", "Basalt"]


def test_a_heading_ends_the_entry_before_it() -> None:
    made = cut("**Abacus** one.\n\n**Basalt** two.\n\n## Sources\n\nA book.")

    assert terms(made) == ["Abacus", "Basalt", ""]
    assert made[2].text == "## Sources\n\nA book."


def test_text_under_the_letter_is_in_no_entry() -> None:
    made = cut("**Abacus** one.\n\n## B\n\nTerms with B.\n\n**Basalt** two.")

    assert terms(made) == ["Abacus", "", "Basalt"]


def test_a_title_is_no_entry() -> None:
    made = cut("# Glossary\n\nAll terms.\n\n### Abacus\n\nA frame.\n\n### Basalt\n\nA rock.")

    assert terms(made) == ["", "Abacus", "Basalt"]


def test_headings_are_entries_where_no_more_terms_are_bold() -> None:
    page = "### Abacus\n\n**Abacus** means one.\n\n#### More\n\nof it.\n\n### Basalt\n\ntwo.\n\n**Note** well."

    made = cut(page)

    assert terms(made) == ["Abacus", "Basalt"]
    assert made[0].text.endswith("of it.")


@pytest.mark.slow
def test_work_grows_as_the_glossary_does() -> None:
    entry = "**Abacus** a\n\nb c d e f\n\n"

    assert growth(lambda size: cut(entry * size, tokens=4), 1600) < 0.75 * WASTED


@pytest.mark.parametrize("text", ["**Note** one.\n\ntwo three.", "one\n\ntwo", "- one\n- two"])
def test_what_has_no_entries_is_cut_by_its_sections(text: str) -> None:
    made, plain = cut(text, tokens=2), cut(text, tokens=2, strategy="semantic")

    assert [one.text for one in made] == [one.text for one in plain]
