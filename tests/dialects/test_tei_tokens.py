"""Text Embeddings Inference: tokens of texts and texts of tokens."""

import json
from dataclasses import replace

import pytest
import tokenizers
from tei_run import EMBEDS, RANKS, TEI, asked, limited, refused, told

from embedstack.catalog.spec import draft
from embedstack.inputs.text import TextInput
from embedstack.testing.fake import hash_spec
from embedstack.types import Piece, Text, Tokenized, Usage

ROUTE = next(route for route in TEI.routes if route.path == "/tokenize")
PROMPTED = (replace(hash_spec(), prompts={"query": "find: "}),)


def test_special_tokens_are_shown_unless_they_are_not_wanted():
    full, bare = (told("/tokenize", inputs="a cat", add_special_tokens=wanted)[0] for wanted in (True, False))

    assert [row["special"] for row in full] == [True, False, False]
    assert (full[0]["start"], full[0]["stop"]) == (None, None)
    assert bare == full[1:]


def test_a_text_and_a_list_are_both_answered_with_a_list():
    assert told("/tokenize", inputs="a cat") == told("/tokenize", inputs=["a cat"])


def test_places_are_bytes_and_the_text_is_what_stands_there():
    """The original's own test of its tokeniser counts three bytes for each of these characters."""
    rows = told("/tokenize", inputs="文本 向量", add_special_tokens=False)[0]

    assert [(row["text"], row["start"], row["stop"]) for row in rows] == [("文本", 0, 6), ("向量", 7, 13)]


def test_the_prompt_is_tokenised_too_and_places_count_from_its_start():
    rows = told("/tokenize", PROMPTED, inputs="a cat", prompt_name="query", add_special_tokens=False)[0]

    assert [(row["text"], row["start"], row["stop"]) for row in rows] == [
        ("find:", 0, 5),
        ("a", 6, 7),
        ("cat", 8, 11),
    ]


def test_a_prompt_that_the_model_has_not_is_refused():
    assert refused("/tokenize", PROMPTED, inputs="a", prompt_name="clustering") == (422, "Validation")


@pytest.mark.parametrize("role", ["document", "none"])
def test_the_roles_of_every_model_have_tokens_too(role):
    assert told("/tokenize", PROMPTED, inputs="a", prompt_name=role) == told("/tokenize", PROMPTED, inputs="a")
    assert told("/tokenize", inputs="a", prompt_name="query") == told("/tokenize", inputs="a")


def test_no_prompt_is_put_in_front_unasked():
    assert asked("/tokenize", PROMPTED, inputs="a").items == (Text("a", "none"),)


def test_a_token_without_a_place_keeps_its_own_text():
    piece = Piece(5, "##x", special=False)
    answer = Tokenized(spec=hash_spec(), usage=Usage(1, 1), items=((piece,),))

    rows = json.loads(ROUTE.write(ROUTE.body(inputs="a"), answer).body)
    assert rows == [[{"id": 5, "text": "##x", "special": False, "start": None, "stop": None}]]


@pytest.mark.parametrize("inputs", [[], "", ["a", ""]])
def test_no_texts_are_of_the_type_empty(inputs):
    assert refused("/tokenize", inputs=inputs) == (400, "Empty")


def test_too_many_texts_are_refused():
    assert refused("/tokenize", (hash_spec(),), limited(max_items=1), inputs=["a", "b"]) == (422, "Validation")


def test_where_several_models_are_served_one_must_be_named():
    models = (hash_spec("one"), hash_spec("two"))

    assert refused("/tokenize", models, inputs="a") == (422, "Validation")
    assert asked("/tokenize", models, inputs="a", model="two").model == "two"


@pytest.mark.parametrize(("path", "body"), [("/tokenize", {"inputs": "a"}), ("/decode", {"ids": [7]})])
def test_beside_a_reranker_the_model_that_is_described_is_meant(path, body):
    assert asked(path, (*RANKS, *EMBEDS), **body).model == "hash"
    assert asked(path, RANKS, **body).model == "overlap"


