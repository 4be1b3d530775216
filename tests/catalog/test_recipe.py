"""The recipe is read from the folder, and what we cannot compute is refused by its name."""

from pathlib import Path

import pytest
from model_folders import as_json, minilm, modules, pooling, reranker, without, write

from embedstack.catalog.catalog import Entry, entry_of
from embedstack.catalog.recipe import Recipe, read_recipe
from embedstack.errors import ConfigError, EmbedstackError, Unsupported
from embedstack.models.folder import read_fields


def read(tmp_path: Path, files: dict[str, bytes], entry: Entry | None = None) -> Recipe:
    folder = write(tmp_path, files)
    return read_recipe(folder, read_fields(folder / "config.json"), "org/model", entry)


def refusal(tmp_path: Path, files: dict[str, bytes]) -> EmbedstackError:
    with pytest.raises(EmbedstackError) as caught:
        read(tmp_path, files)
    return caught.value


def pooled(**fields: object) -> dict[str, bytes]:
    return {**minilm(), "1_Pooling/config.json": as_json(fields)}


def prompted(**fields: object) -> dict[str, bytes]:
    return {**minilm(), "config_sentence_transformers.json": as_json(fields)}


# ------------------------------------------------------------------------------------------------ pooling

LEGACY = [("cls_token", "cls"), ("mean_tokens", "mean"), ("max_tokens", "max"), ("lasttoken", "last")]


@pytest.mark.parametrize(("stated", "ours"), LEGACY)
def test_pooling_is_read_from_flags(tmp_path: Path, stated: str, ours: str) -> None:
    assert read(tmp_path, {**minilm(), "1_Pooling/config.json": pooling(stated)}).pooling == ours


@pytest.mark.parametrize(
    ("stated", "ours"), [("cls", "cls"), (["mean"], "mean"), ("max", "max"), ("lasttoken", "last")]
)
def test_pooling_is_read_from_its_name(tmp_path: Path, stated: object, ours: str) -> None:
    assert read(tmp_path, pooled(embedding_dimension=384, pooling_mode=stated)).pooling == ours


REFUSED = {
    "mean_sqrt_len": ({"pooling_mode_mean_sqrt_len_tokens": True}, "mean_sqrt_len_tokens"),
    "weightedmean": ({"pooling_mode": "weightedmean"}, "weightedmean"),
    "several flags": ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, "cls, mean"),
    "several names": ({"pooling_mode": ["cls", "max"]}, "cls, max"),
    "without its prompt": ({"pooling_mode": "mean", "include_prompt": False}, "include_prompt"),
}


@pytest.mark.parametrize(("fields", "named"), REFUSED.values(), ids=REFUSED)
def test_a_pooling_that_is_not_ours_is_refused_by_name(tmp_path: Path, fields: dict[str, object], named: str) -> None:
    error = refusal(tmp_path, pooled(**fields))

    assert isinstance(error, Unsupported)
    assert named in error.message


@pytest.mark.parametrize("fields", [{}, {"pooling_mode_cls_token": False}])
def test_a_folder_that_states_no_pooling_is_not_guessed(tmp_path: Path, fields: dict[str, object]) -> None:
    assert isinstance(refusal(tmp_path, pooled(**fields)), ConfigError)


def test_a_pooling_of_another_width_is_an_error(tmp_path: Path) -> None:
    error = refusal(tmp_path, pooled(word_embedding_dimension=768, pooling_mode="mean"))

    assert isinstance(error, ConfigError)
    assert "768" in error.message


# ------------------------------------------------------------------------------------------------ modules


@pytest.mark.parametrize("package", ["sentence_transformers.models", "sentence_transformers.base.modules.transformer"])
def test_modules_are_known_by_the_last_part_of_their_path(tmp_path: Path, package: str) -> None:
    recipe = read(
        tmp_path, {**minilm(), "modules.json": modules("Transformer", "Pooling", "Normalize", package=package)}
    )

    assert (recipe.pooling, recipe.normalize) == ("mean", True)


def test_without_a_normalize_module_vectors_keep_their_length(tmp_path: Path) -> None:
    assert read(tmp_path, {**minilm(), "modules.json": modules("Transformer", "Pooling")}).normalize is False


@pytest.mark.parametrize("kind", ["Dense", "LayerNorm", "Router", "SpladePooling", "CLIPModel"])
def test_another_module_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    error = refusal(tmp_path, {**minilm(), "modules.json": modules("Transformer", "Pooling", kind)})

    assert isinstance(error, Unsupported)
    assert kind in error.message


