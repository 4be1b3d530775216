"""Items become encodings: prompts, limits, cutting and refusals.

golden/pairs.json was recorded by transformers and the tokenizers library from the folders of support/tiny.py; it names
their versions and the call. `lengths` holds by room: tokens of the query and of the document, and what stayed of each.
"""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from embedstack.catalog import find
from embedstack.errors import BadRequest, ConfigError, TooLong
from embedstack.inputs.checks import check_text
from embedstack.inputs.pieces import longest_first
from embedstack.inputs.text import TextInput
from embedstack.modelspec import ModelSpec, Normalizer
from embedstack.types import Pair, Text, Tokens
from support.tiny import CASES, write

RECORDED = json.loads((Path(__file__).parents[1] / "golden/pairs.json").read_text())
CLS, SEP = 2, 3
FAMILIES = ["bert-mean", "xlm-roberta-cls"]
ENDS = ["left", "right"]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, ModelSpec]]:
    """Folder and spec of each tiny model that is used here."""
    root = tmp_path_factory.mktemp("tiny")
    made = {}
    for name in (*FAMILIES, "bert-classifier", "xlm-roberta-classifier"):
        folder = write(CASES[name], root / name)
        made[name] = (folder, find(str(folder), cache_dir=root / "cache").spec)
    return made


@pytest.fixture
def bert(models: dict[str, tuple[Path, ModelSpec]]) -> TextInput:
    return TextInput(*models["bert-mean"])


@pytest.fixture
def with_prompts(models: dict[str, tuple[Path, ModelSpec]]) -> TextInput:
    folder, spec = models["bert-mean"]
    return TextInput(folder, replace(spec, prompts={"query": "what is ", "clustering": "paper "}))


@pytest.fixture
def reranker(models: dict[str, tuple[Path, ModelSpec]]) -> TextInput:
    return TextInput(*models["bert-classifier"])


def ids(text_input: TextInput, *items: Text | Tokens | Pair, **limits: object) -> list[list[int]]:
    return [encoding.ids.tolist() for encoding in text_input.encode(items, **limits)]


def refusal(text_input: TextInput, *items: object, **limits: object) -> str:
    with pytest.raises(BadRequest) as caught:
        text_input.encode(items, **limits)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------ prompts


def test_the_role_chooses_the_prompt(with_prompts: TextInput) -> None:
    query, document, plain, clustering = ids(
        with_prompts, Text("panda", "query"), Text("panda"), Text("what is panda"), Text("panda", "clustering")
    )

    assert query == plain
    assert len(document) == len(query) - 2
    assert clustering not in (query, document)


@pytest.mark.parametrize("role", ["query", "document"])
def test_query_and_document_exist_in_a_model_without_prompts(bert: TextInput, role: str) -> None:
    assert ids(bert, Text("panda", role)) == ids(bert, Text("panda"))


def test_an_unknown_role_names_those_that_there_are(with_prompts: TextInput) -> None:
    message = refusal(with_prompts, Text("panda", "passage"))

    assert message == "role 'passage' is unknown to 'bert-mean'; send one of: clustering, document, none, query"


def test_the_role_none_puts_nothing_in_front(with_prompts: TextInput, bert: TextInput) -> None:
    assert ids(with_prompts, Text("panda", "none")) == ids(bert, Text("panda"))


@pytest.fixture
def needy(models: dict[str, tuple[Path, ModelSpec]]) -> TextInput:
    """Of a model that needs one of its prompts."""
    folder, spec = models["bert-mean"]
    prompts = {"query": "what is ", "document": "paper ", "clustering": "the moon "}
    return TextInput(folder, replace(spec, prompts=prompts, needs_prompt=True))


def test_a_model_that_needs_a_prompt_is_never_given_a_text_without_one(needy: TextInput) -> None:
    said = refusal(needy, Text("what is a panda", "none"), Text("a panda", "none"))

    assert "text 1 has no prompt, and" in said
    assert "send a role (query ('what is '), document ('paper '), clustering ('the moon '))" in said


