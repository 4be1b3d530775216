"""Static embeddings: token ids -> their rows of one table, which pooling takes the mean of; there is nothing else.

Two packages write them. StaticEmbedding of sentence-transformers 6.2 has no config.json, and cuts texts where its
tokenizer.json says so (`truncation`). StaticModel of model2vec 0.10 may share a row among tokens (`mapping`), which
have weights then, cuts a text by its characters before it does by its tokens, and takes unknown ones out of it.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from embedstack.errors import ConfigError, Unsupported
from embedstack.models.family import Family
from embedstack.models.folder import Fields, has_weights, module_rows, root_of
from embedstack.models.ops import Ops, Tensor
from embedstack.models.tokenizer import Id, Token, Truncation, decode, require_right
from embedstack.models.weights import Weights, open_weights
from embedstack.modelspec import Architecture, ModelSpec, Pooling
from embedstack.types import Floats

X = TypeVar("X", bound=Tensor)

TABLES = ("embedding.weight", "embeddings")  # as sentence-transformers calls it, and as model2vec does
MAPPING, WEIGHTS = "mapping", "weights"
FOLDED = "embeddings of tokens"  # what mapping and weights make of the table
# sentence-transformers cuts texts only where tokenizer.json does, and a model2vec whose max_length is null never does;
# here a batch must end somewhere
MOST_TOKENS = 8192
MAX_LENGTH = 512  # what a model2vec that states none cuts texts at


def architecture(config: Fields, name: str) -> Architecture:
    """See Family. How large the table is, only the weights say; see `adapt`."""
    return Architecture(
        family="static",
        layers=0,
        hidden=0,
        heads=1,
        intermediate=0,
        vocab=0,
        positions=_most_tokens(config),
    )


def _most_tokens(config: Fields) -> int:
    limit = _limit(config) if _is_model2vec(config) else None
    return MOST_TOKENS if limit is None else limit


def _limit(config: Fields) -> int | None:
    """Tokens at which model2vec cuts a text; None where it does not, or only behind those that we can take."""
    is_endless = "max_length" in config.values and "max_length" not in config  # null
    stated = config.integer("max_length", MAX_LENGTH)
    return None if is_endless or stated > MOST_TOKENS else stated


def _is_model2vec(config: Fields) -> bool:
    return config.text("model_type") == "model2vec"


def adapt(spec: ModelSpec, folder: Path, config: Fields) -> ModelSpec:
    """See Family. Before the weights are there, the vectors have no width yet."""
    root = root_of(folder)
    spec = replace(spec, special_tokens=False, max_tokens=spec.architecture.positions)
    spec = _of_model2vec(spec, folder, config) if _is_model2vec(config) else _of_sentence_transformers(spec, root)
    if not has_weights(path.name for path in root.iterdir()):
        return spec
    vocab, hidden = _size(open_weights(root))
    return replace(spec, architecture=replace(spec.architecture, vocab=vocab, hidden=hidden), dim=hidden)


def _of_sentence_transformers(spec: ModelSpec, root: Path) -> ModelSpec:
    limit = read_limit(root, spec.name)
    return spec if limit is None else replace(spec, max_tokens=min(limit, spec.max_tokens))


def _of_model2vec(spec: ModelSpec, folder: Path, config: Fields) -> ModelSpec:
    """Two packages read such a folder, and each has a file of its own that may say whether vectors have length 1.

    Raises:
        Unsupported: both say it, and they differ.
    """
    kinds = [kind.rpartition(".")[2] for kind, _ in module_rows(folder)]
    normalize = config.flag("normalize", default="Normalize" in kinds)
    if kinds and normalize is not ("Normalize" in kinds):
        raise Unsupported(
            f"{spec.name!r} sets normalize={normalize} in config.json, which model2vec reads, and has the modules "
            f"{' -> '.join(kinds)} in modules.json, which sentence-transformers reads; make both say the same in a copy"
        )
    known = read_vocabulary(root_of(folder))
    return replace(
        spec,
        normalize=normalize,
        dropped_ids=() if known.unknown is None else (known.unknown,),
        median_chars=0 if _limit(config) is None else known.median_chars,
    )


def _size(weights: Weights) -> tuple[int, int]:
    """Tokens, and the width of a row."""
    table, mapping = weights.shape(_table(weights)), weights.shape(MAPPING) if weights.has(MAPPING) else ()
    if len(table) != 2:
        raise ConfigError(f"{_table(weights)!r} has the shape {table}, a table has two axes; pull the model again")
    return (mapping or table)[0], table[1]


def _table(weights: Weights) -> str:
    return weights.prefix(TABLES, "")


def encoder(ops: Ops[X], spec: ModelSpec, only: Pooling | None = None) -> X:
    """See Encode."""
    a = spec.architecture
    x = ops.rows(ops.weight(folded(ops.weights), a.vocab, a.hidden), ops.ids())
    return ops.pool(x, only) if only else x


def folded(weights: Weights) -> str:
    """The tensor that has a row for each token, made of the others where there are any.

    Source: `StaticEmbedding._fold_model2vec_weights` of sentence-transformers 6.2.
    """
    if not weights.has(MAPPING) and not weights.has(WEIGHTS):
        return _table(weights)
    if not weights.has(FOLDED):
        weights.derive(FOLDED, _fold(weights))
    return FOLDED


def _fold(weights: Weights) -> Floats:
    name = _table(weights)
    table = weights.take(name, weights.shape(name))
    if weights.has(MAPPING):
        which = weights.whole_numbers(MAPPING)
        if len(which) and not 0 <= which.min() <= which.max() < len(table):
            raise ConfigError(f"{MAPPING!r} names rows outside 0..{len(table) - 1}; pull the model again")
        table = table[which]
    if weights.has(WEIGHTS):
        table = table * weights.take(WEIGHTS, (len(table),))[:, None]
    return np.ascontiguousarray(table, np.float32)


# ------------------------------------------------------------------------------------------------ the tokeniser


class _Model(msgspec.Struct):
    unk_token: str | None = None
    unk_id: Id | None = None
    vocab: msgspec.Raw = msgspec.Raw(b"{}")


class _File(msgspec.Struct):
    model: _Model | None = None
    added_tokens: list[Token] = []
    truncation: Truncation | None = None


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What model2vec asks of its tokeniser's tokens."""

    unknown: int | None  # the id that stands for what it does not know; None where it has none
    median_chars: int  # of a token