@pytest.mark.parametrize(("kind", "is_told"), [("Dense", True), ("WordWeights", False), ("CLIPModel", False)])
def test_the_reference_runtime_is_named_where_it_would_take_the_model(tmp_path: Path, kind: str, is_told: bool) -> None:
    error = refusal(tmp_path, {**minilm(), "modules.json": modules("Transformer", "Pooling", kind)})

    assert ("--runtime reference" in error.message) is is_told


def test_two_dense_modules_are_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path, {**minilm(), "modules.json": modules("Transformer", "Pooling", "Dense", "Dense")})

    assert isinstance(error, Unsupported)
    assert "Dense" in error.message


@pytest.mark.parametrize("kinds", [("Transformer",), ("Pooling", "Transformer"), ("Transformer", "Normalize")])
def test_modules_in_another_order_are_refused(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    assert isinstance(refusal(tmp_path, {**minilm(), "modules.json": modules(*kinds)}), Unsupported)


def test_a_module_of_the_models_own_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path, {**minilm(), "modules.json": modules("Transformer", "Pooling", package="custom_st")})

    assert isinstance(error, Unsupported)
    assert "custom_st.Transformer" in error.message


def test_a_module_outside_the_folder_is_refused(tmp_path: Path) -> None:
    rows = modules("Transformer", "Pooling").replace(b"1_Pooling", b"../secret")

    assert isinstance(refusal(tmp_path, {**minilm(), "modules.json": rows}), ConfigError)


@pytest.mark.parametrize("broken", [b"{}", b"[]", b"[1]", b"nonsense", b'[{"type": 3}]'])
def test_broken_modules_are_an_error(tmp_path: Path, broken: bytes) -> None:
    error = refusal(tmp_path, {**minilm(), "modules.json": broken})

    assert isinstance(error, EmbedstackError)
    assert error.exit_code == 2


def test_without_modules_the_recipe_is_not_guessed(tmp_path: Path) -> None:
    error = refusal(tmp_path, without(minilm(), "modules.json"))

    assert isinstance(error, ConfigError)
    assert "never guessed" in error.message
    assert "modules.json" in error.message


def test_without_modules_the_catalog_may_state_the_pooling(tmp_path: Path) -> None:
    entry = Entry(
        name="x", repo="org/x", revision="r", licence="MIT", about="", size_mb=1, task="embed", pooling="last"
    )

    recipe = read(tmp_path, without(minilm(), "modules.json"), entry)

    assert (recipe.pooling, recipe.normalize) == ("last", True)


def test_a_normalize_of_something_else_is_refused(tmp_path: Path) -> None:
    error = refusal(
        tmp_path, {**minilm(), "2_Normalize/config.json": as_json({"module_input_name": "token_embeddings"})}
    )

    assert isinstance(error, Unsupported)


@pytest.mark.parametrize("key", ["processing_kwargs", "query_length", "document_length", "query_expansion"])
def test_encoder_settings_that_change_the_tokens_are_refused(tmp_path: Path, key: str) -> None:
    error = refusal(tmp_path, {**minilm(), "sentence_bert_config.json": as_json({key: {"text": 1}})})

    assert isinstance(error, Unsupported)
    assert key in error.message


@pytest.mark.parametrize(
    "key", ["config_kwargs", "processor_kwargs", "model_kwargs", "config_args", "tokenizer_args", "model_args"]
)
def test_arguments_that_change_what_the_files_say_are_refused(tmp_path: Path, key: str) -> None:
    error = refusal(tmp_path, {**minilm(), "sentence_bert_config.json": as_json({key: {"num_hidden_layers": 2}})})

    assert isinstance(error, Unsupported)
    assert f"num_hidden_layers=2 among the {key}" in error.message


@pytest.mark.parametrize(
    "harmless", [{"attn_implementation": "sdpa"}, {"torch_dtype": "float16"}, {"padding_side": "right"}, {}], ids=str
)
def test_arguments_that_change_no_vector_are_passed_over(tmp_path: Path, harmless: dict[str, str]) -> None:
    files = {**minilm(), "sentence_bert_config.json": as_json({"model_kwargs": harmless})}

    assert read(tmp_path, files).pooling == "mean"


def test_padding_on_the_left_moves_tokens_that_have_places_of_their_own(tmp_path: Path) -> None:
    files = {**minilm(), "sentence_bert_config.json": as_json({"tokenizer_args": {"padding_side": "left"}})}

    assert "padding_side" in refusal(tmp_path, files).message


def test_another_transformer_task_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path, {**minilm(), "sentence_bert_config.json": as_json({"transformer_task": "fill-mask"})})

    assert isinstance(error, Unsupported)


# ------------------------------------------------------------------------------------------------ prompts