@pytest.mark.parametrize("prompt", ["what is ", "paper ", "the moon "])
@pytest.mark.parametrize("role", ["none", "document"])
def test_a_prompt_that_is_written_already_is_not_put_there_again(
    needy: TextInput, bert: TextInput, role: str, prompt: str
) -> None:
    assert ids(needy, Text(f"{prompt}a panda", role)) == ids(bert, Text(f"{prompt}a panda"))


def test_the_prompt_of_a_role_is_not_put_before_itself(needy: TextInput, bert: TextInput) -> None:
    assert ids(needy, Text("what is a panda", "query")) == ids(bert, Text("what is a panda"))


def test_a_role_that_is_said_puts_its_prompt_before_another(needy: TextInput, bert: TextInput) -> None:
    assert ids(needy, Text("paper a panda", "query")) == ids(bert, Text("what is paper a panda"))


def test_a_model_that_needs_none_puts_its_prompt_before_every_text(with_prompts: TextInput, bert: TextInput) -> None:
    assert ids(with_prompts, Text("what is what", "query")) == ids(bert, Text("what is what is what"))


@pytest.mark.parametrize("framed", [True, False])
def test_token_ids_must_begin_with_a_prompt_that_the_model_needs(
    needy: TextInput, bert: TextInput, framed: bool
) -> None:
    end = slice(None) if framed else slice(1, -1)
    (bare,), (prompted,) = ids(bert, Text("a panda")), ids(bert, Text("paper a panda"))

    assert ids(needy, Tokens(tuple(prompted[end]))) == [prompted[end]]
    assert "token ids that begin with no prompt" in refusal(needy, Tokens(tuple(bare[end])))


def test_cutting_on_the_left_keeps_a_prompt_that_the_model_needs(needy: TextInput, bert: TextInput) -> None:
    made = ids(needy, Text("a panda and the sun", "query"), max_tokens=6, truncate="left")

    assert made == ids(bert, Text("what is the sun"))


def test_a_limit_leaves_room_for_a_prompt_that_the_model_needs(needy: TextInput) -> None:
    assert "needs 5 or more" in refusal(needy, Text("a panda"), max_tokens=4)


def test_what_a_tokeniser_makes_of_a_text_is_shown_without_a_prompt(needy: TextInput, bert: TextInput) -> None:
    (shown,) = needy.pieces([Text("a panda", "none")])

    assert [piece.id for piece in shown] == ids(bert, Text("a panda"))[0]


def test_a_prompt_counts_against_the_limit(with_prompts: TextInput) -> None:
    (encoding,) = with_prompts.encode([Text("panda bear", "query")], 5)

    assert (encoding.cost, encoding.dropped) == (5, 1)


def test_a_model_of_lower_case_lowers_what_its_tokeniser_would_not(
    models: dict[str, tuple[Path, ModelSpec]],
) -> None:
    folder, spec = models["xlm-roberta-cls"]

    as_it_is, lowered = ids(TextInput(folder, spec), Text("PANDA"), Text("panda"))

    assert as_it_is != lowered
    assert ids(TextInput(folder, replace(spec, lowercase=True)), Text("PANDA")) == [lowered]


def test_each_character_is_lowered_for_itself(models: dict[str, tuple[Path, ModelSpec]]) -> None:
    """As the tokenizers library does, which makes no other sigma of the last one."""
    folder, spec = models["bert-mean"]
    path = folder / "tokenizer.json"
    told = json.loads(path.read_text())
    told["model"]["vocab"] |= {"οδος": told["model"]["vocab"].pop("panda"), "οδοσ": told["model"]["vocab"].pop("bear")}
    other = folder.with_name("sigma")
    other.mkdir()
    (other / "tokenizer.json").write_text(json.dumps({**told, "normalizer": None}))
    reader = TextInput(other, replace(spec, lowercase=True))

    assert ids(reader, Text("ΟΔΟΣ")) == [[2, told["model"]["vocab"]["οδοσ"], 3]]


UNKNOWN = 1
IN_ORDER = ("Panda BEAR", "pándá bear", "panda\x00bear\u200b sun", "sun日moon", "ÉTÉ 1 sun")


