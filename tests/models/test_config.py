"""What no family takes from a config.json: sizes and epsilons of 0, and numbers that no graph can hold."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_gte import CASES as GTE
from test_modernbert import CASES as MODERNBERT
from test_nomic_bert import CASES as NOMIC
from test_qwen3 import CASES as QWEN3

from embedstack.catalog import find
from embedstack.errors import ConfigError, EmbedstackError, Unsupported
from embedstack.models import encoder, family_of
from embedstack.models.folder import Fields
from embedstack.models.weights import open_weights
from embedstack.modelspec import Architecture
from embedstack.runtimes.numpy import NumpyOps
from support.families import Tiny, batch_of, write

CONFIG: Mapping[str, object] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "vocab_size": 100,
}
DISTILBERT = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
TEXTS = ("bert", "roberta", "xlm-roberta", "camembert", "mpnet", "modernbert", "nomic_bert", "new", "gte", "qwen3")
TURNED = ("nomic_bert", "new", "gte", "qwen3")
EPSILONS = {"modernbert": "norm_eps", "qwen3": "rms_norm_eps"}


def read(kind: str, **change: object) -> Architecture:
    stated = {**CONFIG, **DISTILBERT, "model_type": kind, **change}
    return family_of(kind, "x").architecture(Fields(Path("config.json"), stated), "some/model")


@pytest.mark.parametrize("kind", [*TEXTS, "distilbert"])
def test_every_family_reads_the_config_that_these_tests_spoil(kind: str) -> None:
    assert read(kind).hidden == 32


@pytest.mark.parametrize("kind", TEXTS)
def test_a_width_of_0_is_refused_by_name(kind: str) -> None:
    with pytest.raises(ConfigError, match="'hidden_size' is 0, not 1 or more"):
        read(kind, hidden_size=0)


@pytest.mark.parametrize(("kind", "part"), [("clip", "vision_config"), ("siglip", "vision_config"), ("distilbert", "")])
def test_a_width_of_0_of_a_part_is_refused_by_name(kind: str, part: str) -> None:
    spoiled: dict[str, object] = {part: {"hidden_size": 0}} if part else {"dim": 0}

    with pytest.raises(ConfigError, match=r"'(hidden_size|dim)' is 0, not 1 or more"):
        read(kind, **spoiled)


@pytest.mark.parametrize("number", [0, -1e-5, 1e-60, 1e60])
@pytest.mark.parametrize("kind", TEXTS)
def test_an_epsilon_that_no_graph_can_hold_is_refused_by_name(kind: str, number: float) -> None:
    name = EPSILONS.get(kind, "layer_norm_eps")

    with pytest.raises(ConfigError, match=f"'{name}' is .* not a number above 0 that float32 can hold"):
        read(kind, **{name: number})


@pytest.mark.parametrize("number", [0, -1.0, 1e-60, 1e60])
@pytest.mark.parametrize("kind", TURNED)
def test_a_theta_that_no_graph_can_hold_is_refused_by_name(kind: str, number: float) -> None:
    with pytest.raises(ConfigError, match=r"'rope_theta' is .* not a number above 0 that float32 can hold"):
        read(kind, rope_theta=number)
    with pytest.raises(ConfigError, match=r"'rope_theta' is .* not a number above 0 that float32 can hold"):
        read(kind, rope_parameters={"rope_type": "default", "rope_theta": number})


@pytest.mark.parametrize("name", ["global_rope_theta", "local_rope_theta"])
def test_a_theta_of_some_layers_is_refused_like_another(name: str) -> None:
    with pytest.raises(ConfigError, match=f"'{name}' is 1e[+]60, not a number above 0 that float32 can hold"):
        read("modernbert", **{name: 1e60})


@pytest.mark.parametrize("kind", ["nomic_bert", "new", "gte"])
def test_a_factor_that_makes_a_theta_too_large_is_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"'factor' is 1e\+36"):
        read(kind, rope_scaling={"type": "ntk", "factor": 1e36}, rope_theta=10_000.0)


@pytest.mark.parametrize("kind", TURNED)
def test_two_ways_to_turn_positions_that_differ_are_refused(kind: str) -> None:
    """transformers 5.23 prefers rope_scaling, `convert_rope_params_to_dict`; which one is meant, nobody can tell."""
    newer = {"rope_type": "default", "rope_theta": 40.0}

    with pytest.raises(Unsupported, match=r"states rope_parameters=.* and rope_scaling="):
        read(kind, rope_parameters=newer, rope_scaling={"rope_type": "default", "rope_theta": 50.0})
    assert read(kind, rope_parameters=newer, rope_scaling=newer).rope_theta == 40.0


@pytest.mark.parametrize("kind", [*TURNED, "modernbert"])
@pytest.mark.parametrize("name", ["rope_parameters", "rope_scaling"])
def test_an_empty_way_to_turn_positions_is_none(kind: str, name: str) -> None:
    assert read(kind, **{name: {}}) == read(kind)


def test_an_empty_newer_way_leaves_the_earlier_one() -> None:
    stated = {"rope_parameters": {}, "rope_scaling": {"type": "linear", "factor": 2.0}}

    assert read("gte", **stated).rope_factor == 2.0


# ------------------------------------------------------------------------------------------------ places without end

ENDLESS = 2**31 - 1


class Tables(NumpyOps):
    """How many places each table of turns has."""

    def angles(self, base: float, size: int, positions: int, *, factor: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        self.places = positions
        return super().angles(base, size, positions, factor=factor)


def of(cases: Sequence[Tiny]) -> Tiny:
    return next(case for case in cases if "max_position_embeddings" in case.config)


@pytest.mark.parametrize("case", [of(GTE), of(NOMIC), of(MODERNBERT), of(QWEN3)], ids=lambda case: case.name)
def test_turns_are_kept_for_no_more_places_than_a_text_has(case: Tiny, tmp_path: Path) -> None:
    folder = write(replace(case, config={**case.config, "max_position_embeddings": ENDLESS}), tmp_path / "model")
    spec = find(str(folder), cache_dir=tmp_path).spec
    ops = Tables(open_weights(folder), batch_of(case.items(spec)))

    encoder(ops, spec)

    assert ops.places == spec.max_tokens == case.max_seq_length


def test_as_many_places_as_a_number_can_count_are_no_limit(tmp_path: Path) -> None:
    config = {**of(GTE).config, "max_position_embeddings": ENDLESS}
    files = {"sentence_bert_config.json": {}, "tokenizer_config.json": {}}
    folder = write(replace(of(GTE), config=config, files=files), tmp_path / "model")

    with pytest.raises(EmbedstackError, match=r"states no limit of tokens"):
        find(str(folder), cache_dir=tmp_path)
