"""Parts of one text: which tokens are whose, and the windows in which a long text is read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.catalog import find
from embedstack.errors import BadRequest, TooLong
from embedstack.inputs.late import OVERLAP, Joined, join, windows_of
from embedstack.inputs.text import TextInput
from embedstack.types import Span, Text
from support.tiny import CASES, write

PARTS = ("the panda is a bear", ". it is in the city", " of the king!")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TextInput]:
    root = tmp_path_factory.mktemp("late")
    made = {}
    for name in ("bert-mean", "xlm-roberta-cls"):
        folder = write(CASES[name], root / name)
        made[name] = TextInput(folder, find(str(folder), cache_dir=root / "cache").spec)
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


def test_the_states_of_a_token_come_from_its_own_window(texts: dict[str, TextInput]) -> None:
    made = joined(texts["bert-mean"], *PARTS, max_tokens=10)
    states = [np.full((10, 2), number, np.float32) for number in range(3)]
    own = [number for number, window in enumerate(made.windows) for _ in range(window.first, window.last)]

    pooled = made.pooled(states)

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
