"""A folder of any family -> ModelSpec, for the runtime that hands it to sentence-transformers.

Its family is `reference:<model_type>`, and its digest covers the configuration and the libraries' versions as well as
the weights, so such a space never equals that of a graph of ours. Source: sentence_transformers 6.2, `base/model.py`
and `base/modules/`.
"""

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from embedstack.catalog.catalog import Entry
from embedstack.catalog.digests import Digests
from embedstack.catalog.encoder import chat_template, has_messages, read_transformer_settings, refuse_messages
from embedstack.catalog.prefixes import prefixed
from embedstack.catalog.recipe import (
    POOLINGS,
    REFERENCE_MODULES,
    read_activation,
    read_label_activation,
    read_labels,
    read_modules,
    read_pooling_modes,
    read_prompts,
    refuse_pair_prompts,
)
from embedstack.catalog.spec import digest_of, read_licence, read_max_tokens
from embedstack.catalog.tokenizer import TokenizerFile, read_normalizer, read_tokenizer, refuse_another_side
from embedstack.errors import ConfigError, Unsupported
from embedstack.models import FAMILIES, family_of
from embedstack.models.folder import (
    HEADS,
    SETTINGS_NAMES,
    Fields,
    read_fields,
    read_fields_if_there,
    weight_files,
)
from embedstack.modelspec import Architecture, ModelSpec, ScoreActivation, Task

REFERENCE = "reference:"
"""What the family of such a spec begins with."""
_WITH_WEIGHTS = ("Dense", "LayerNorm")
_CONTAINERS = ("model.safetensors", "pytorch_model.bin")  # of a module, in the order in which they are looked for
_LIBRARIES = ("sentence-transformers", "transformers")
"""What computes, and so decides a vector as the files do; vectors may change between minor versions."""
_COUNTED_FROM_PADDING = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer")
"""Families whose first token has the position pad_token_id + 1; source: transformers 5.23, their modeling files."""
_WIDTH = ("hidden_size", "d_model", "dim", "n_embd")
_POSITIONS = ("max_position_embeddings", "n_positions", "seq_length")

Modules = Sequence[tuple[str, str]]


def read_reference_spec(
    folder: Path, *, name: str, revision: str, digests: Digests, entry: Entry | None = None
) -> ModelSpec:
    """The model in a folder, all that sentence-transformers reads of it named by its digests.

    Raises:
        ConfigError: a file is missing or broken, or no limit is stated.
        Unsupported: it brings its own code, or a module or a tokeniser that takes or gives more than token ids.
    """
    spec = reference_draft(folder, name=name, revision=revision, entry=entry)
    files = _files(folder, read_modules(folder, name))
    found = digests.of(folder, [*files, "tokenizer.json"])
    # a configuration decides as much as the weights, so each file counts with its place
    decides = digest_of([*(f"{file} {found[file]}" for file in files), *map(_library, _LIBRARIES)])
    return replace(spec, weights=decides, tokenizer=found["tokenizer.json"])


def _library(name: str) -> str:
    """A library and its major and minor version."""
    try:
        return f"{name} {'.'.join(version(name).split('.')[:2])}"
    except PackageNotFoundError:
        return f"{name} absent"  # a model can be pulled before they are installed


