"""Parts of one text: which tokens are whose, and the windows in which a long text is read."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from embedstack.catalog import find
from embedstack.errors import BadRequest, TooLong
from embedstack.inputs import late
from embedstack.inputs.late import OVERLAP, Joined, Means, Window, join, windows_of
from embedstack.inputs.text import TextInput
from embedstack.types import Span, Text
from support.byte_level import byte_level
from support.parts import whose
from support.tiny import CASES, write

PARTS = ("the panda is a bear", ". it is in the city", " of the king!")
SPACED = "the sun  and the moon\n\nthe bear is in  China. \tof the king!\n the panda \n\n in water ¿"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("late")


@pytest.fixture(scope="module")
def texts(root: Path) -> dict[str, TextInput]:
    made = {}
    for name in ("bert-mean", "xlm-roberta-cls"):
        folder = write(CASES[name], root / name)
        made[name] = TextInput(folder, find(str(folder), cache_dir=root / "cache").spec)
    folder = write(CASES["bert-mean"], root / "byte-level")
    byte_level().save(str(folder / "tokenizer.json"))
    made["byte-level"] = TextInput(folder, find(str(folder), cache_dir=root / "cache").spec)
    return made


@pytest.fixture
def needy(tmp_path: Path) -> TextInput:
    """Of a model that needs one of its prompts."""
    folder = write(CASES["bert-mean"], tmp_path / "needy")
    spec = find(str(folder), cache_dir=tmp_path).spec
    return TextInput(folder, replace(spec, prompts={"query": "what is ", "document": "paper "}, needs_prompt=True))


def joined(text: TextInput, *parts: str, max_tokens: int | None = None, truncate: str = "right") -> Joined:
    return join(text, [Text(part) for part in parts], max_tokens, truncate, vocab=10_000)


def test_spans_follow_one_another_behind_the_special_tokens(texts: dict[str, TextInput]) -> None:
    made = joined(texts["bert-mean"], *PARTS)

    assert made.spans == (Span(0, 1, 6), Span(1, 6, 12), Span(2, 12, 16))
    assert [len(encoding.ids) for encoding in made.encodings] == [17]


def test_a_space_before_a_word_does_not_decide_whose_its_token_is(texts: dict[str, TextInput]) -> None:
    before, behind = (
        joined(texts["xlm-roberta-cls"], *parts) for parts in (("the sun ", "moon"), ("the sun", " moon"))
    )

    assert before.spans == behind.spans
    assert before.spans[0].stop - before.spans[0].start == 2


@pytest.mark.parametrize("name", ["bert-mean", "xlm-roberta-cls", "byte-level"])
def test_every_token_is_whose_its_characters_are_wherever_the_text_is_cut(
    name: str, texts: dict[str, TextInput], root: Path
) -> None:
    read = Tokenizer.from_file(str(root / name / "tokenizer.json")).encode(SPACED, add_special_tokens=False)
    draw = np.random.default_rng(7)
    refused = 0
    for _ in range(200):
        cuts = [0, *sorted(draw.choice(range(1, len(SPACED)), 3, replace=False)), len(SPACED)]
        parts = [SPACED[start:stop] for start, stop in pairwise(cuts)]
        owners = whose(parts, read.tokens, read.offsets)
        wanted = [owners.count(part) for part in range(len(parts))]
        if 0 in wanted:
            refused += 1
            with pytest.raises(BadRequest, match=f"text {wanted.index(0)} has no token of its own"):
                joined(texts[name], *parts, max_tokens=400)
        else:
            assert [span.stop - span.start for span in joined(texts[name], *parts).spans] == wanted, parts

    assert refused < 100


def test_line_breaks_that_are_a_token_belong_to_the_part_that_they_end(texts: dict[str, TextInput]) -> None:
    made = joined(texts["byte-level"], "the sun\n\n", "the moon")
    alone = joined(texts["byte-level"], "the sun\n\n")

    assert made.spans[0] == alone.spans[0]
    assert made.spans[0] != joined(texts["byte-level"], "the sun", "\n\nthe moon").spans[0]


def test_a_token_in_two_parts_belongs_to_the_one_where_it_begins(texts: dict[str, TextInput]) -> None:
    made = joined(texts["bert-mean"], "the pan", "da bear")

    assert made.spans == (Span(0, 1, 3), Span(1, 3, 4))


@pytest.mark.parametrize("parts", [("the pan", "da"), ("the", "  ", "sun")])
def test_a_part_without_a_token_is_refused_by_its_number(texts: dict[str, TextInput], parts: tuple[str, ...]) -> None:
    with pytest.raises(BadRequest, match="text 1 has no token of its own"):
        joined(texts["bert-mean"], *parts)


def test_an_empty_part_is_refused_by_its_number(texts: dict[str, TextInput]) -> None:
    with pytest.raises(BadRequest, match="text 1 is empty"):
        joined(texts["bert-mean"], "sun", "")


def test_parts_that_are_too_long_together_are_not_told_as_one_of_them(needy: TextInput) -> None:
    needy.max_text_chars = 30

    with pytest.raises(TooLong, match="the text that the parts make together has 31 characters, the limit is 30"):
        joined(needy, "the sun " * 2, "the moon is any")


def test_parts_of_two_roles_are_refused(texts: dict[str, TextInput]) -> None:
    with pytest.raises(BadRequest, match="one role, not 'document' and 'query'"):
        join(texts["bert-mean"], [Text("sun"), Text("moon", "query")], None, "right", vocab=10_000)


def test_a_token_outside_the_vocabulary_is_refused(texts: dict[str, TextInput]) -> None:
    with pytest.raises(BadRequest, match=r"outside 0\.\.5"):
        join(texts["bert-mean"], [Text("sun")], None, "right", vocab=6)


def test_parts_over_the_limit_are_read_in_windows_or_refused(texts: dict[str, TextInput]) -> None:
    made = joined(texts["bert-mean"], *PARTS, max_tokens=10)

    assert [len(encoding.ids) for encoding in made.encodings] == [10, 10, 10]
    assert made.spans == joined(texts["bert-mean"], *PARTS).spans
    with pytest.raises(TooLong, match="17 tokens together, the limit is 10"):
        joined(texts["bert-mean"], *PARTS, max_tokens=10, truncate="refuse")


def test_each_window_is_read_as_the_model_reads_a_text(texts: dict[str, TextInput]) -> None:
    whole = joined(texts["bert-mean"], *PARTS).encodings[0].ids
    made = joined(texts["bert-mean"], *PARTS, max_tokens=10)

    for window, encoding in zip(made.windows, made.encodings, strict=True):
        assert encoding.ids.tolist() == [whole[0], *whole[1 + window.start : 1 + window.stop], whole[-1]]


@pytest.mark.parametrize(("tokens", "room"), [(1, 1), (7, 7), (8, 7), (100, 7), (1000, 64), (129, 128), (5, 2), (9, 1)])
def test_windows_cover_every_token_once_and_are_of_one_size(tokens: int, room: int) -> None:
    windows = windows_of(tokens, room)

    assert [n for window in windows for n in range(window.first, window.last)] == list(range(tokens))
    assert all(window.start <= window.first and window.last <= window.stop for window in windows)
    assert {window.stop - window.start for window in windows} == {min(tokens, room)}


def test_a_token_stands_away_from_the_end_of_its_window_unless_the_text_ends_there() -> None:
    room, tokens = 64, 1000
    for window in windows_of(tokens, room):
        assert window.start == 0 or window.first - window.start >= room // OVERLAP // 2
        assert window.stop == tokens or window.stop - window.last >= room // OVERLAP // 2


def test_windows_are_those_of_the_number_in_the_fingerprint() -> None:
    """Others give other vectors, and are to get another number in `ModelSpec.fingerprint`."""
    assert windows_of(20, 8) == (
        Window(0, 8, 0, 7), Window(6, 14, 7, 13), Window(12, 20, 13, 20),
    )  # fmt: skip
    assert windows_of(9, 8) == (Window(0, 8, 0, 4), Window(1, 9, 4, 9))


def test_so_many_windows_are_read_at_a_time_as_may_have_their_states_in_memory(
    texts: dict[str, TextInput], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = joined(texts["bert-mean"], *PARTS * 4, max_tokens=10)
    monkeypatch.setattr(late, "HELD_BYTES", 4 * 32 * 10 * 3 + 1)

    sizes = [len(made.windows[group]) for group in made.groups(32)]

    assert set(sizes[:-1]) == {3}
    assert sum(sizes) == len(made.windows) > 3
    assert len(made.groups(10**6)) == len(made.windows)


def test_the_states_of_a_token_come_from_its_own_window(texts: dict[str, TextInput]) -> None:
    made = joined(texts["bert-mean"], *PARTS, max_tokens=10)
    states = [np.full((10, 2), number, np.float32) for number in range(3)]
    means = Means(made, 2)
    own = [number for number, window in enumerate(made.windows) for _ in range(window.first, window.last)]

    means.add(made.windows[:1], states[:1])
    means.add(made.windows[1:], states[1:])
    pooled = means.rows()

    wanted = [np.mean(own[span.start - 1 : span.stop - 1]) for span in made.spans]
    assert pooled[:, 0].tolist() == pytest.approx(wanted)


def test_every_window_has_the_prompt_that_the_model_needs(needy: TextInput) -> None:
    made = join(needy, [Text(f"{PARTS[0]} {PARTS[1]}", "query")], 9, "right", vocab=10_000)

    assert len(made.encodings) > 1
    assert len({tuple(encoding.ids[: made.before].tolist()) for encoding in made.encodings}) == 1
    assert made.before == 3


@pytest.mark.parametrize(
    ("role", "first", "said"),
    [("none", "", "has no prompt"), ("none", "what is ", "leave it out"), ("document", "paper ", "leave it out")],
)
def test_a_prompt_goes_by_the_role_alone(needy: TextInput, role: str, first: str, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        join(needy, [Text(first + PARTS[0], role), Text(PARTS[1], role)], None, "right", vocab=10_000)
