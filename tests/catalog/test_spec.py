"""A folder becomes a spec, or a refusal that names the part."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from model_folders import as_json, bge_m3, minilm, modules, pooling, reranker, without, write

from embedstack.catalog.catalog import entry_of
from embedstack.catalog.digests import Digests
from embedstack.catalog.spec import read_spec
from embedstack.errors import ConfigError, EmbedstackError, Unsupported
from embedstack.models import bert
from embedstack.modelspec import Architecture, ModelSpec, Normalizer


def read(tmp_path: Path, files: dict[str, bytes], catalog: str = "") -> ModelSpec:
    number = len(list(tmp_path.iterdir()))
    folder = write(tmp_path / str(number), files)
    return read_spec(
        folder, name="org/model", revision="r", digests=Digests(tmp_path / "cache"), entry=entry_of(catalog)
    )


def refusal(tmp_path: Path, files: dict[str, bytes], catalog: str = "") -> EmbedstackError:
    with pytest.raises(EmbedstackError) as caught:
        read(tmp_path, files, catalog)
    return caught.value


def test_all_minilm_is_read_as_its_repository_states_it(tmp_path: Path) -> None:
    spec = read(tmp_path, minilm())

    assert spec.architecture == Architecture(
        family="bert", layers=6, hidden=384, heads=12, intermediate=1536, vocab=30522, positions=512, segments=2
    )
    assert (spec.task, spec.outputs, spec.dim, spec.max_tokens) == ("embed", ("dense",), 384, 256)
    assert (spec.pooling, spec.normalize, dict(spec.prompts)) == ("mean", True, {})
    assert (spec.head, spec.labels, spec.sparse_ignore, spec.licence) == ("none", 0, (), "apache-2.0")


def test_bge_m3_gives_three_outputs_and_counts_positions_from_after_the_padding_row(tmp_path: Path) -> None:
    spec = read(tmp_path, bge_m3(), "bge-m3")

    assert spec.outputs == ("dense", "sparse", "multi")
    assert (spec.architecture.position_offset, spec.architecture.segments, spec.max_tokens) == (2, 1, 8192)
    assert (spec.pooling, spec.sparse_ignore, spec.licence) == ("cls", (0, 1, 2, 3), "MIT")


def test_ms_marco_is_a_reranker_whose_scores_are_logits(tmp_path: Path) -> None:
    spec = read(tmp_path, reranker())

    assert (spec.task, spec.outputs, spec.dim, spec.max_tokens) == ("rerank", ("score",), 0, 512)
    assert (spec.head, spec.labels, spec.score_activation) == ("bert", 1, "identity")


def test_a_head_that_the_catalog_promises_must_be_there(tmp_path: Path) -> None:
    error = refusal(tmp_path, without(bge_m3(), "sparse_linear.pt"), "bge-m3")

    assert isinstance(error, ConfigError)
    assert "sparse_linear.pt" in error.message


def test_an_output_exists_only_where_its_head_file_does(tmp_path: Path) -> None:
    spec = read(tmp_path, without(bge_m3(), "colbert_linear.pt"))

    assert spec.outputs == ("dense", "sparse")


def test_heads_beside_another_pooling_are_not_an_output(tmp_path: Path) -> None:
    spec = read(tmp_path, {**bge_m3(), "1_Pooling/config.json": pooling("mean_tokens", 1024)})

    assert spec.outputs == ("dense",)


def test_sparse_vectors_need_to_know_the_special_tokens(tmp_path: Path) -> None:
    error = refusal(tmp_path, {**bge_m3(), "tokenizer.json": as_json({"added_tokens": []})})

    assert isinstance(error, ConfigError)
    assert "cls_token" in error.message


def test_special_tokens_may_be_written_as_objects(tmp_path: Path) -> None:
    tokens = {kind: {"content": text} for kind, text in (("cls_token", "<s>"), ("eos_token", "</s>"))}
    tokens |= {"pad_token": {"content": "<pad>"}, "unk_token": {"content": "<unk>"}}

    spec = read(tmp_path, {**bge_m3(), "tokenizer_config.json": as_json(tokens)})

    assert spec.sparse_ignore == (0, 1, 2, 3)


# ------------------------------------------------------------------------------------------------ identity

CHANGES = {
    "weights": {"model.safetensors": b"other weights"},
    "tokenizer": {"tokenizer.json": as_json({"added_tokens": [], "version": "2"})},
    "pooling": {"1_Pooling/config.json": pooling("cls_token")},
    "normalisation": {"modules.json": modules("Transformer", "Pooling")},
    "prompts": {"config_sentence_transformers.json": as_json({"prompts": {"query": "query: "}})},
    "limit": {"sentence_bert_config.json": as_json({"max_seq_length": 128})},
    "epsilon": {"config.json": minilm(layer_norm_eps=1e-5)["config.json"]},
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES)
def test_what_changes_a_vector_changes_the_space(tmp_path: Path, changed: dict[str, bytes]) -> None:
    assert read(tmp_path, {**minilm(), **changed}).space != read(tmp_path, minilm()).space


def test_a_change_of_a_familys_code_changes_its_spaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read(tmp_path, minilm()).space
    raised = replace(bert.FAMILY, graph=bert.FAMILY.graph + 1)
    monkeypatch.setattr("embedstack.catalog.spec.family_of", lambda model_type, name: raised)

    assert read(tmp_path, minilm()).space != before


KEPT = {
    "licence": {"README.md": b"---\nlicense: mit\n---\n"},
    "dropout": {"config.json": minilm(hidden_dropout_prob=0.5)["config.json"]},
    "empty prompts": {"config_sentence_transformers.json": as_json({"prompts": {"query": "", "document": ""}})},
}


@pytest.mark.parametrize("changed", KEPT.values(), ids=KEPT)
def test_what_changes_no_vector_keeps_the_space(tmp_path: Path, changed: dict[str, bytes]) -> None:
    assert read(tmp_path, {**minilm(), **changed}).space == read(tmp_path, minilm()).space


def test_the_name_of_the_weight_file_does_not_matter(tmp_path: Path) -> None:
    files = minilm()
    renamed = {**without(files, "model.safetensors"), "pytorch_model.bin": files["model.safetensors"]}

    assert read(tmp_path, renamed).space == read(tmp_path, files).space


def test_the_order_of_the_weight_files_does_not_matter(tmp_path: Path) -> None:
    rest = without(minilm(), "model.safetensors")
    index = {"model.safetensors.index.json": as_json({"weight_map": {"x": "a", "y": "b"}})}

    spaces = {read(tmp_path, {**rest, **index, "a": a, "b": b}).space for a, b in ((b"1", b"2"), (b"2", b"1"))}

    assert len(spaces) == 1


# ------------------------------------------------------------------------------------------------ the architecture


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "camembert"])
def test_our_families_are_taken(tmp_path: Path, family: str) -> None:
    assert read(tmp_path, minilm(model_type=family)).architecture.family == family


def test_another_family_is_refused_by_name(tmp_path: Path) -> None:
    error = refusal(tmp_path, minilm(model_type="funnel"))

    assert isinstance(error, Unsupported)
    assert "'funnel'" in error.message
    assert "bert, roberta, xlm-roberta, camembert" in error.message


REFUSED = {
    "relative positions": ({"position_embedding_type": "relative_key"}, "relative_key"),
    "gelu_10": ({"hidden_act": "gelu_10"}, "gelu_10"),
    "decoder": ({"is_decoder": True}, "is_decoder"),
    "quantised": ({"quantization_config": {"bits": 8}}, "quantization_config"),
}


@pytest.mark.parametrize(("config", "named"), REFUSED.values(), ids=REFUSED)
def test_a_switch_that_no_graph_of_ours_has_is_refused_by_name(
    tmp_path: Path, config: dict[str, object], named: str
) -> None:
    error = refusal(tmp_path, minilm(**config))

    assert isinstance(error, Unsupported)
    assert named in error.message


def test_code_that_a_repository_brings_is_passed_over(tmp_path: Path) -> None:
    """It is not run: the graph is ours."""
    brought = {"AutoConfig": "org/code--configuration.Config", "AutoModel": "org/code--modeling.Model"}

    assert read(tmp_path, minilm(auto_map=brought)).space == read(tmp_path, minilm()).space


ACTIVATIONS = [
    ("gelu", "gelu"),
    ("gelu_new", "gelu_tanh"),
    ("gelu_fast", "gelu_tanh"),
    ("gelu_pytorch_tanh", "gelu_tanh"),
    ("relu", "relu"),
    ("silu", "silu"),
    ("swish", "silu"),
    ("tanh", "tanh"),
]


@pytest.mark.parametrize(("stated", "ours"), ACTIVATIONS)
def test_activations_are_mapped_to_their_exact_form(tmp_path: Path, stated: str, ours: str) -> None:
    assert read(tmp_path, minilm(hidden_act=stated)).architecture.activation == ours


@pytest.mark.parametrize(("family", "pad", "offset"), [("bert", 7, 0), ("roberta", 1, 2), ("camembert", 4, 5)])
def test_positions_of_the_roberta_kind_begin_after_the_padding_id(
    tmp_path: Path, family: str, pad: int, offset: int
) -> None:
    assert read(tmp_path, minilm(model_type=family, pad_token_id=pad)).architecture.position_offset == offset


def test_a_config_without_a_padding_id_has_its_familys_own(tmp_path: Path) -> None:
    assert read(tmp_path, minilm(model_type="roberta", pad_token_id=None)).architecture.position_offset == 2


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"hidden_size": "384"}, "hidden_size"),
        ({"num_hidden_layers": None}, "num_hidden_layers"),
        ({"num_attention_heads": 7}, "num_attention_heads"),
        ({"layer_norm_eps": "small"}, "layer_norm_eps"),
        ({"model_type": 3}, "model_type"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named_with_its_file(
    tmp_path: Path, config: dict[str, object], field: str
) -> None:
    error = refusal(tmp_path, minilm(**config))

    assert isinstance(error, ConfigError)
    assert field in error.message
    assert "config.json" in error.message


# ------------------------------------------------------------------------------------------------ limits

UNSTATED = {"sentence_bert_config.json": b"{}"}
LIMITS = [
    ({"sentence_bert_config.json": as_json({"max_seq_length": 100})}, 100),
    ({"sentence_bert_config.json": as_json({"max_seq_length": 9999})}, 512),
    ({"sentence_bert_config.json": as_json({"max_seq_length": None})}, 512),
    ({"tokenizer_config.json": as_json({"model_max_length": 64})}, 256),
    ({**UNSTATED, "tokenizer_config.json": as_json({"model_max_length": 64})}, 64),
    ({**UNSTATED, "tokenizer_config.json": as_json({"model_max_length": 9999})}, 512),
    ({**UNSTATED, "tokenizer_config.json": b'{"model_max_length": 1000000000000000019884624838656}'}, 512),
    ({**UNSTATED, "tokenizer_config.json": b'{"model_max_length": 1e30}'}, 512),
    ({**UNSTATED, "tokenizer_config.json": b"{}"}, 512),
    ({"sentence_bert_config.json": b'{"max_seq_length": 1000000000000000019884624838656}'}, 512),
    ({"config.json": minilm(model_type="roberta", pad_token_id=1, max_position_embeddings=66)["config.json"]}, 64),
]


@pytest.mark.parametrize(("changed", "tokens"), LIMITS)
def test_the_recipes_limit_replaces_the_tokenisers_and_positions_cap_both(
    tmp_path: Path, changed: dict[str, bytes], tokens: int
) -> None:
    assert read(tmp_path, {**minilm(), **changed}).max_tokens == tokens


def test_the_settings_may_have_the_familys_name(tmp_path: Path) -> None:
    files = without(minilm(), "sentence_bert_config.json")

    spec = read(tmp_path, {**files, "sentence_xlm-roberta_config.json": as_json({"max_seq_length": 77})})

    assert spec.max_tokens == 77


@pytest.mark.parametrize("name", ["sentence_bert_config.json", "tokenizer_config.json"])
def test_a_limit_that_leaves_no_room_is_an_error(tmp_path: Path, name: str) -> None:
    limits = as_json({"max_seq_length": 0, "model_max_length": 0})

    error = refusal(tmp_path, {**minilm(), **UNSTATED, name: limits})

    assert isinstance(error, ConfigError)
    assert "leaves room for 0 tokens" in error.message


ABSURD = ["1e400", "-1e400", "NaN", "Infinity", "1" + "0" * 400]


@pytest.mark.parametrize("number", ABSURD, ids=lambda number: number[:9])
@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("config.json", "layer_norm_eps"),
        ("config.json", "hidden_size"),
        ("config.json", "max_position_embeddings"),
        ("tokenizer_config.json", "model_max_length"),
        ("sentence_bert_config.json", "max_seq_length"),
    ],
)
def test_a_number_that_is_none_is_named_with_its_file_and_value(
    tmp_path: Path, file: str, key: str, number: str
) -> None:
    stated = {**json.loads(minilm()[file]), key: 0}

    error = refusal(
        tmp_path,
        {**minilm(), **UNSTATED, file: as_json(stated).replace(f'"{key}": 0'.encode(), f'"{key}": {number}'.encode())},
    )

    assert isinstance(error, ConfigError)
    assert file in error.message
    assert f"{key!r} is {str(json.loads(number))[:50]}" in error.message
    assert len(error.message) < 400


def test_a_token_id_that_is_none_is_an_error(tmp_path: Path) -> None:
    tokens = [{"id": 10**30, "content": "[PAD]"}]

    error = refusal(tmp_path, {**minilm(), "tokenizer.json": as_json({"added_tokens": tokens})})

    assert isinstance(error, ConfigError)
    assert "tokenizer.json" in error.message


# ------------------------------------------------------------------------------------------------ broken folders


def test_a_folder_without_tokenizer_json_says_how_to_make_one(tmp_path: Path) -> None:
    error = refusal(tmp_path, without(minilm(), "tokenizer.json"))

    assert isinstance(error, ConfigError)
    assert "AutoTokenizer" in error.message


@pytest.mark.parametrize("broken", [b'{"hidden_size": 384,\n "hid', b"", b"\xff\xfe", b"[" * 100_000, b"[1]"])
def test_a_broken_config_is_named(tmp_path: Path, broken: bytes) -> None:
    error = refusal(tmp_path, {**minilm(), "config.json": broken})

    assert isinstance(error, ConfigError)
    assert "config.json" in error.message


def test_a_truncated_config_is_named_with_the_place(tmp_path: Path) -> None:
    error = refusal(tmp_path, {**minilm(), "config.json": b'{"hidden_size": 384,\n "hid'})

    assert "line 2, column 2" in error.message


@pytest.mark.parametrize("broken", [b"{", b"[]", b'{"added_tokens": 3}'])
def test_a_broken_tokenizer_is_named(tmp_path: Path, broken: bytes) -> None:
    error = refusal(tmp_path, {**minilm(), "tokenizer.json": broken})

    assert isinstance(error, ConfigError)
    assert "tokenizer.json" in error.message


def test_a_folder_without_weights_says_what_it_needs(tmp_path: Path) -> None:
    error = refusal(tmp_path, without(minilm(), "model.safetensors"))

    assert isinstance(error, ConfigError)
    assert "model.safetensors or pytorch_model.bin" in error.message


TAKES_THE_FILE = as_json({"tokenizer_class": "PreTrainedTokenizerFast"})
BERT_NORMALIZER = {
    "type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True
}  # fmt: skip


def tokenised(normalizer: object, told: dict[str, object], **config: object) -> dict[str, bytes]:
    return {
        **minilm(**config),
        "tokenizer.json": as_json({"normalizer": normalizer, "model": {"type": "WordPiece", "vocab": {"[PAD]": 0}}}),
        "tokenizer_config.json": as_json(told),
    }


CASED = {**BERT_NORMALIZER, "lowercase": False}
ALIKE = {
    "nothing is stated": (BERT_NORMALIZER, {}),
    "all is stated": (BERT_NORMALIZER, {"do_lower_case": True, "strip_accents": None, "tokenize_chinese_chars": True}),
    "accents in other words": ({**BERT_NORMALIZER, "strip_accents": True}, {"tokenizer_class": "BertTokenizerFast"}),
    "cased, as multilingual BERT": (CASED, {"do_lower_case": False, "tokenizer_class": "BertTokenizer"}),
    "a tokeniser that takes the file": (CASED, {"tokenizer_class": "PreTrainedTokenizerFast"}),
    "a tokeniser of another kind": ({"type": "NFKC"}, {"tokenizer_class": "XLMRobertaTokenizer"}),
}


@pytest.mark.parametrize(("normalizer", "told"), ALIKE.values(), ids=ALIKE)
def test_where_both_files_of_a_tokeniser_say_the_same_the_spec_says_nothing(
    tmp_path: Path, normalizer: object, told: dict[str, object]
) -> None:
    assert read(tmp_path, tokenised(normalizer, told)).normalizer is None


DIFFERENT = {
    "cased in one alone": (CASED, {}, (True, True, True)),
    "cased in the other alone": (BERT_NORMALIZER, {"do_lower_case": False}, (False, False, True)),
    "accents": (BERT_NORMALIZER, {"strip_accents": False}, (True, False, True)),
    "accents of the cased": (CASED, {"do_lower_case": False, "strip_accents": True}, (False, True, True)),
    "Chinese": (BERT_NORMALIZER, {"tokenize_chinese_chars": False}, (True, True, False)),
    "none": (None, {"tokenizer_class": "DistilBertTokenizerFast"}, (True, True, True)),
    "control characters": ({**BERT_NORMALIZER, "clean_text": False}, {}, (True, True, True)),
    "MPNet": ({"type": "NFC"}, {"tokenizer_class": "MPNetTokenizer"}, (True, True, True)),
}


@pytest.mark.parametrize(("normalizer", "told", "made"), DIFFERENT.values(), ids=DIFFERENT)
def test_where_they_differ_berts_kind_of_tokeniser_goes_by_its_settings(
    tmp_path: Path, normalizer: object, told: dict[str, object], made: tuple[bool, bool, bool]
) -> None:
    lowercase, strips, splits = made

    spec = read(tmp_path, tokenised(normalizer, told))

    assert spec.normalizer == Normalizer(lowercase=lowercase, strip_accents=strips, splits_chinese=splits)


def test_what_the_settings_of_a_tokeniser_change_is_part_of_the_space(tmp_path: Path) -> None:
    cased, uncased = (tokenised(BERT_NORMALIZER, {"do_lower_case": lowers}) for lowers in (False, True))

    assert read(tmp_path, cased).space != read(tmp_path, uncased).space


@pytest.mark.parametrize("kind", ["modernbert", "roberta"])
def test_a_family_whose_tokeniser_takes_the_file_has_the_files_normaliser(tmp_path: Path, kind: str) -> None:
    config = {"vocab_size": 100, "model_type": kind}
    told = {"tokenizer_class": "BertTokenizer"} if kind == "modernbert" else {}

    assert read(tmp_path, tokenised(CASED, told, **config)).normalizer is None


def test_a_config_may_name_the_tokeniser(tmp_path: Path) -> None:
    """As that of multilingual-e5-small, a BERT whose tokeniser is another's."""
    assert read(tmp_path, tokenised({"type": "NFKC"}, {}, tokenizer_class="XLMRobertaTokenizer")).normalizer is None