def read_by(models: dict[str, tuple[Path, ModelSpec]], **how: bool) -> list[list[int]]:
    folder, spec = models["bert-mean"]
    usual = Normalizer(lowercase=True, strip_accents=True, splits_chinese=True)
    return ids(TextInput(folder, replace(spec, normalizer=replace(usual, **how))), *map(Text, IN_ORDER))


def test_a_spec_may_put_texts_in_order_in_another_way_than_the_file(
    models: dict[str, tuple[Path, ModelSpec]], bert: TextInput
) -> None:
    usual = ids(bert, *map(Text, IN_ORDER))

    assert read_by(models) == usual
    assert read_by(models, lowercase=False)[0] == [CLS, UNKNOWN, UNKNOWN, SEP]
    assert read_by(models, strip_accents=False)[1] == [CLS, UNKNOWN, usual[1][2], SEP]
    assert read_by(models, splits_chinese=False)[3] == [CLS, UNKNOWN, SEP]


TOLD = ({}, {"do_lower_case": False}, {"strip_accents": False}, {"tokenize_chinese_chars": False},
        {"do_lower_case": False, "strip_accents": True}, {"strip_accents": None})  # fmt: skip


@pytest.mark.reference
@pytest.mark.parametrize("told", TOLD, ids=str)
@pytest.mark.parametrize("kind", ["BertTokenizer", "DistilBertTokenizerFast", ""])
def test_what_the_settings_of_a_tokeniser_say_is_followed_as_transformers_does(
    tmp_path: Path, told: dict[str, object], kind: str
) -> None:
    judge = pytest.importorskip("transformers", reason="transformers is not installed")
    folder = write(CASES["bert-mean"], tmp_path / "model")
    settings = json.loads((folder / "tokenizer_config.json").read_text()) | {"tokenizer_class": kind or None} | told
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))

    made = ids(TextInput(folder, find(str(folder), cache_dir=tmp_path).spec), *map(Text, IN_ORDER))

    assert made == judge.AutoTokenizer.from_pretrained(folder)(list(IN_ORDER)).input_ids


def test_a_pair_is_lowered_too(models: dict[str, tuple[Path, ModelSpec]]) -> None:
    folder, spec = models["xlm-roberta-classifier"]
    lowering = TextInput(folder, replace(spec, lowercase=True))

    assert ids(lowering, Pair("PANDA", "BEAR")) == ids(TextInput(folder, spec), Pair("panda", "bear"))


# ------------------------------------------------------------------------------------------------ limits


def test_a_text_within_the_limit_is_whole(bert: TextInput) -> None:
    (encoding,) = bert.encode([Text("the sun and the moon")], 7)

    assert (encoding.cost, encoding.dropped, encoding.segments) == (7, 0, None)


@pytest.mark.parametrize("family", FAMILIES)
def test_cutting_on_the_right_keeps_the_first_words_between_the_special_tokens(
    models: dict[str, tuple[Path, ModelSpec]], family: str
) -> None:
    whole, cut = (ids(TextInput(*models[family]), Text("sun moon star tree bird"), max_tokens=n)[0] for n in (7, 4))

    assert cut == [*whole[:3], whole[-1]]


@pytest.mark.parametrize("family", FAMILIES)
def test_cutting_on_the_left_keeps_the_last_words_between_the_special_tokens(
    models: dict[str, tuple[Path, ModelSpec]], family: str
) -> None:
    text_input = TextInput(*models[family])
    whole, cut = (ids(text_input, Text("sun moon star tree bird"), max_tokens=n, truncate="left")[0] for n in (7, 4))

    assert cut == [whole[0], *whole[-3:]]


def test_the_models_own_limit_holds_where_none_is_asked(bert: TextInput) -> None:
    short, long = bert.encode([Text("sun"), Text("moon " * 100)])

    assert (short.cost, short.dropped) == (3, 0)
    assert (long.cost, long.dropped) == (40, 62)