def test_a_prompt_is_found_by_any_name_of_its_model():
    limits = replace(limited(), find={"alias": PROMPTED[0]}.get)
    request = asked("/tokenize", PROMPTED, limits, inputs="a", prompt_name="query", model="alias")

    assert request.items == (Text("find: a", "none"),)


def test_a_prompt_of_a_model_that_is_not_served_is_refused_rather_than_left_out():
    assert refused("/tokenize", PROMPTED, inputs="a", prompt_name="query", model="other") == (424, "Backend")


# ------------------------------------------------------------------------------------------------ decode


@pytest.mark.parametrize(("ids", "texts"), [([7, 8], ["7 8"]), ([[7], [8, 9]], ["7", "8 9"])])
def test_ids_of_one_text_and_of_several_become_texts(ids, texts):
    assert told("/decode", ids=ids) == texts


def test_special_tokens_are_left_out_unless_they_are_wanted():
    plain, full = (told("/decode", ids=[0, 7], skip_special_tokens=skip)[0] for skip in (True, False))

    assert plain == "7"
    assert full.endswith(" 7")


@pytest.mark.parametrize(
    ("ids", "kind"),
    [([], "Empty"), ([[]], "Empty"), ([[7], []], "Empty"), ([7, [8]], "Validation"), ("7", "Validation")],
)
def test_other_lists_of_ids_are_refused(ids, kind):
    assert refused("/decode", ids=ids) == (400 if kind == "Empty" else 422, kind)


TEXTS = ("What is 文本, naïve unaffable? ✓", "x [SEP] y", "e-mail: a@b.c, 3.5 % (it doesn't)", "zażółć gęślą")


@pytest.fixture
def tokenizer(minilm_folder):
    tokenizer = tokenizers.Tokenizer.from_file(str(minilm_folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@pytest.mark.weights
@pytest.mark.parametrize("prompt_name", [None, "query"])
@pytest.mark.parametrize("text", TEXTS)
def test_tokens_are_those_that_the_original_makes_of_the_librarys_encoding(text, prompt_name, minilm_folder, tokenizer):
    """`into_tokens` in core/src/tokenization.rs; the library counts characters in Python, and bytes in Rust."""
    spec = replace(draft(minilm_folder, name="hash", revision="1"), prompts={"query": "fïnd: "})
    request = asked("/tokenize", (spec,), inputs=text, prompt_name=prompt_name)
    answer = Tokenized(spec=spec, usage=Usage(1, 1), items=tuple(TextInput(minilm_folder, spec).pieces(request.items)))
    rows = json.loads(ROUTE.write(ROUTE.body(inputs=text, prompt_name=prompt_name), answer).body)

    assert rows == [into_tokens(tokenizer, ("fïnd: " if prompt_name else "") + text)]


def into_tokens(tokenizer, whole):
    made = tokenizer.encode(whole)
    names = zip(made.ids, made.tokens, made.offsets, made.special_tokens_mask, strict=True)
    return [_simple(*one, whole) for one in names]


def _simple(number, token, offsets, is_special, whole):
    start, stop = (len(whole[:place].encode()) for place in offsets)
    if is_special:
        return {"id": number, "text": token, "special": True, "start": None, "stop": None}
    return {"id": number, "text": whole.encode()[start:stop].decode(), "special": False, "start": start, "stop": stop}


@pytest.mark.weights
@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("text", TEXTS)
def test_ids_of_a_text_are_those_that_the_original_makes_of_them_again(text, special, tokenizer):
    """The original decodes ids with special tokens and encodes the text without adding any."""
    ids = tokenizer.encode(text, add_special_tokens=special).ids
    decoded = tokenizer.decode(ids, skip_special_tokens=False)

    assert tokenizer.encode(decoded, add_special_tokens=False).ids == ids
