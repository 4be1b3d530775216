"""A folder of any family becomes a spec for the reference runtime, under a space of its own."""

from pathlib import Path

import pytest
from hub_server import HubServer
from model_folders import Files, as_json, minilm, modules, pooling, reranker, without, write

from embedstack.catalog import Located, find
from embedstack.errors import ConfigError, Unsupported
from embedstack.modelspec import ModelSpec

DENSE = {"in_features": 384, "out_features": 12, "activation_function": "torch.nn.modules.activation.Tanh"}


def mpnet() -> Files:
    """An embedding model of a family that has no graph here, with a Dense module."""
    files = minilm(model_type="mpnet", max_position_embeddings=514, pad_token_id=1)
    files["sentence_bert_config.json"] = as_json({"max_seq_length": 4096})
    files["modules.json"] = modules("Transformer", "Pooling", "Dense", "Normalize")
    return {**files, "2_Dense/config.json": as_json(DENSE), "2_Dense/model.safetensors": b"the weights of a module"}


def built_as(*kinds: str) -> Files:
    """An embedding model of these modules."""
    files = {**minilm(), "modules.json": modules(*kinds)}
    for n, kind in enumerate(kinds):
        if kind in ("Dense", "LayerNorm"):
            settings = {**DENSE, "out_features": 384} if kind == "Dense" else {"dimension": 384}
            files[f"{n}_{kind}/config.json"] = as_json(settings)
            files[f"{n}_{kind}/model.safetensors"] = b"the weights of a module"
    return files


def template(*types: int) -> dict[str, object]:
    """A post-processor that puts these types to the parts of a single text; pairs have others as they like."""
    part = {"id": "A"}
    return {
        "type": "TemplateProcessing",
        "single": [{"Sequence": {**part, "type_id": n}} for n in types],
        "pair": [{"Sequence": {**part, "type_id": n}} for n in (0, 1)],
        "special_tokens": {},
    }


