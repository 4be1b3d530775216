"""The sentence-transformers files of a folder -> how hidden states become a vector or a score, read and never guessed.

Sources: sentence_transformers 6.2, `sentence_transformer/modules/pooling.py` and `cross_encoder/model.py`; files of
earlier versions are read too, since most repositories have them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embedstack.catalog import answers, lexical
from embedstack.catalog.catalog import Entry
from embedstack.catalog.encoder import TASKS, pairs_template, read_transformer_settings, refuse_messages
from embedstack.errors import ConfigError, Unsupported
from embedstack.models import REFERENCE_HINT
from embedstack.models.config import refuse_set
from embedstack.models.folder import Fields, module_rows, read_fields, read_fields_if_there
from embedstack.modelspec import Head, Pooling, ScoreActivation, Task

POOLINGS: Mapping[str, Pooling] = {"cls": "cls", "mean": "mean", "max": "max", "lasttoken": "last"}
_LEGACY_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_ROLES = {"query": ("query",), "document": ("document", "passage", "corpus")}
"""The names that sentence-transformers looks for a role's own prompt under, in this order."""
_CLASSIFIER = "ForSequenceClassification"
_SCORES = "sequence-classification"  # what such a Transformer is loaded for
_HEADS: Mapping[str, Head] = {
    "BertForSequenceClassification": "bert",
    "RobertaForSequenceClassification": "roberta",
    "XLMRobertaForSequenceClassification": "roberta",
    "CamembertForSequenceClassification": "roberta",
    "MPNetForSequenceClassification": "roberta",
    "DistilBertForSequenceClassification": "distilbert",
    "ModernBertForSequenceClassification": "modernbert",
    "Qwen3ForSequenceClassification": "linear",
    "NewForSequenceClassification": "bert",
    "GteForSequenceClassification": "bert",
}
_ACTIVATIONS: Mapping[str, ScoreActivation] = {"Sigmoid": "sigmoid", "Identity": "identity"}
_LABEL_ACTIVATIONS: Mapping[str, ScoreActivation] = {
    "single_label_classification": "softmax",
    "multi_label_classification": "sigmoid",
    "regression": "identity",
}
REFERENCE_MODULES = ("Transformer", "Pooling", "Dense", "LayerNorm", "Dropout", "Normalize")
"""What the reference runtime hands over."""
_BUILT = "Transformer -> Pooling, StaticEmbedding or CLIPModel, each with Normalize, and Transformer -> SpladePooling"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What stands between the last layer and the caller."""

    task: Task
    pooling: Pooling = "cls"
    normalize: bool = False
    head: Head = "none"
    label_names: tuple[str, ...] = ()  # one for each logit
    score_activation: ScoreActivation = "sigmoid"
    prompts: Mapping[str, str]
    max_seq_length: int | None  # the limit that the recipe states, special tokens included
    lower_case: bool = False  # texts are put in lower case before the tokeniser
    special_tokens: bool = True  # see ModelSpec, also for these
    pair_template: str = ""
    score_ids: tuple[int, ...] = ()
    log_twice: bool = False  # see ModelSpec


def read_recipe(
    folder: Path, config: Fields, name: str, entry: Entry | None, decided: Pooling | None = None, *, hidden: int = 0
) -> Recipe:
    """The recipe that the folder states, with what the catalog adds.

    Args:
        decided: how rows are pooled where the family itself decides it, see `Family`.
        hidden: how wide the rows are that are pooled; hidden_size if 0, which not all families call it.
    Raises:
        ConfigError: the folder states none.
        Unsupported: it states one that no graph of ours computes; the message names the part.
    """
    modules = _modules(folder, name)
    architecture = (config.texts("architectures") or [""])[0]
    is_lexical = "SpladePooling" in modules
    settings = read_transformer_settings(folder, name, lexical.TASKS if is_lexical else TASKS)
    if architecture.endswith(_CLASSIFIER) and "Pooling" not in modules:
        return _scorer(folder, config, modules, name, settings)
    if list(modules) in (["CLIPModel"], ["CLIPModel", "Normalize"]) and decided:
        return _towers(folder, decided, name, entry, settings, is_unit="Normalize" in modules)
    if is_lexical:
        return _lexical(folder, config, modules, name, entry, settings)
    if list(modules) == ["Transformer", "LogitScore"] or (
        not modules and answers.is_ranker(folder, architecture, entry)
    ):
        return _decoder(folder, config, modules, name, settings)
    if modules:
        return _embedder(folder, hidden or config.integer("hidden_size", 0), modules, name, entry, settings, decided)
    if entry and entry.outputs == ("sparse",):
        return _lexical(folder, config, modules, name, entry, settings)
    pooling = entry.pooling if entry and entry.pooling else decided
    if pooling is None:
        raise ConfigError(
            f"{name!r} has no modules.json, so how it makes a vector is not stated, and it is never guessed; "
            "add modules.json and 1_Pooling/config.json to a copy of it, as sentence-transformers saves them, "
            f"and give that folder{lexical.hint(architecture)}"
        )
    return Recipe(
        task="embed",
        pooling=pooling,
        normalize=not entry or entry.normalize is not False,
        prompts=read_prompts(folder, name, entry),
        max_seq_length=settings.limit("max_seq_length"),
        lower_case=settings.flag("do_lower_case"),
    )


# ------------------------------------------------------------------------------------------------ embedders


def _embedder(
    folder: Path,
    hidden: int,
    modules: Mapping[str, str],
    name: str,
    entry: Entry | None,
    settings: Fields,
    decided: Pooling | None,
) -> Recipe:
    match list(modules):
        case ["Transformer", "Pooling"] | ["Transformer", "Pooling", "Normalize"]:
            pooling = _pooling(read_fields(folder / modules["Pooling"] / "config.json"), hidden, name)
        case ["StaticEmbedding"] | ["StaticEmbedding", "Normalize"] if decided:
            pooling = decided
        case _:
            raise _built_otherwise(modules, name)
    refuse_messages(settings, name)
    if "Normalize" in modules:
        _check_normalize(folder / modules["Normalize"] / "config.json", name)
    return Recipe(
        task="embed",
        pooling=entry.pooling if entry and entry.pooling else pooling,
        normalize=entry.normalize if entry and entry.normalize is not None else "Normalize" in modules,
        prompts=read_prompts(folder, name, entry),
        max_seq_length=settings.limit("max_seq_length"),
        lower_case=settings.flag("do_lower_case"),
    )


def _towers(
    folder: Path, decided: Pooling, name: str, entry: Entry | None, settings: Fields, *, is_unit: bool
) -> Recipe:
    """Of texts and pictures, which pool by themselves."""
    return Recipe(
        task="embed",
        pooling=decided,
        normalize=entry.normalize if entry and entry.normalize is not None else is_unit,
        prompts=read_prompts(folder, name, entry),
        max_seq_length=settings.limit("max_seq_length"),
        lower_case=settings.flag("do_lower_case"),
    )


def _built_otherwise(modules: Mapping[str, str], name: str) -> Unsupported:
    usual = ("Transformer", "Pooling", "Normalize", "StaticEmbedding", "CLIPModel", "MLMTransformer", "SpladePooling")
    other = next((m for m in modules if m not in usual), " -> ".join(modules))
    is_theirs = list(modules)[:2] == ["Transformer", "Pooling"] and set(modules) <= set(REFERENCE_MODULES)
    hint = REFERENCE_HINT if is_theirs else ""
    return Unsupported(f"{name!r} is built with {other}; embedstack has {_BUILT}{hint}")


def _lexical(
    folder: Path, config: Fields, modules: Mapping[str, str], name: str, entry: Entry | None, settings: Fields
) -> Recipe:
    """A masked language model whose logits are lexical weights; with no modules, where the catalog says so."""
    if modules and list(modules) not in lexical.CHAINS:
        raise _built_otherwise(modules, name)
    lexical.require_task(modules, settings, name)
    head, log_twice = lexical.read_head(folder, config, modules, name)
    return Recipe(
        task="embed",
        head=head,
        log_twice=log_twice,
        prompts=read_prompts(folder, name, entry),
        max_seq_length=settings.limit("max_seq_length"),
        lower_case=settings.flag("do_lower_case"),
    )


def _modules(folder: Path, name: str) -> dict[str, str]:
    """Kind -> path of each module, in order; empty where there is no modules.json."""
    rows = read_modules(folder, name)
    for place, (kind, _) in enumerate(rows):
        if kind in (earlier for earlier, _ in rows[:place]):
            raise Unsupported(
                f"{name!r} has two {kind} modules; embedstack has Transformer -> Pooling -> Normalize{REFERENCE_HINT}"
            )
    return dict(rows)


def read_modules(folder: Path, name: str) -> list[tuple[str, str]]:
    """Kind and path of each module, in order; none where there is no modules.json."""
    return [(_kind(type_name, name), place) for type_name, place in module_rows(folder)]


def _kind(type_name: str, name: str) -> str:
    """The last part of the class path; packages have moved between versions, class names have not."""
    package, _, kind = type_name.rpartition(".")
    if package.partition(".")[0] != "sentence_transformers":
        raise Unsupported(
            f"{name!r} is built with {type_name!r}, code of its own; embedstack runs no code from a model"
        )
    return kind


def _pooling(fields: Fields, hidden: int, name: str) -> Pooling:
    for key in ("embedding_dimension", "word_embedding_dimension"):
        if fields.integer(key, hidden) != hidden:
            raise fields.wrong(key, f"{hidden}, which config.json states")
    modes = read_pooling_modes(fields, name)
    if len(modes) > 1:
        raise Unsupported(
            f"{name!r} joins several poolings ({', '.join(modes)}); embedstack has one of: {', '.join(POOLINGS)}"
        )
    if modes[0] not in POOLINGS:
        raise Unsupported(f"{name!r} pools by {modes[0]!r}; embedstack has: {', '.join(POOLINGS)}")
    return POOLINGS[modes[0]]


def read_pooling_modes(fields: Fields, name: str) -> list[str]:
    """As sentence-transformers calls them, one or more."""
    if not fields.flag("include_prompt", default=True):
        raise Unsupported(
            f"{name!r} leaves its prompt out of the pooling (include_prompt=false); embedstack cannot yet"
        )
    named = fields.texts("pooling_mode")
    modes = named or [mode for key, mode in _LEGACY_POOLINGS.items() if fields.flag(key)]
    if not modes:
        raise ConfigError(f"{str(fields.path)!r} states no pooling; set pooling_mode to one of: {', '.join(POOLINGS)}")
    return modes


def _check_normalize(path: Path, name: str) -> None:
    read = read_fields_if_there(path).text("module_input_name", "sentence_embedding")
    if read != "sentence_embedding":
        raise Unsupported(f"{name!r} normalises {read!r}; embedstack normalises the pooled vector only")


def read_prompts(folder: Path, name: str, entry: Entry | None) -> dict[str, str]:
    """Prompts by role; query and document are left out where they are empty, since these roles always exist."""
    fields = read_fields_if_there(folder / "config_sentence_transformers.json")
    if "truncate_dim" in fields:
        raise Unsupported(
            f"{name!r} sets truncate_dim in {fields.path.name}; remove it there and ask for the width per request"
        )
    stated = fields.table("prompts")
    prompts = {role: stated.text(role) for role in stated.values}
    default = fields.text("default_prompt_name")
    if default and default not in (*prompts, *_ROLES):
        raise fields.wrong("default_prompt_name", f"one of the prompts ({', '.join(prompts) or 'there are none'})")
    for role, names in _ROLES.items():
        # the default stands before every text that sentence-transformers is given without a role
        named = next((name for name in (*names, default) if name in stated), None)
        if named is not None:
            prompts[role] = prompts[named]
    prompts.update(entry.prompts if entry else {})
    return {role: text for role, text in sorted(prompts.items()) if text or role not in ("query", "document")}


# ------------------------------------------------------------------------------------------------ models that score


def _scorer(folder: Path, config: Fields, modules: Mapping[str, str], name: str, settings: Fields) -> Recipe:
    """A reranker where there is one label, else a classifier."""
    architecture = config.texts("architectures")[0]
    if architecture not in _HEADS:
        raise Unsupported(f"{name!r} is a {architecture}; embedstack has: {', '.join(_HEADS)}")
    _require_alone(modules, settings, architecture, name)
    labels = read_labels(config)
    saved = read_fields_if_there(folder / "config_sentence_transformers.json")
    head = _HEADS[architecture]
    stated = pairs_template(folder, settings, modules, name)
    template = answers.written(stated, saved, name) if stated else ""
    if template:
        refuse_set(settings, name, {"do_lower_case": False})
    else:
        refuse_pair_prompts(saved, name)
    return Recipe(
        task="rerank" if len(labels) == 1 else "classify",
        pooling="last" if head == "linear" else "cls",
        head=head,
        label_names=labels,
        score_activation=read_activation(config, saved, name) if len(labels) == 1 else read_label_activation(config),
        prompts={},
        max_seq_length=settings.limit("max_seq_length"),
        lower_case=settings.flag("do_lower_case"),
        special_tokens=not template,
        pair_template=template,
    )


def _require_alone(modules: Mapping[str, str], settings: Fields, architecture: str, name: str) -> None:
    """What comes after a Transformer, or what it is loaded for, would make something else of the logits.

    Raises:
        Unsupported: it is not alone, or its logits are not what it gives.
    """
    if list(modules) not in ([], ["Transformer"]):
        raise Unsupported(
            f"{name!r} is built with {' -> '.join(modules)} over a {architecture}; embedstack has a Transformer alone "
            "for that"
        )
    if (task := settings.text("transformer_task", _SCORES)) != _SCORES:
        raise Unsupported(
            f"{name!r} sets transformer_task={task!r} in {settings.path.name}, and its architecture is a "
            f"{architecture}; embedstack has {_SCORES!r} for that"
        )


def _decoder(folder: Path, config: Fields, modules: Mapping[str, str], name: str, settings: Fields) -> Recipe:
    """A reranker that answers each pair by a word."""
    refuse_set(settings, name, {"do_lower_case": False})
    saved = read_fields_if_there(folder / "config_sentence_transformers.json")
    return Recipe(
        task="rerank",
        pooling="last",
        head="lm_head",
        label_names=("LABEL_0",),
        score_activation=read_activation(config, saved, name),
        prompts={},
        max_seq_length=settings.limit("max_seq_length"),
        special_tokens=False,
        pair_template=answers.read_template(
            pairs_template(folder, settings, modules, name), config, saved, name, is_stated=bool(modules)
        ),
        score_ids=answers.read_ids(folder, config, modules.get("LogitScore"), name),
    )


def refuse_pair_prompts(saved: Fields, name: str) -> None:
    """`CrossEncoder.predict` puts the default one before every pair."""
    if any(saved.table("prompts").values.values()):
        raise Unsupported(f"{name!r} puts prompts before its pairs; embedstack cannot follow that yet")


def read_labels(config: Fields) -> tuple[str, ...]:
    """A name for each logit, in their order; a config that states nothing has two, as in transformers.

    Raises:
        ConfigError: there are none, or they are not numbered from 0.
    """
    if "id2label" not in config:
        count = config.integer("num_labels", 2)
        if count < 1:
            raise config.wrong("num_labels", "1 or more")
        return tuple(f"LABEL_{number}" for number in range(count))
    names = config.table("id2label").values
    if not names or set(names) != {str(number) for number in range(len(names))}:
        raise config.wrong("id2label", "a name for each logit, numbered from 0")
    return tuple(str(names[str(number)]) for number in range(len(names)))


def read_label_activation(config: Fields) -> ScoreActivation:
    """Of a classifier of several labels. Source: transformers 5.23, `TextClassificationPipeline.postprocess`."""
    kind = config.text("problem_type", "single_label_classification")
    if kind not in _LABEL_ACTIVATIONS:
        raise config.wrong("problem_type", f"one of: {', '.join(_LABEL_ACTIVATIONS)}")
    return _LABEL_ACTIVATIONS[kind]


def read_activation(config: Fields, saved: Fields, name: str) -> ScoreActivation:
    """Of a reranker: where three generations of sentence-transformers keep it, the newest first, else sigmoid."""
    stated = (
        saved.text("activation_fn")
        or config.table("sentence_transformers").text("activation_fn")
        or config.text("sbert_ce_default_activation_function")
        or "torch.nn.modules.activation.Sigmoid"
    )
    kind = stated.rpartition(".")[2]
    if kind not in _ACTIVATIONS:
        raise Unsupported(f"{name!r} turns logits into scores by {stated!r}; embedstack has: {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[kind]
