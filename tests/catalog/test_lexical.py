"""SPLADE folders become specs of sparse vectors alone; and a first module in a folder of its own is found."""

from dataclasses import replace
from pathlib import Path

import pytest
from model_folders import Files, as_json, minilm, modules, without, write

from embedstack.catalog.catalog import Entry
from embedstack.catalog.digests import Digests
from embedstack.catalog.spec import draft, read_spec
from embedstack.errors import ConfigError, EmbedstackError, Unsupported
from embedstack.models.folder import chosen, has_weights, is_weight, root_of, weight_files
from embedstack.modelspec import ModelSpec

SPARSE = "sentence_transformers.sparse_encoder.models"


def splade(first: str = "MLMTransformer", **config: object) -> Files:
    """As naver/splade-cocondenser-ensembledistil was saved by sentence-transformers 5."""
    rows = modules("Transformer", "SpladePooling", package=SPARSE).replace(b".Transformer", f".{first}".encode())
    return {
        **without(minilm(architectures=["BertForMaskedLM"], **config), "1_Pooling/config.json"),
        "modules.json": rows,
        "1_SpladePooling/config.json": as_json({"pooling_strategy": "max", "activation_function": "relu"}),
    }


def pooled(**fields: object) -> Files:
    return {**splade(), "1_SpladePooling/config.json": as_json(fields)}


def settings(**fields: object) -> Files:
    return {"sentence_bert_config.json": as_json({"max_seq_length": 256, **fields})}


def drafted(tmp_path: Path, files: Files, entry: Entry | None = None) -> ModelSpec:
    return draft(write(tmp_path, files), name="org/model", revision="r", entry=entry)


def refusal(tmp_path: Path, files: Files) -> EmbedstackError:
    with pytest.raises(EmbedstackError) as caught:
        drafted(tmp_path, files)
    return caught.value


# ------------------------------------------------------------------------------------------------ SPLADE


def test_a_masked_language_model_gives_sparse_vectors_alone(tmp_path: Path) -> None:
    spec = drafted(tmp_path, splade())

    assert (spec.outputs, spec.dim, spec.head, spec.task) == (("sparse",), 0, "bert_mlm", "embed")


def test_special_tokens_keep_their_weights(tmp_path: Path) -> None:
    assert drafted(tmp_path, splade()).sparse_ignore == ()


def test_the_task_of_newer_files_is_read(tmp_path: Path) -> None:
    files = {**splade("Transformer"), **settings(transformer_task="fill-mask")}

    assert drafted(tmp_path, files).is_lexical


def test_a_transformer_that_states_no_task_fills_no_masks(tmp_path: Path) -> None:
    """sentence-transformers would load its encoder alone."""
    error = refusal(tmp_path, splade("Transformer"))

    assert isinstance(error, Unsupported)
    assert "transformer_task" in error.message


def test_another_task_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path, {**splade("Transformer"), **settings(transformer_task="feature-extraction")})

    assert isinstance(error, Unsupported)
    assert "fill-mask" in error.message


def test_a_dense_model_does_not_fill_masks(tmp_path: Path) -> None:
    error = refusal(tmp_path, {**minilm(), **settings(transformer_task="fill-mask")})

    assert isinstance(error, Unsupported)


def test_the_logarithm_of_the_logarithm_is_another_space(tmp_path: Path) -> None:
    once, twice = drafted(tmp_path / "a", pooled()), drafted(tmp_path / "b", pooled(activation_function="log1p_relu"))

    assert twice.log_twice
    assert once.space != twice.space == replace(once, log_twice=True).space


def test_sums_over_tokens_are_refused_by_name(tmp_path: Path) -> None:
    error = refusal(tmp_path, pooled(pooling_strategy="sum"))

    assert isinstance(error, Unsupported)
    assert "'sum'" in error.message


def test_another_activation_is_refused(tmp_path: Path) -> None:
    assert "activation_function" in refusal(tmp_path, pooled(activation_function="gelu")).message


def test_a_family_without_such_a_head_is_refused_by_name(tmp_path: Path) -> None:
    error = refusal(tmp_path, splade(model_type="mpnet", pad_token_id=1, relative_attention_num_buckets=32))

    assert isinstance(error, Unsupported)
    assert "'mpnet'" in error.message


def test_other_modules_around_it_are_refused(tmp_path: Path) -> None:
    rows = modules("Transformer", "SpladePooling", "Normalize", package=SPARSE)

    assert isinstance(refusal(tmp_path, {**splade(), "modules.json": rows}), Unsupported)


def test_without_modules_nobody_guesses_and_the_error_says_what_to_add(tmp_path: Path) -> None:
    error = refusal(tmp_path, without(splade(), "modules.json"))

    assert isinstance(error, ConfigError)
    assert "SpladePooling" in error.message


def test_without_modules_the_catalog_may_say_so(tmp_path: Path) -> None:
    entry = Entry(
        name="splade", repo="org/model", revision="r", licence="MIT", about="", size_mb=1, task="embed",
        outputs=("sparse",),
    )  # fmt: skip

    assert drafted(tmp_path, without(splade(), "modules.json"), entry).outputs == ("sparse",)


# ------------------------------------------------------------------------------------------------ the first module


def below(files: Files, place: str) -> Files:
    """The encoder's own files in a folder of their own, as older versions of sentence-transformers have them."""
    own = ("config.json", "tokenizer.json", "tokenizer_config.json", "sentence_bert_config.json", "model.safetensors")
    rows = files["modules.json"].replace(b'"path": ""', f'"path": "{place}"'.encode())
    return {f"{place}/{name}" if name in own else name: data for name, data in files.items()} | {"modules.json": rows}


def test_an_encoder_in_a_folder_of_its_own_is_the_same_model(tmp_path: Path) -> None:
    specs = [
        read_spec(write(tmp_path / str(n), files), name="m", revision="r", digests=Digests(tmp_path / "cache"))
        for n, files in enumerate([minilm(), below(minilm(), "0_Transformer")])
    ]

    assert specs[0].space == specs[1].space


def test_without_modules_the_folder_itself_holds_the_encoder(tmp_path: Path) -> None:
    assert root_of(write(tmp_path, without(minilm(), "modules.json"))) == tmp_path


def test_the_weights_of_the_first_module_are_those_of_the_model(tmp_path: Path) -> None:
    folder = write(tmp_path, below(minilm(), "0_Transformer"))

    assert weight_files(folder) == (folder / "0_Transformer" / "model.safetensors",)


def test_a_first_module_outside_the_folder_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, below(minilm(), "../0_Transformer"))

    with pytest.raises(ConfigError, match="outside the folder"):
        root_of(folder)


def test_the_files_of_the_first_module_are_downloaded() -> None:
    names = ["modules.json", "0_CLIPModel/config.json", "0_CLIPModel/preprocessor_config.json",
             "0_CLIPModel/tokenizer.json", "0_CLIPModel/model.safetensors"]  # fmt: skip

    assert sorted(chosen([*names, "0_CLIPModel/pytorch_model.bin", "0_CLIPModel/vocab.json"])) == sorted(names)


def test_weights_of_later_modules_alone_make_no_model() -> None:
    assert [has_weights([f"{n}_Dense/model.safetensors"]) for n in (0, 2)] == [True, False]
    assert is_weight("2_Dense/model.safetensors")