def test_a_limit_above_the_models_own_does_not_raise_it(bert: TextInput) -> None:
    assert bert.encode([Text("moon " * 100)], 4096)[0].cost == 40


@pytest.mark.parametrize("max_tokens", [-1, 0, 2])
def test_a_limit_without_room_for_a_token_is_refused(bert: TextInput, max_tokens: int) -> None:
    message = refusal(bert, Text("sun"), max_tokens=max_tokens)

    assert message == f"max_tokens={max_tokens} leaves no room for a text; 'bert-mean' needs 3 or more"


def test_the_least_limit_leaves_one_token(bert: TextInput) -> None:
    assert ids(bert, Text("sun moon"), max_tokens=3) == ids(bert, Text("sun"))


def test_a_pair_needs_room_for_two(reranker: TextInput) -> None:
    assert "leaves no room for a pair" in refusal(reranker, Pair("sun", "moon"), max_tokens=4)
    assert ids(reranker, Pair("sun star", "moon tree"), max_tokens=5) == ids(reranker, Pair("sun", "moon"))


def test_a_model_too_short_for_a_pair_is_refused(models: dict[str, tuple[Path, ModelSpec]]) -> None:
    folder, spec = models["bert-classifier"]

    assert "needs 5 or more" in refusal(TextInput(folder, replace(spec, max_tokens=4)), Pair("sun", "moon"))


def test_refuse_names_the_text_its_tokens_and_the_limit(bert: TextInput) -> None:
    with pytest.raises(TooLong) as caught:
        bert.encode([Text("sun"), Text("moon " * 60)], truncate="refuse")

    assert str(caught.value) == (
        "text 1 has 62 tokens, the limit is 40 for 'bert-mean'; send truncate=right or left, or split it"
    )


def test_refuse_lets_a_text_of_exactly_the_limit_pass(bert: TextInput) -> None:
    assert bert.encode([Text("sun moon")], 4, "refuse")[0].cost == 4


def test_refuse_of_a_pair_names_the_document(reranker: TextInput) -> None:
    with pytest.raises(TooLong, match=r"^document 1 with its query has 63 tokens, the limit is 40"):
        reranker.encode([Pair("sun", "moon"), Pair("sun " * 30, "moon " * 30)], truncate="refuse")


@pytest.mark.parametrize("end", ENDS)
def test_a_documents_own_limit_cuts_the_document_and_never_the_query(reranker: TextInput, end: str) -> None:
    words = ["moon tree", "tree moon"]
    long = Pair("sun " * 9, " ".join(words))
    kept = Pair("sun " * 9, words[0] if end == "right" else words[1])

    cut, whole = (reranker.encode([pair], None, end, document_tokens=2)[0] for pair in (long, kept))

    assert cut.ids.tolist() == whole.ids.tolist()
    assert (cut.dropped, whole.dropped) == (2, 0)


def test_a_documents_own_limit_and_that_of_the_pair_hold_together(reranker: TextInput) -> None:
    (encoding,) = reranker.encode([Pair("sun " * 9, "moon " * 9)], 11, document_tokens=3)

    assert (encoding.ids.tolist().count(SEP), encoding.cost, encoding.dropped) == (2, 11, 10)


@pytest.mark.parametrize("tokens", [3, 100])  # within the model's own limit, and over it
@pytest.mark.parametrize("model", ["bert-classifier", "xlm-roberta-classifier"])
def test_a_document_over_its_own_limit_is_refused_by_name_when_asked(
    models: dict[str, tuple[Path, ModelSpec]], model: str, tokens: int
) -> None:
    pairs = [Pair("sun", "moon"), Pair("sun", " ".join(["moon"] * tokens))]

    with pytest.raises(TooLong, match=rf"^document 1 has {tokens} tokens, the limit is document_tokens=2"):
        TextInput(*models[model]).encode(pairs, truncate="refuse", document_tokens=2)


def test_a_documents_own_limit_leaves_it_something(reranker: TextInput) -> None:
    with pytest.raises(BadRequest, match="document_tokens=0"):
        reranker.encode([Pair("sun", "moon")], document_tokens=0)


