"""What all dialects share."""

import base64
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from embedstack.dialects.dialect import Limits
from embedstack.dialects.wire import (
    QUOTED_CHARS,
    EmptyList,
    Inputs,
    Misfit,
    TooManyItems,
    as_base64,
    as_floats,
    decode,
    dump,
    identity,
    items_of,
    model_for,
    retry_after,
    shortened,
)
from embedstack.errors import NotReady, Overloaded, UnknownModel, Unsupported
from embedstack.testing.fake import hash_spec, overlap_spec
from embedstack.types import Scored, Text, Tokens, Usage

LIMITS = Limits(max_items=3, truncate="right", token_ids="refuse")
WITH_IDS = Limits(max_items=3, truncate="right", token_ids="model")


class Body(msgspec.Struct):
    input: Inputs


DECODER = msgspec.json.Decoder(Body)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "not JSON"),
        (b"nope", "not JSON"),
        (b'{"input":"a"', "not JSON"),
        (b'{"input":"\xff"}', "not UTF-8"),
        (b'{"input":"a","dimensi\xf3n":8}', "not UTF-8"),
        (b'{"input":"\\ud800"}', "lone surrogate at byte 10"),
        (b'{"input":"a\\udc00b"}', "lone surrogate at byte 11"),
        (b'{"input":"a","x":' + b"[" * 100_000, "nested too deeply"),
        (b'{"input":[1,null]}', "got `null`"),
    ],
)
def test_what_is_no_body_is_refused_with_the_reason(raw, said):
    with pytest.raises(Misfit, match=said):
        decode(DECODER, raw)


def test_a_pair_of_surrogates_is_one_character():
    assert decode(DECODER, b'{"input":"\\ud83d\\ude00"}').input == "\U0001f600"


def test_a_misfit_names_the_field():
    with pytest.raises(Misfit) as caught:
        decode(DECODER, b'{"input":["a",null]}')

    assert caught.value.param == "input"


def test_a_short_text_is_quoted_whole():
    assert shortened("a" * QUOTED_CHARS) == "a" * QUOTED_CHARS


def test_a_long_text_is_quoted_by_its_start_and_its_end():
    quoted = shortened("start" + "a" * 1_000_000 + "end")

    assert (quoted[:5], quoted[-3:], len(quoted)) == ("start", "end", QUOTED_CHARS + 1)


def test_one_text_is_one_item():
    assert items_of("a b", "query", LIMITS, "input") == (Text("a b", "query"),)


def test_texts_keep_their_order():
    assert items_of(["b", "a"], "document", LIMITS, "input") == (Text("b"), Text("a"))


def test_a_flat_list_of_ids_is_one_item_however_long():
    assert items_of([5, 6, 7, 8], None, WITH_IDS, "input") == (Tokens((5, 6, 7, 8)),)


def test_lists_of_ids_are_an_item_each():
    assert items_of([[5], [6, 7]], None, WITH_IDS, "input") == (Tokens((5,)), Tokens((6, 7)))


@pytest.mark.parametrize("inputs", [[5, 6], [[5, 6]]])
def test_token_ids_are_refused_with_the_reason_unless_a_setting_allows_them(inputs):
    with pytest.raises(Unsupported, match=r"another vocabulary.*EMBEDSTACK_TOKEN_IDS"):
        items_of(inputs, "document", LIMITS, "input")


@pytest.mark.parametrize("role", ["query", "document"])
def test_a_prompt_in_front_of_token_ids_is_refused_and_not_left_out(role):
    with pytest.raises(Unsupported, match=f"no prompt for '{role}'"):
        items_of([[5]], role, WITH_IDS, "input")


@pytest.mark.parametrize("role", [None, "none"])
def test_token_ids_are_taken_where_no_prompt_is_asked_for(role):
    assert items_of([[5]], role, WITH_IDS, "input") == (Tokens((5,)),)


def test_ids_beside_texts_are_refused():
    with pytest.raises(Misfit, match="mixes"):
        items_of(["a", 5], "document", WITH_IDS, "input")


def test_no_input_is_refused():
    with pytest.raises(EmptyList):
        items_of([], "document", LIMITS, "input")


def test_too_many_inputs_are_refused_with_both_numbers():
    with pytest.raises(TooManyItems, match="holds 4 items, the limit is 3"):
        items_of(["a"] * 4, "document", LIMITS, "input")


def test_the_named_model_is_taken_unseen():
    assert model_for("embed", "other", [hash_spec()]) == "other"


def test_without_a_name_the_only_model_of_the_task_is_taken():
    assert model_for("rerank", None, [hash_spec(), overlap_spec("ranker")]) == "ranker"


def test_without_a_name_several_models_are_named():
    with pytest.raises(Misfit, match="one of: a, b"):
        model_for("embed", None, [hash_spec("a"), hash_spec("b")])


def test_without_a_model_of_the_task_the_request_is_refused():
    with pytest.raises(UnknownModel, match="'rerank'"):
        model_for("rerank", None, [hash_spec()])


def test_without_any_model_the_refusal_names_no_task():
    with pytest.raises(UnknownModel, match=r"^no model is served here"):
        model_for(None, None, [])


def test_floats_come_back_to_the_last_bit():
    row = np.random.default_rng(0).standard_normal(64).astype(np.float32)

    assert np.array_equal(np.array(msgspec.json.decode(dump(as_floats(row))), np.float32), row)


def test_base64_is_little_endian_float32():
    row = np.array([1.0, -2.5], np.float32)

    assert base64.b64decode(as_base64(row)) == b"\x00\x00\x80\x3f\x00\x00\x20\xc0"


def test_identity_and_truncation_are_headers():
    spec = overlap_spec("kühl/ranker")
    usage = Usage(items=2, tokens=9, dropped=4, truncated=1)
    headers = identity(Scored(spec=spec, fingerprint="f" * 32, usage=usage, scores=np.zeros(2, np.float32)))

    assert headers == {
        "x-embedstack-model": "k%C3%BChl/ranker",
        "x-embedstack-space": spec.space,
        "x-embedstack-fingerprint": "f" * 32,
        "x-embedstack-truncated": "1",
        "x-embedstack-dropped-tokens": "4",
        "server-timing": "tokenize;dur=0.0, queue;dur=0.0, inference;dur=0.0",
    }


def test_an_answer_that_sentence_transformers_made_says_so():
    ours = overlap_spec("ranker")
    theirs = replace(ours, architecture=replace(ours.architecture, family="reference:deberta-v2"))

    made, own = (
        identity(Scored(spec=spec, fingerprint="f" * 32, usage=Usage(1, 1), scores=np.zeros(1, np.float32)))
        for spec in (theirs, ours)
    )

    assert made["x-embedstack-encoder"] == "reference (sentence-transformers)"
    assert "x-embedstack-encoder" not in own


def test_retry_after_is_rounded_up_to_whole_seconds():
    assert retry_after(Overloaded("busy", retry_after_s=2.1)) == {"retry-after": "3"}


def test_only_errors_that_pass_say_when_to_retry():
    assert retry_after(NotReady("loading"))
    assert not retry_after(Unsupported("never"))
