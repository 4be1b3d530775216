"""A Hugging Face folder -> ModelSpec: the model as data, or a refusal that names the part we cannot compute."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from embedstack.catalog.catalog import Entry
from embedstack.catalog.digests import Digests
from embedstack.catalog.prefixes import prefixed
from embedstack.catalog.recipe import Recipe, read_recipe
from embedstack.catalog.tokenizer import (
    TokenizerFile,
    ids_without_weight,
    read_normalizer,
    read_tokenizer,
    refuse_another_side,
)
from embedstack.errors import ConfigError, Unsupported
from embedstack.models import family_of
from embedstack.models.card import front_of, read_card
from embedstack.models.folder import (
    HEADS,
    SETTINGS_NAMES,
    Fields,
    module_rows,
    read_fields,
    read_fields_if_there,
    root_of,
    weight_files,
)
from embedstack.models.weights import open_weights
from embedstack.modelspec import Architecture, ModelSpec, Output

_LEAST_TOKENS = 3  # one token between the two special ones
_NO_LIMIT = 2**24  # 1e30 is customary in a tokeniser's file; from here on float32 cannot tell two places apart
_STATIC = "StaticEmbedding"
"""A module of sentence-transformers that has nothing but a table, and so no config.json."""
_LICENCE = re.compile(r"^license:[ \t]*['\"]?([\w.+-]+)", re.MULTILINE)


def read_spec(folder: Path, *, name: str, revision: str, digests: Digests, entry: Entry | None = None) -> ModelSpec:
    """The model in a folder, weights and tokeniser named by their digests.

    Args:
        entry: the catalog's block, where it has one.
    Raises:
        ConfigError: a file is missing, broken or states no recipe.
        Unsupported: a family, module or switch that no graph of ours computes.
    """
    spec = draft(folder, name=name, revision=revision, entry=entry)
    _require_outputs(spec, folder, entry)
    weights = [path.relative_to(folder).as_posix() for path in weight_files(folder)]
    tokenizer = (root_of(folder) / "tokenizer.json").relative_to(folder).as_posix()
    found = digests.of(folder, [*weights, tokenizer])
    scale, bias = _scale(spec, folder)
    return replace(
        spec,
        weights=digest_of(found[w] for w in weights),
        tokenizer=found[tokenizer],
        logit_scale=scale,
        logit_bias=bias,
        similarity=spec.similarity if scale else "",
    )


def _scale(spec: ModelSpec, folder: Path) -> tuple[float, float]:
    """What makes a logit of the cosine of a text with a picture, where the weights hold that."""
    read = family_of(spec.architecture.family, spec.name).scale
    return read(open_weights(folder)) if read else (0.0, 0.0)


def draft(folder: Path, *, name: str, revision: str, entry: Entry | None = None) -> ModelSpec:
    """The spec without digests: all that can be told, and refused, before the weights are there.

    Code that the repository brings (auto_map) is not read and not run: what computes is our graph of its family.
    """
    model_type, config = read_model_type(folder)
    family = family_of(model_type, name)
    architecture = family.architecture(config, name)
    recipe = read_recipe(folder, config, name, entry, family.pooling, hidden=architecture.hidden)
    tokenizer = read_tokenizer(folder)
    _refuse_padding_at_the_end(config, recipe, tokenizer, name)
    if architecture.family != "static":  # whose texts transformers does not read
        refuse_another_side(folder, tokenizer, name)
    normalizer = read_normalizer(folder, model_type, config, tokenizer)
    outputs = _outputs(folder, architecture, recipe)
    spec = ModelSpec(
        name=name,
        revision=revision,
        task=recipe.task,
        architecture=architecture,
        outputs=outputs,
        dim=architecture.hidden if "dense" in outputs else 0,
        max_tokens=read_max_tokens(
            folder, architecture.positions - architecture.position_offset, recipe.max_seq_length
        ),
        weights="",
        tokenizer="",
        graph=family.graph,
        pooling=recipe.pooling,
        normalize=recipe.normalize,
        lowercase=recipe.lower_case and not (normalizer.lowercase if normalizer else tokenizer.lowers),
        normalizer=normalizer,
        head=recipe.head,
        labels=len(recipe.label_names),
        label_names=recipe.label_names,
        score_activation=recipe.score_activation,
        prompts=recipe.prompts,
        special_tokens=recipe.special_tokens,
        pair_template=recipe.pair_template,
        score_ids=recipe.score_ids,
        needs_prompt=entry.needs_prompt if entry else False,
        sparse_ignore=ids_without_weight(folder, tokenizer) if "sparse" in outputs and recipe.head == "none" else (),
        log_twice=recipe.log_twice,
        cuts=entry.cuts if entry else (),
        licence=entry.licence if entry else read_licence(folder),
    )
    spec = prefixed(spec, folder, config, entry)
    spec = family.adapt(spec, folder, config) if family.adapt else spec
    return as_the_catalog_says(spec, entry)


def as_the_catalog_says(spec: ModelSpec, entry: Entry | None) -> ModelSpec:
    """What the catalog states of lengths comes before what a family read in the files."""
    return spec if entry is None or entry.normalize is None else replace(spec, normalize=entry.normalize)


def read_model_type(folder: Path) -> tuple[str, Fields]:
    """The family that a folder names, and its config.json, empty where its first module needs none."""
    path, rows = root_of(folder) / "config.json", module_rows(folder)
    if rows and rows[0][0].rpartition(".")[2] == _STATIC:
        return "static", read_fields_if_there(path)
    config = read_fields(path)
    return config.text("model_type"), config


def read_max_tokens(folder: Path, positions: int | None, max_seq_length: int | None) -> int:
    """What the recipe states, else what the tokeniser states; at most as many tokens as there are positions.

    Args:
        positions: of tokens; None where the family does not count them.
    Raises:
        ConfigError: no limit is stated, or it leaves no room.
    Source:
        sentence_transformers 6.2, `base/modules/transformer.py`: max_seq_length takes model_max_length's place.
    """
    tokenizer = read_fields_if_there(root_of(folder) / "tokenizer_config.json")
    stated = tokenizer.limit("model_max_length") if max_seq_length is None else max_seq_length
    limit = min((given for given in (stated, positions) if given is not None), default=_NO_LIMIT)
    if limit >= _NO_LIMIT:
        raise ConfigError(f"{str(folder)!r} states no limit of tokens; set max_seq_length in {SETTINGS_NAMES[0]}")
    if limit < _LEAST_TOKENS:
        raise ConfigError(f"{str(folder)!r} leaves room for {limit} tokens; mend max_seq_length or model_max_length")
    return limit


def _outputs(folder: Path, architecture: Architecture, recipe: Recipe) -> tuple[Output, ...]:
    if recipe.task != "embed":
        return ("score",)
    if recipe.head != "none":  # lexical weights of a masked language model
        return ("sparse",)
    has_heads = architecture.family == "xlm-roberta" and recipe.pooling == "cls"
    heads: list[Output] = ["sparse", "multi"] if has_heads else []
    return "dense", *(head for head in heads if (folder / HEADS[head]).is_file())


def _require_outputs(spec: ModelSpec, folder: Path, entry: Entry | None) -> None:
    """A head that the catalog promises and the folder lacks is an error, not a smaller model."""
    for output in entry.outputs if entry else ():
        if output not in spec.outputs:
            path = str(folder / HEADS.get(output, "modules.json"))
            raise ConfigError(f"{spec.name!r} gives {output} vectors, but {path!r} is not there; pull the model again")


def digest_of(digests: Iterable[str]) -> str:
    """One digest over all weight files; what they are called and how they are ordered does not matter."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def _refuse_padding_at_the_end(config: Fields, recipe: Recipe, tokenizer: TokenizerFile, name: str) -> None:
    """Source: transformers 5.23, `GenericForSequenceClassification`, which takes the last token that is no padding."""
    pad = config.integer("pad_token_id") if "pad_token_id" in config else None
    if recipe.head == "linear" and recipe.special_tokens and pad in tokenizer.ends:
        raise Unsupported(
            f"{name!r} ends its texts with the token {pad}, which is its padding too (pad_token_id in config.json), so "
            "transformers reads the token before it; embedstack cannot follow that yet"
        )


def read_licence(folder: Path) -> str:
    """What the model card's front matter states."""
    found = _LICENCE.search(front_of(read_card(folder)))
    return found[1] if found else "unknown"