def test_what_is_no_word_piece_is_no_tokeniser_of_berts_kind(tmp_path: Path) -> None:
    files = tokenised({"type": "NFKC"}, {})
    files["tokenizer.json"] = as_json({"normalizer": {"type": "NFKC"}, "model": {"type": "Unigram"}})

    assert read(tmp_path, files).normalizer is None


def test_texts_are_not_lowered_twice_where_the_settings_lower_them(tmp_path: Path) -> None:
    lowered = {"sentence_bert_config.json": as_json({"do_lower_case": True})}

    assert read(tmp_path, {**tokenised(CASED, {}), **lowered}).lowercase is False


def cut(truncation: object, **told: object) -> dict[str, bytes]:
    tokenizer = as_json({"normalizer": BERT_NORMALIZER, "truncation": truncation})
    return {**minilm(), "tokenizer.json": tokenizer, "tokenizer_config.json": as_json(told)}


LEFT, RIGHT = ({"max_length": 128, "direction": side} for side in ("Left", "Right"))


@pytest.mark.parametrize(
    ("files", "where"),
    [
        (cut(None, truncation_side="left"), "'left' end (truncation_side in tokenizer_config.json)"),
        (cut(RIGHT, truncation_side="left"), "'left' end (truncation_side in tokenizer_config.json)"),
        (cut(LEFT), "'Left' end (truncation in tokenizer.json)"),
    ],
)
def test_a_model_that_cuts_the_beginning_off_is_refused(tmp_path: Path, files: dict[str, bytes], where: str) -> None:
    error = refusal(tmp_path, files)

    assert isinstance(error, Unsupported)
    assert where in error.message
    assert "truncate=left" in error.message