def test_prompts_are_read_by_role(tmp_path: Path) -> None:
    recipe = read(tmp_path, prompted(prompts={"query": "q: ", "document": "d: ", "clustering": ""}))

    assert recipe.prompts == {"query": "q: ", "document": "d: ", "clustering": ""}


def test_the_default_prompt_stands_before_every_text(tmp_path: Path) -> None:
    recipe = read(tmp_path, prompted(prompts={"base": "b: "}, default_prompt_name="base"))

    assert recipe.prompts == {"base": "b: ", "query": "b: ", "document": "b: "}


@pytest.mark.parametrize(("role", "other"), [("query", "document"), ("document", "query")])
def test_the_default_prompt_gives_way_to_a_roles_own(tmp_path: Path, role: str, other: str) -> None:
    recipe = read(tmp_path, prompted(prompts={role: "own: ", "base": "b: "}, default_prompt_name="base"))

    assert (recipe.prompts[role], recipe.prompts[other]) == ("own: ", "b: ")


def test_a_roles_own_prompt_may_be_empty(tmp_path: Path) -> None:
    recipe = read(tmp_path, prompted(prompts={"query": "", "base": "b: "}, default_prompt_name="base"))

    assert "query" not in recipe.prompts


def test_a_prompt_that_is_null_is_not_stated(tmp_path: Path) -> None:
    recipe = read(tmp_path, prompted(prompts={"query": None, "base": "b: "}, default_prompt_name="base"))

    assert recipe.prompts["query"] == "b: "


def test_a_default_prompt_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    error = refusal(tmp_path, prompted(prompts={"query": "q: "}, default_prompt_name="base"))

    assert isinstance(error, ConfigError)
    assert "'default_prompt_name' is 'base'" in error.message


@pytest.mark.parametrize("name", ["passage", "corpus"])
def test_a_document_prompt_may_have_another_name(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, prompted(prompts={"query": "q: ", name: "p: "})).prompts["document"] == "p: "


def test_the_catalog_adds_the_prompts_that_a_repository_lacks(tmp_path: Path) -> None:
    recipe = read(tmp_path, minilm(), entry_of("multilingual-e5-small"))

    assert recipe.prompts == {"query": "query: ", "document": "passage: "}


@pytest.mark.parametrize("prompts", [["query"], {"query": 3}])
def test_broken_prompts_are_an_error(tmp_path: Path, prompts: object) -> None:
    assert isinstance(refusal(tmp_path, prompted(prompts=prompts)), ConfigError)


def test_a_cut_in_the_files_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path, prompted(truncate_dim=128))

    assert isinstance(error, Unsupported)
    assert "truncate_dim" in error.message


# ------------------------------------------------------------------------------------------------ rerankers

HEADS = [
    ("BertForSequenceClassification", "bert"),
    ("RobertaForSequenceClassification", "roberta"),
    ("XLMRobertaForSequenceClassification", "roberta"),
    ("CamembertForSequenceClassification", "roberta"),
]


def classifier(architecture: str, **config: object) -> dict[str, bytes]:
    files = reranker()
    files["config.json"] = minilm(architectures=[architecture], id2label={"0": "LABEL_0"}, **config)["config.json"]
    return files


@pytest.mark.parametrize(("architecture", "head"), HEADS)
def test_the_head_follows_the_architecture(tmp_path: Path, architecture: str, head: str) -> None:
    recipe = read(tmp_path, classifier(architecture))

    assert (recipe.task, recipe.head, recipe.label_names) == ("rerank", head, ("LABEL_0",))


def test_another_classifier_is_refused_by_name(tmp_path: Path) -> None:
    error = refusal(tmp_path, classifier("ElectraForSequenceClassification"))

    assert isinstance(error, Unsupported)
    assert "ElectraForSequenceClassification" in error.message


NAMED = {"id2label": {"1": "glad", "0": "calm", "2": "sad"}}


def several(**config: object) -> dict[str, bytes]:
    files = reranker()
    files["config.json"] = minilm(architectures=["BertForSequenceClassification"], **config)["config.json"]
    return files


@pytest.mark.parametrize(
    ("config", "labels"),
    [(NAMED, ("calm", "glad", "sad")), ({"id2label": None}, ("LABEL_0", "LABEL_1")), ({"num_labels": 1}, ("LABEL_0",))],
)
def test_each_logit_has_its_label(tmp_path: Path, config: dict[str, object], labels: tuple[str, ...]) -> None:
    assert read(tmp_path, several(**config)).label_names == labels


def test_several_labels_make_a_classifier(tmp_path: Path) -> None:
    recipe = read(tmp_path, several(**NAMED))

    assert (recipe.task, recipe.head, recipe.normalize) == ("classify", "bert", False)


