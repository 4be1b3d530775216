"""Static embeddings: token ids -> their rows of one table, which pooling takes the mean of; there is nothing else.

Two packages write them. StaticEmbedding of sentence-transformers 6.2 has no config.json, and cuts texts where its
tokenizer.json says so (`truncation`). StaticModel of model2vec 0.10 may share a row among tokens (`mapping`), which
have weights then, and takes unknown tokens out of a text.
"""

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from embedstack.errors import ConfigError, Unsupported
from embedstack.models.family import Family
from embedstack.models.folder import Fields, has_weights, root_of
from embedstack.models.ops import Ops, Tensor
from embedstack.models.tokenizer import Id, Token, decode
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
    if not _is_model2vec(config):
        return MOST_TOKENS
    is_endless = "max_length" in config.values and "max_length" not in config  # null
    return MOST_TOKENS if is_endless else min(config.integer("max_length", MAX_LENGTH), MOST_TOKENS)


def _is_model2vec(config: Fields) -> bool:
    return config.text("model_type") == "model2vec"


def adapt(spec: ModelSpec, folder: Path, config: Fields) -> ModelSpec:
    """See Family. Before the weights are there, the vectors have no width yet."""
    folder = root_of(folder)
    spec = replace(spec, special_tokens=False, max_tokens=spec.architecture.positions)
    if not _is_model2vec(config):
        limit = read_limit(folder, spec.name)
        spec = spec if limit is None else replace(spec, max_tokens=min(limit, spec.max_tokens))
    else:
        # it cuts long texts by characters first, 512 times its tokens' median length, which few texts notice
        unknown = read_unknown(folder)
        spec = replace(spec, normalize=config.flag("normalize"), dropped_ids=() if unknown is None else (unknown,))
    if not has_weights(path.name for path in folder.iterdir()):
        return spec
    vocab, hidden = _size(open_weights(folder))
    return replace(spec, architecture=replace(spec.architecture, vocab=vocab, hidden=hidden), dim=hidden)


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


class _Truncation(msgspec.Struct):
    max_length: Id
    direction: str = "Right"


class _File(msgspec.Struct):
    model: _Model | None = None
    added_tokens: list[Token] = []
    truncation: _Truncation | None = None


def read_limit(folder: Path, name: str) -> int | None:
    """Where the tokeniser itself cuts a text; None where it does not.

    Raises:
        Unsupported: it cuts the beginning off.
    """
    stated = decode(folder / "tokenizer.json", _File).truncation
    if stated is None:
        return None
    if stated.direction != "Right":
        raise Unsupported(
            f"{name!r} cuts long texts at their {stated.direction!r} end (truncation in tokenizer.json); "
            "embedstack cuts them at the right unless a request asks otherwise"
        )
    return max(stated.max_length, 1)


def read_unknown(folder: Path) -> int | None:
    """The id that stands for what the tokeniser does not know; None where it has none.

    Source: `_get_unk_token_id` of model2vec 0.10.
    """
    path = folder / "tokenizer.json"
    file = decode(path, _File)
    if file.model is None or file.model.unk_token is None:
        return file.model.unk_id if file.model else None
    added = {token.content: token.id for token in file.added_tokens}
    if file.model.unk_token in added:
        return added[file.model.unk_token]
    try:
        return msgspec.json.decode(file.model.vocab, type=dict[str, int]).get(file.model.unk_token)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{str(path)!r} is no tokenizer ({error}); pull the model again") from error


FAMILY = Family(architecture=architecture, encoder=encoder, pooling="mean", adapt=adapt)