def install(package: str, version: str, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What importlib.metadata reads of a package."""
    folder = site / f"{package.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(site)


def spec_of(files: Files, tmp_path: Path, *, reference: bool = True) -> ModelSpec:
    return find(str(write(tmp_path / "m", files)), cache_dir=tmp_path / "cache", reference=reference).spec


def test_the_family_says_who_runs_it(tmp_path: Path) -> None:
    assert spec_of(mpnet(), tmp_path).architecture.family == "reference:mpnet"


def test_a_model_of_ours_gets_a_space_of_its_own_there(tmp_path: Path) -> None:
    theirs, ours = spec_of(minilm(), tmp_path), spec_of(minilm(), tmp_path, reference=False)

    assert theirs.architecture.family == "reference:bert"
    assert theirs.space != ours.space


def test_prompts_that_only_a_card_tells_are_there_too(tmp_path: Path) -> None:
    card = b"The text prompt *must* include a *task instruction prefix*: `search_query: ` or `search_document: `.\n"

    spec = spec_of({**minilm(model_type="nomic_bert"), "README.md": card}, tmp_path)

    assert spec.prompts["document"] == "search_document: "
    assert (spec.needs_prompt, spec.cut_norm) == (True, True)


def test_a_family_of_two_towers_takes_texts_alone_there(tmp_path: Path) -> None:
    assert spec_of(minilm(model_type="clip"), tmp_path).inputs == ("text",)


def test_the_width_is_that_of_the_last_dense(tmp_path: Path) -> None:
    assert spec_of(mpnet(), tmp_path).dim == 12


@pytest.mark.parametrize(
    ("kinds", "normalize"),
    [
        (["Transformer", "Pooling"], False),
        (["Transformer", "Pooling", "Normalize"], True),
        (["Transformer", "Pooling", "Dense", "Normalize"], True),
        (["Transformer", "Pooling", "Normalize", "Dropout"], True),
        (["Transformer", "Pooling", "Normalize", "Dense"], False),
        (["Transformer", "Pooling", "Normalize", "LayerNorm"], False),
    ],
)
def test_rows_are_of_length_1_only_where_nothing_changes_that_after_normalize(
    kinds: list[str], normalize: bool, tmp_path: Path
) -> None:
    assert spec_of(built_as(*kinds), tmp_path).normalize is normalize


def test_joined_poolings_stand_side_by_side(tmp_path: Path) -> None:
    both = {"embedding_dimension": 384, "pooling_mode": ["cls", "mean"]}

    assert spec_of({**minilm(), "1_Pooling/config.json": as_json(both)}, tmp_path).dim == 768


def test_no_text_is_longer_than_there_are_positions(tmp_path: Path) -> None:
    assert spec_of(mpnet(), tmp_path).max_tokens == 512  # two of the 514 stand before the first token


@pytest.mark.parametrize("stated", [{}, {"model_max_length": 1e30}])
def test_a_model_that_states_no_limit_is_refused(stated: dict[str, float], tmp_path: Path) -> None:
    files = without(minilm(max_position_embeddings=None), "sentence_bert_config.json")
    files["tokenizer_config.json"] = as_json(stated)

    with pytest.raises(ConfigError, match="states no limit of tokens"):
        spec_of(files, tmp_path)


def test_a_folder_that_states_no_pooling_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="never guessed"):
        spec_of(without(minilm(), "modules.json"), tmp_path)


def test_a_reranker_has_a_score(tmp_path: Path) -> None:
    spec = spec_of(reranker(), tmp_path)

    assert (spec.task, spec.outputs, spec.labels, spec.score_activation) == ("rerank", ("score",), 1, "identity")


def test_a_classifier_has_a_score_for_each_label(tmp_path: Path) -> None:
    names = {"0": "calm", "1": "glad", "2": "sad"}
    config = minilm(architectures=["DistilBertForSequenceClassification"], id2label=names)["config.json"]

    spec = spec_of({**reranker(), "config.json": config}, tmp_path)

    assert (spec.task, spec.outputs, spec.dim, spec.labels) == ("classify", ("score",), 0, 3)
    assert (spec.label_names, spec.score_activation) == (("calm", "glad", "sad"), "softmax")


@pytest.mark.parametrize("saved", [{"prompts": {"query": "find: "}, "default_prompt_name": "query"}])
def test_a_reranker_with_prompts_is_refused(saved: dict[str, object], tmp_path: Path) -> None:
    files = {**reranker(), "config_sentence_transformers.json": as_json(saved)}

    with pytest.raises(Unsupported, match="puts prompts before its pairs"):
        spec_of(files, tmp_path)


def test_an_embedder_that_writes_messages_is_refused(tmp_path: Path) -> None:
    settings = {"max_seq_length": 64, "modality_config": {"message": {"method": "forward"}}}

    with pytest.raises(Unsupported, match="chat template") as caught:
        spec_of({**minilm(), "sentence_bert_config.json": as_json(settings)}, tmp_path)
    assert "--runtime reference" not in caught.value.message


def test_a_reranker_with_a_chat_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="chat template"):
        spec_of({**reranker(), "chat_template.jinja": b"{{ messages }}"}, tmp_path)


@pytest.mark.parametrize(
    "after", [template(0, 0, 2), {"type": "Sequence", "processors": [{"type": "ByteLevel"}, template(0, 0, 2)]}]
)
def test_a_tokeniser_that_gives_a_text_other_types_than_0_is_refused(after: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"the type 2 \(post_processor in tokenizer\.json\)"):
        spec_of({**minilm(), "tokenizer.json": as_json({"post_processor": after})}, tmp_path)


@pytest.mark.parametrize("after", [None, template(0, 0), {"type": "RobertaProcessing", "sep": ["</s>", 2]}])
def test_types_of_0_or_of_pairs_alone_are_taken(after: dict[str, object] | None, tmp_path: Path) -> None:
    assert spec_of({**minilm(), "tokenizer.json": as_json({"post_processor": after})}, tmp_path).dim == 384


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"config.json": as_json({"model_type": "x", "auto_map": {"AutoModel": "own.Model"}})}, "its own model code"),
        ({"modules.json": modules("Transformer", "Pooling", package="own")}, "code of its own"),
        ({"modules.json": modules("Transformer", "Pooling", "WordWeights")}, "WordWeights"),
        ({"modules.json": modules("Transformer", "Dense")}, "must begin with Transformer -> Pooling"),
        ({"2_Dense/config.json": as_json({**DENSE, "activation_function": "own.Swish"})}, "runs no code from a model"),
        ({"adapter_config.json": b"{}"}, "is an adapter"),
        ({"1_Pooling/config.json": pooling("")}, "states no pooling"),
    ],
)
def test_what_it_cannot_run_truly_is_refused(files: Files, said: str, tmp_path: Path) -> None:
    with pytest.raises((Unsupported, ConfigError), match=said):
        spec_of({**mpnet(), **files}, tmp_path)


def test_a_module_without_its_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="2_Dense' holds no weights"):
        spec_of(without(mpnet(), "2_Dense/model.safetensors"), tmp_path)


@pytest.mark.parametrize("name", ["config.json", "modules.json", "2_Dense/config.json", "2_Dense/model.safetensors"])
def test_every_file_that_decides_a_vector_is_in_the_space(name: str, tmp_path: Path) -> None:
    before = spec_of(mpnet(), tmp_path)

    after = spec_of({**mpnet(), name: mpnet()[name] + b" "}, tmp_path)

    assert after.space != before.space


@pytest.mark.parametrize("package", ["sentence-transformers", "transformers"])
def test_the_libraries_that_compute_are_in_the_space_by_major_and_minor_version(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spaces = []
    for version in ("98.1.0", "98.1.7", "98.2.0"):
        install(package, version, tmp_path / version, monkeypatch)
        spaces.append(spec_of(mpnet(), tmp_path).space)

    first, fixed, newer = spaces

    assert first == fixed
    assert first != newer


def test_the_weights_of_modules_are_fetched_too(hub: HubServer, cache: Path) -> None:
    hub.add("org/model", mpnet())

    located: Located = find("org/model", cache_dir=cache, hf_endpoint=hub.url, say=print, reference=True)

    assert (located.folder / "2_Dense/model.safetensors").read_bytes() == b"the weights of a module"
    assert located.spec.dim == 12


def test_a_family_that_is_not_ours_is_refused_without_it(hub: HubServer, cache: Path) -> None:
    hub.add("org/model", mpnet())

    with pytest.raises(Unsupported, match="--runtime reference"):
        find("org/model", cache_dir=cache, hf_endpoint=hub.url, say=print)