def reference_draft(folder: Path, *, name: str, revision: str, entry: Entry | None = None) -> ModelSpec:
    """The spec without digests: all that can be told, and refused, before the weights are there."""
    config = read_fields(folder / "config.json")
    _refuse_own_code(config, name)
    if (folder / "adapter_config.json").is_file():
        raise Unsupported(f"{name!r} is an adapter; merge it into its model and give that")
    modules, settings = read_modules(folder, name), read_transformer_settings(folder, name)
    labels = _labels(config, modules, name)
    if not labels:
        _check_modules(modules, name)
    tokenizer = read_tokenizer(folder)
    _refuse_types(tokenizer, name)
    refuse_another_side(folder, tokenizer, name)
    normalizer = read_normalizer(folder, config.text("model_type"), config, tokenizer)
    saved = read_fields_if_there(folder / "config_sentence_transformers.json")
    if labels:
        _refuse_template(folder, settings, modules, name)
        refuse_pair_prompts(saved, name)
    else:
        refuse_messages(settings, name)
    poolings = [] if labels else _poolings(folder, modules, name)
    positions = _first(config, _POSITIONS)
    spec = ModelSpec(
        name=name,
        revision=revision,
        task=_task(labels),
        architecture=_architecture(config),
        outputs=("score",) if labels else ("dense",),
        dim=0 if labels else _dim(folder, modules, len(poolings)),
        max_tokens=read_max_tokens(
            folder, positions - _offset(config) if positions else None, settings.limit("max_seq_length")
        ),
        weights="",
        tokenizer="",
        # of joined poolings only the digest tells all
        pooling=POOLINGS.get(poolings[0], "mean") if poolings else "cls",
        normalize=_ends_normalised(modules),
        lowercase=settings.flag("do_lower_case") and not (normalizer.lowercase if normalizer else tokenizer.lowers),
        normalizer=normalizer,
        labels=len(labels),
        label_names=labels,
        score_activation=_activation(config, saved, name, labels),
        prompts={} if labels else read_prompts(folder, name, entry),
        needs_prompt=entry.needs_prompt if entry else False,
        licence=entry.licence if entry else read_licence(folder),
    )
    return _adapted(prefixed(spec, folder, config, entry), folder, config)


def _adapted(spec: ModelSpec, folder: Path, config: Fields) -> ModelSpec:
    """With what a family of ours needs around its graph, such as prompts, whoever computes the graph."""
    kind = config.text("model_type")
    family = family_of(kind, spec.name) if kind in FAMILIES else None
    # two towers are read by CLIPModel, which is refused above; here one would take texts alone
    return family.adapt(spec, folder, config) if family and family.adapt and not family.image else spec


def _refuse_own_code(config: Fields, name: str) -> None:
    """Nothing that a model brings is run. sentence-transformers would need it, also where a graph of ours does not."""
    if any(key.startswith("AutoModel") for key in config.table("auto_map").values):
        raise Unsupported(f"{name!r} brings its own model code (auto_map); embedstack runs no code from a model")


def _architecture(config: Fields) -> Architecture:
    """What the tokeniser and the messages need; the graph itself is sentence-transformers' own matter."""
    return Architecture(
        family=REFERENCE + config.text("model_type"),
        layers=_first(config, ("num_hidden_layers", "n_layers", "n_layer", "num_layers")),
        hidden=_first(config, _WIDTH),
        heads=_first(config, ("num_attention_heads", "n_heads", "n_head", "num_heads")),
        intermediate=_first(config, ("intermediate_size", "hidden_dim", "d_ff")),
        vocab=config.integer("vocab_size"),
        positions=_first(config, _POSITIONS),
        position_offset=_offset(config),
        segments=config.integer("type_vocab_size", 0),
    )


def _first(config: Fields, names: Sequence[str]) -> int:
    """The field, under the name that the family has for it; 0 where it has none."""
    return next((config.integer(name) for name in names if name in config), 0)


def _offset(config: Fields) -> int:
    is_counted = config.text("model_type") in _COUNTED_FROM_PADDING
    return config.integer("pad_token_id", 1) + 1 if is_counted else 0


def _task(labels: Sequence[str]) -> Task:
    return "embed" if not labels else "rerank" if len(labels) == 1 else "classify"


def _activation(config: Fields, saved: Fields, name: str, labels: Sequence[str]) -> ScoreActivation:
    match _task(labels):
        case "embed":
            return "sigmoid"
        case "rerank":
            return read_activation(config, saved, name)
        case "classify":
            return read_label_activation(config)


def _labels(config: Fields, modules: Modules, name: str) -> tuple[str, ...]:
    """Of a reranker or a classifier; none of an embedding model."""
    architecture = (config.texts("architectures") or [""])[0]
    if not architecture.endswith("ForSequenceClassification") or any(kind == "Pooling" for kind, _ in modules):
        return ()
    if extra := [kind for kind, _ in modules if kind != "Transformer"]:
        raise Unsupported(f"{name!r} is a cross-encoder built with {extra[0]}; embedstack hands over plain ones only")
    return read_labels(config)