def read_limit(folder: Path, name: str) -> int | None:
    """Where the tokeniser itself cuts a text; None where it does not.

    Raises:
        Unsupported: it cuts the beginning off.
    """
    stated = decode(folder / "tokenizer.json", _File).truncation
    if stated is None:
        return None
    require_right(stated.direction, "truncation in tokenizer.json", name)
    return max(stated.max_length, 1)


def read_vocabulary(folder: Path) -> Vocabulary:
    """Source: `_get_unk_token_id` and `StaticModel.__init__` of model2vec 0.10."""
    path = folder / "tokenizer.json"
    file = decode(path, _File)
    model = file.model or _Model()
    ids = _ids(model.vocab, path) | {token.content: token.id for token in file.added_tokens}
    return Vocabulary(
        unknown=model.unk_id if model.unk_token is None else ids.get(model.unk_token),
        median_chars=int(np.median([len(token) for token in ids])) if ids else 0,
    )


def _ids(vocab: msgspec.Raw, path: Path) -> dict[str, int]:
    """By token; the pieces of a Unigram model are numbered by their order."""
    try:
        found: dict[str, int] | list[tuple[str, float]] = msgspec.json.decode(
            vocab, type=dict[str, int] | list[tuple[str, float]]
        )
    except msgspec.DecodeError as error:
        raise ConfigError(f"{str(path)!r} is no tokenizer ({error}); pull the model again") from error
    return found if isinstance(found, dict) else {token: number for number, (token, _) in enumerate(found)}


FAMILY = Family(architecture=architecture, encoder=encoder, pooling="mean", adapt=adapt)