@pytest.mark.parametrize(
    ("pair", "max_tokens", "ids"),
    [
        (Pair("", "moon tree sun"), None, [CLS, SEP, 45, 42, 44, SEP]),
        (Pair("", "moon tree sun"), 5, [CLS, SEP, 45, 42, SEP]),
        (Pair("sun tree moon", ""), None, [CLS, 44, 42, 45, SEP, SEP]),
        (Pair("sun tree moon", ""), 5, [CLS, 44, 42, SEP, SEP]),
    ],
)
def test_one_side_of_a_pair_may_be_empty_as_in_a_batch_of_transformers(
    reranker: TextInput, pair: Pair, max_tokens: int | None, ids: list[int]
) -> None:
    """Made with `tokenizer([query], [document])` of transformers 5.23; the call without lists takes "" for no pair."""
    assert reranker.encode([pair], max_tokens)[0].ids.tolist() == ids


def test_an_unknown_end_is_refused_though_nothing_is_cut(bert: TextInput) -> None:
    assert "truncate='middle' is unknown; use one of: refuse, left, right" in refusal(
        bert, Text("sun"), truncate="middle"
    )


# ------------------------------------------------------------------------------------------------ pairs


@pytest.mark.parametrize("room", RECORDED["lengths"])
def test_the_longer_of_a_pair_is_cut_first_as_transformers_does(room: str) -> None:
    rows = RECORDED["lengths"][room]

    made = [[first, second, *longest_first(first, second, int(room))] for first, second, _, _ in rows]

    assert made == rows


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("model", ["bert-classifier", "xlm-roberta-classifier"])
def test_a_cut_pair_is_token_by_token_what_transformers_makes(
    models: dict[str, tuple[Path, ModelSpec]], model: str, end: str
) -> None:
    rows = [row for row in RECORDED["pairs"] if (row["model"], row["side"]) == (model, end)]
    text_input = TextInput(*models[model])

    made = [text_input.encode([Pair(r["query"], r["document"])], r["max_tokens"], end)[0] for r in rows]

    assert len(rows) == 15
    assert [e.ids.tolist() for e in made] == [r["ids"] for r in rows]
    assert [e.dropped for e in made] == [r["dropped"] for r in rows]
    assert [None if e.segments is None else e.segments.tolist() for e in made] == [r["segments"] for r in rows]


def test_a_whole_pair_has_segments_where_the_model_has_them(models: dict[str, tuple[Path, ModelSpec]]) -> None:
    (bert,) = TextInput(*models["bert-classifier"]).encode([Pair("sun", "moon tree")])
    (roberta,) = TextInput(*models["xlm-roberta-classifier"]).encode([Pair("sun", "moon tree")])

    assert bert.segments is not None
    assert bert.segments.tolist() == [0, 0, 0, 1, 1, 1]
    assert roberta.segments is None


# ------------------------------------------------------------------------------------------------ the tokeniser's file


def with_file(folder: Path, spec: ModelSpec, tokenizer: Tokenizer, to: Path) -> TextInput:
    tokenizer.save(str(to / "tokenizer.json"))
    return TextInput(to, spec)