@pytest.mark.parametrize("files", [cut(RIGHT), cut(None), cut({"max_length": 5}), cut(LEFT, truncation_side="right")])
def test_the_settings_of_a_tokeniser_say_which_end_it_cuts_before_its_file_does(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    assert read(tmp_path, files).max_tokens == 256


def test_texts_are_lowered_first_where_the_folder_says_so_and_the_tokeniser_keeps_case(tmp_path: Path) -> None:
    lowered = {"sentence_bert_config.json": as_json({"do_lower_case": True})}
    cased = {"tokenizer.json": as_json({"normalizer": {"type": "NFC"}}), "tokenizer_config.json": TAKES_THE_FILE}

    assert read(tmp_path, {**minilm(), **lowered, **cased}).lowercase is True


@pytest.mark.parametrize(
    "normalizer",
    [
        {"type": "BertNormalizer", "lowercase": True},
        {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "Lowercase"}]},
    ],
)
def test_texts_are_not_lowered_first_where_the_tokeniser_lowers(tmp_path: Path, normalizer: dict[str, object]) -> None:
    lowered = {"sentence_bert_config.json": as_json({"do_lower_case": True})}
    tokenizer = {"tokenizer.json": as_json({"normalizer": normalizer}), "tokenizer_config.json": TAKES_THE_FILE}

    spec = read(tmp_path, {**minilm(), **lowered, **tokenizer})

    assert spec.lowercase is False


@pytest.mark.parametrize("card", [b"", b"# no front matter\nlicense: mit\n", b"---\nlanguage: en\n---\nlicense: mit\n"])
def test_a_card_that_states_no_licence_is_unknown(tmp_path: Path, card: bytes) -> None:
    assert read(tmp_path, {**minilm(), "README.md": card}).licence == "unknown"