def _check_modules(modules: Modules, name: str) -> None:
    if not modules:
        raise ConfigError(
            f"{name!r} has no modules.json, so how it makes a vector is not stated, and it is never guessed; "
            "save a copy of it with sentence-transformers and give that folder"
        )
    kinds = [kind for kind, _ in modules]
    if other := [kind for kind in kinds if kind not in REFERENCE_MODULES]:
        raise Unsupported(
            f"{name!r} is built with {other[0]}; the reference runtime has: {', '.join(REFERENCE_MODULES)}"
        )
    if kinds[0] != "Transformer" or kinds.count("Transformer") > 1 or kinds.count("Pooling") != 1:
        raise Unsupported(f"{name!r} is built as {' -> '.join(kinds)}; it must begin with Transformer -> Pooling")
    if place := modules[0][1]:
        raise Unsupported(f"{name!r} keeps its encoder in {place!r}; it must lie in the folder itself")


def _refuse_template(folder: Path, settings: Fields, modules: Modules, name: str) -> None:
    """Token ids are made here, of a pair as it is."""
    if has_messages(settings) if modules else chat_template(folder):
        raise Unsupported(
            f"{name!r} writes its pairs by a chat template, which the reference runtime does not follow; "
            "take another runtime"
        )


def _refuse_types(tokenizer: TokenizerFile, name: str) -> None:
    """XLNet and Funnel give their class token the type 2."""
    if other := sorted(tokenizer.types - {0}):
        raise Unsupported(
            f"{name!r} gives tokens of a single text the type {other[0]} (post_processor in tokenizer.json); "
            "embedstack gives all of them 0"
        )


def _ends_normalised(modules: Modules) -> bool:
    """Whether rows come out with length 1: a Dense or a LayerNorm after Normalize gives them another again."""
    return next((kind for kind, _ in reversed(modules) if kind != "Dropout"), "") == "Normalize"


def _poolings(folder: Path, modules: Modules, name: str) -> list[str]:
    return read_pooling_modes(read_fields(folder / dict(modules)["Pooling"] / "config.json"), name)


def _dim(folder: Path, modules: Modules, poolings: int) -> int:
    """What the last Dense gives, else the pooled width; several poolings stand side by side."""
    last = [place for kind, place in modules if kind == "Dense"][-1:]
    for place in last:
        dense = read_fields(folder / place / "config.json")
        _check_dense(dense)
        return dense.integer("out_features")
    pooling = read_fields(folder / dict(modules)["Pooling"] / "config.json")
    width = pooling.integer("embedding_dimension", pooling.integer("word_embedding_dimension", 0))
    if not width:
        raise pooling.wrong("embedding_dimension", "the width of a token's vector")
    return width * poolings


def _check_dense(dense: Fields) -> None:
    """An activation of the model's own is left out by sentence-transformers with no more than a line in the log."""
    activation = dense.text("activation_function", "torch.nn.modules.activation.Tanh")
    if not activation.startswith("torch."):
        raise Unsupported(f"{str(dense.path)!r} names {activation!r}; embedstack runs no code from a model")


def _files(folder: Path, modules: Modules) -> list[str]:
    """Every file that decides a vector, as a path below the folder."""
    main = [path.name for path in weight_files(folder) if path.name not in HEADS.values()]
    named = ["config.json", "modules.json", *SETTINGS_NAMES]
    for kind, place in modules[1:]:
        named.append(f"{place}/config.json")
        if kind in _WITH_WEIGHTS:
            named.append(_container(folder, place))
    return [*main, *(name for name in named if (folder / name).is_file())]


def _container(folder: Path, place: str) -> str:
    found = next((f"{place}/{name}" for name in _CONTAINERS if (folder / place / name).is_file()), None)
    if found is None:
        raise ConfigError(f"{str(folder / place)!r} holds no weights; pull the model again")
    return found