def test_truncation_and_padding_baked_into_the_file_are_switched_off(
    models: dict[str, tuple[Path, ModelSpec]], tmp_path: Path
) -> None:
    folder, spec = models["bert-mean"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=5)
    texts = [Text("sun"), Text("sun moon star tree bird river")]
    assert [len(e.ids) for e in tokenizer.encode_batch([t.text for t in texts])] == [5, 5]

    assert ids(with_file(folder, spec, tokenizer, tmp_path), *texts) == ids(TextInput(folder, spec), *texts)


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"model": {"type": "Unheard"}}', b"\xff\xfe\x00"])
def test_a_missing_or_broken_file_is_named(
    models: dict[str, tuple[Path, ModelSpec]], tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_bytes(content)

    with pytest.raises(ConfigError, match=r"tokenizer\.json' is no tokenizer .*; pull the model again"):
        TextInput(tmp_path, models["bert-mean"][1])


@pytest.fixture
def with_a_new_token(models: dict[str, tuple[Path, ModelSpec]], tmp_path: Path) -> TextInput:
    """A tokeniser that a token was added to, and a model that has no row for it."""
    folder, spec = models["xlm-roberta-cls"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens(["panda-bear"])
    return with_file(folder, spec, tokenizer, tmp_path)


def test_a_token_of_a_text_outside_the_vocabulary_is_refused(
    models: dict[str, tuple[Path, ModelSpec]], with_a_new_token: TextInput
) -> None:
    last = models["xlm-roberta-cls"][1].architecture.vocab - 1

    message = refusal(with_a_new_token, Text("sun"), Text("the panda-bear"))

    assert message == (
        f"text 1 has the token 'panda-bear', whose id is outside 0..{last}, the vocabulary of 'xlm-roberta-cls'; "
        "leave it out"
    )


def test_a_token_of_a_pair_outside_the_vocabulary_is_refused(with_a_new_token: TextInput) -> None:
    message = refusal(with_a_new_token, Pair("sun", "moon"), Pair("sun", "the panda-bear"))

    assert message.startswith("document 1 with its query has the token 'panda-bear', whose id is outside")


def test_a_tokeniser_with_more_tokens_than_the_model_takes_all_other_texts(
    models: dict[str, tuple[Path, ModelSpec]], with_a_new_token: TextInput
) -> None:
    assert ids(with_a_new_token, Text("the panda")) == ids(TextInput(*models["xlm-roberta-cls"]), Text("the panda"))


# ------------------------------------------------------------------------------------------------ token ids


def test_token_ids_are_taken_as_they_are(bert: TextInput) -> None:
    (encoding,) = bert.encode([Tokens((CLS, 9, SEP))])

    assert (encoding.ids.tolist(), encoding.ids.dtype, encoding.dropped) == ([CLS, 9, SEP], np.int32, 0)


@pytest.mark.parametrize("edge", [-1, 10**12, "vocab"])
def test_a_token_id_outside_the_vocabulary_is_refused(
    models: dict[str, tuple[Path, ModelSpec]], bert: TextInput, edge: int | str
) -> None:
    vocab = models["bert-mean"][1].architecture.vocab

    message = refusal(bert, Text("sun"), Tokens((CLS, vocab if edge == "vocab" else edge, SEP)))

    assert message == f"text 1 has a token id outside 0..{vocab - 1}, the vocabulary of 'bert-mean'"


def test_the_last_token_id_of_the_vocabulary_is_taken(
    models: dict[str, tuple[Path, ModelSpec]], bert: TextInput
) -> None:
    last = models["bert-mean"][1].architecture.vocab - 1

    assert ids(bert, Tokens((0, last))) == [[0, last]]


def test_an_empty_list_of_token_ids_is_refused(bert: TextInput) -> None:
    assert refusal(bert, Tokens(())) == "text 0 is an empty list of token ids; send at least one"


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_token_ids_are_cut_as_their_text_is(models: dict[str, tuple[Path, ModelSpec]], family: str, end: str) -> None:
    text_input = TextInput(*models[family])
    text = Text("sun moon star tree bird")
    (whole,) = text_input.encode([text])

    from_text, from_ids = text_input.encode([text, Tokens(tuple(whole.ids.tolist()))], 4, end)

    assert from_ids.ids.tolist() == from_text.ids.tolist()
    assert from_ids.dropped == from_text.dropped == 3


@pytest.mark.parametrize(("end", "kept"), [("right", [9, 8, 7, 6]), ("left", [7, 6, 5, 4])])
def test_token_ids_without_special_tokens_are_cut_at_the_end_that_is_named(
    bert: TextInput, end: str, kept: list[int]
) -> None:
    assert ids(bert, Tokens((9, 8, 7, 6, 5, 4)), max_tokens=4, truncate=end) == [kept]


def test_token_ids_over_the_limit_are_refused_when_asked(bert: TextInput) -> None:
    with pytest.raises(TooLong, match="text 0 has 41 tokens"):
        bert.encode([Tokens((9,) * 41)], truncate="refuse")


def test_texts_and_token_ids_keep_their_order(bert: TextInput) -> None:
    mixed = ids(bert, Tokens((7,)), Text("sun"), Tokens((8,)), Text("moon"))

    assert (mixed[0], mixed[2]) == ([7], [8])
    assert [mixed[1], mixed[3]] == ids(bert, Text("sun"), Text("moon"))


def test_no_items_give_no_encodings(bert: TextInput) -> None:
    assert bert.encode([]) == []


# ------------------------------------------------------------------------------------------------ bad and odd texts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "text 1 is empty; send at least one character or leave it out"),
        (5, "text 1 is int, not a string; send text"),
        (None, "text 1 is NoneType, not a string; send text"),
        (b"sun", "text 1 is bytes, not a string; send text"),
        ("sun \ud800", "text 1 holds a lone surrogate at character 4; send valid Unicode"),
    ],
)
def test_what_no_tokeniser_can_take_is_refused_by_its_place(bert: TextInput, text: object, message: str) -> None:
    assert refusal(bert, Text("sun"), Text(text)) == message  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pair", "place"),
    [
        (Pair("", ""), "document 0 and the query are both empty"),
        (Pair("\ud800", ""), "the query holds"),
        (Pair("sun", 5), "document 0 is int"),
    ],
)
def test_a_bad_pair_says_which_half_is_bad(reranker: TextInput, pair: Pair, place: str) -> None:
    assert refusal(reranker, pair).startswith(place)