@pytest.mark.parametrize("names", [{}, {"1": "calm", "2": "glad"}, {"calm": 0, "glad": 1}])
def test_labels_that_are_not_numbered_from_0_are_refused(tmp_path: Path, names: dict[str, object]) -> None:
    error = refusal(tmp_path, several(id2label=names))

    assert isinstance(error, ConfigError)
    assert "id2label" in error.message


def test_no_labels_are_refused(tmp_path: Path) -> None:
    assert "num_labels" in refusal(tmp_path, several(num_labels=0)).message


@pytest.mark.parametrize(
    ("kind", "activation"),
    [
        (None, "softmax"),
        ("single_label_classification", "softmax"),
        ("multi_label_classification", "sigmoid"),
        ("regression", "identity"),
    ],
)
def test_the_activation_of_labels_follows_the_problem(tmp_path: Path, kind: str | None, activation: str) -> None:
    assert read(tmp_path, several(**NAMED, problem_type=kind)).score_activation == activation


def test_another_kind_of_problem_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path, several(**NAMED, problem_type="ranking"))

    assert isinstance(error, ConfigError)
    assert "'ranking'" in error.message


IDENTITY, SIGMOID = "torch.nn.modules.linear.Identity", "torch.nn.modules.activation.Sigmoid"
ACTIVATIONS = {
    "nothing stated": ({}, "sigmoid"),
    "identity": ({"sentence_transformers": {"activation_fn": IDENTITY}}, "identity"),
    "sigmoid": ({"sentence_transformers": {"activation_fn": SIGMOID}}, "sigmoid"),
    "legacy": ({"sbert_ce_default_activation_function": IDENTITY}, "identity"),
    "both": (
        {"sentence_transformers": {"activation_fn": SIGMOID}, "sbert_ce_default_activation_function": IDENTITY},
        "sigmoid",
    ),
}


@pytest.mark.parametrize(("config", "activation"), ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_the_score_activation_is_read_from_the_config(
    tmp_path: Path, config: dict[str, object], activation: str
) -> None:
    assert read(tmp_path, classifier("BertForSequenceClassification", **config)).score_activation == activation


def test_another_score_activation_is_refused(tmp_path: Path) -> None:
    config = {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Tanh"}}

    error = refusal(tmp_path, classifier("BertForSequenceClassification", **config))

    assert isinstance(error, Unsupported)
    assert "Tanh" in error.message


def test_a_reranker_as_version_6_saves_it_is_read(tmp_path: Path) -> None:
    files = classifier("BertForSequenceClassification") | {
        "modules.json": modules("Transformer", package="sentence_transformers.base.modules.transformer"),
        "sentence_bert_config.json": as_json({"transformer_task": "sequence-classification"}),
        "config_sentence_transformers.json": as_json({"activation_fn": IDENTITY, "prompts": {}}),
    }

    recipe = read(tmp_path, files)

    assert (recipe.task, recipe.score_activation) == ("rerank", "identity")


def test_a_reranker_with_a_chat_template_that_is_not_known_is_refused(tmp_path: Path) -> None:
    files = {**classifier("BertForSequenceClassification"), "chat_template.jinja": b"{{ messages }}"}

    assert "chat template" in refusal(tmp_path, files).message


def test_a_reranker_with_prompts_is_refused(tmp_path: Path) -> None:
    files = classifier("BertForSequenceClassification")
    files["config_sentence_transformers.json"] = as_json({"prompts": {"query": "q: "}})

    assert isinstance(refusal(tmp_path, files), Unsupported)


@pytest.mark.parametrize("kind", ["Dense", "LogitScore", "SpladePooling", "Normalize"])
def test_a_module_behind_a_classifier_is_refused_and_not_left_out(tmp_path: Path, kind: str) -> None:
    files = classifier("BertForSequenceClassification") | {"modules.json": modules("Transformer", kind)}

    error = refusal(tmp_path, files)

    assert isinstance(error, Unsupported)
    assert f"is built with Transformer -> {kind} over a BertForSequenceClassification" in error.message


@pytest.mark.parametrize("task", ["feature-extraction", "text-generation"])
def test_a_classifier_that_is_loaded_for_something_else_is_refused(tmp_path: Path, task: str) -> None:
    files = classifier("BertForSequenceClassification") | {
        "modules.json": modules("Transformer"),
        "sentence_bert_config.json": as_json({"transformer_task": task}),
    }

    error = refusal(tmp_path, files)

    assert isinstance(error, Unsupported)
    assert f"transformer_task={task!r}" in error.message


def test_a_classifier_with_a_pooling_is_an_embedder(tmp_path: Path) -> None:
    assert read(tmp_path, minilm(architectures=["BertForSequenceClassification"])).task == "embed"