def test_a_text_over_the_limit_of_characters_is_refused_before_it_is_tokenised(
    models: dict[str, tuple[Path, ModelSpec]],
) -> None:
    text_input = TextInput(*models["bert-mean"], max_text_chars=10)

    with pytest.raises(TooLong, match="text 0 has 11 characters, the limit is 10; split it"):
        text_input.encode([Text("a" * 11)])
    assert text_input.encode([Text("a" * 10)])[0].cost > 2


@pytest.mark.parametrize("text", ["a\x00b", "\x00", " \n\t", "\u200b", "\ufeffsun", "🐼", "e\u0301", "\U0010ffff"])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_odd_text_gets_an_encoding_with_its_special_tokens(
    models: dict[str, tuple[Path, ModelSpec]], family: str, text: str
) -> None:
    (encoding,) = TextInput(*models[family]).encode([Text(text)])

    assert encoding.cost >= 2
    assert [encoding.ids[0], encoding.ids[-1]] == ([2, 3] if family == "bert-mean" else [0, 2])


@pytest.mark.parametrize("role", ["", "Query"])
def test_roles_are_matched_exactly(bert: TextInput, role: str) -> None:
    assert f"role {role!r} is unknown" in refusal(bert, Text("sun", role))


def test_check_text_lets_a_good_text_pass() -> None:
    check_text("sun", "text 0", 3)


# ------------------------------------------------------------------------------------------------ threads


def test_several_threads_get_what_one_gets(bert: TextInput) -> None:
    texts = [Text(f"sun {'moon ' * (n % 50)}") for n in range(200)]
    limits = [5 + n % 30 for n in range(200)]
    alone = [ids(bert, text, max_tokens=limit)[0] for text, limit in zip(texts, limits, strict=True)]

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda t, n: ids(bert, t, max_tokens=n)[0], texts, limits))

    assert together == alone
    assert len(Counter(map(len, together))) > 10


# ------------------------------------------------------------------------------------------------ the real tokeniser


@pytest.mark.weights
def test_the_default_model_is_cut_at_256_and_never_padded(minilm_folder: Path, tmp_path: Path) -> None:
    text_input = TextInput(minilm_folder, find(str(minilm_folder), cache_dir=tmp_path).spec)

    short, long = text_input.encode([Text("hello world"), Text("hello " * 400)])

    assert short.ids.tolist() == [101, 7592, 2088, 102]
    assert (long.cost, long.dropped, long.ids[-1]) == (256, 146, 102)
