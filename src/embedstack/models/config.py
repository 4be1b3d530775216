"""What the families read of config.json in the same way."""

from collections.abc import Mapping

from embedstack.errors import Unsupported
from embedstack.models.folder import Fields
from embedstack.types import Activation

_ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}
_ROPE_FIELDS = {"rope_type", "type", "rope_theta", "factor", "partial_rotary_factor"}


def activation(config: Fields, name: str, key: str = "hidden_act", default: str = "gelu") -> Activation:
    """The activation that a field names.

    Raises:
        Unsupported: none of ours; the message has the model's `name`.
    """
    act = config.text(key, default)
    if act not in _ACTIVATIONS:
        raise Unsupported(f"{name!r} uses the activation {act!r}; embedstack has: {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[act]


def divided(config: Fields, whole: str, parts: str) -> tuple[int, int]:
    """Two fields of which the second divides the first, as a width and its heads.

    Raises:
        ConfigError: it does not.
    """
    width, heads = config.integer(whole), config.integer(parts)
    if not heads or width % heads:
        raise config.wrong(parts, f"a divisor of {whole}={width}")
    return width, heads


def refuse_switches(config: Fields, name: str, *, places: str = "absolute") -> None:
    """What no graph of ours follows, whatever the family.

    Args:
        places: the kind of positions that the family has.
    Raises:
        Unsupported: positions of another kind, a decoder's mask, or quantised weights.
    """
    stated = config.text("position_embedding_type", places)
    if stated != places:
        raise Unsupported(
            f"{name!r} uses {stated!r} positions (position_embedding_type); embedstack has {places} ones for its family"
        )
    if config.flag("is_decoder"):
        raise Unsupported(f"{name!r} is a decoder (is_decoder=true); embedstack has encoders")
    if "quantization_config" in config:
        raise Unsupported(f"{name!r} holds quantised weights (quantization_config); take the original")


def refuse_set(config: Fields, name: str, usual: Mapping[str, object]) -> None:
    """Refuse a field that is there and not as usual: a switch that would change the graph.

    Raises:
        Unsupported: the message has the field, its value and the usual one.
    """
    for key, value in usual.items():
        if key in config and config.values[key] != value:
            raise Unsupported(f"{name!r} sets {key}={config.values[key]!r}; embedstack computes {key}={value!r} only")


def rope(config: Fields, name: str, size: int, theta: float) -> tuple[float, float]:
    """The base of the speeds by which positions turn, and what the speeds are divided by.

    Args:
        size: numbers of a head.
        theta: the base where none is stated.
    Raises:
        ConfigError: a number that turns nothing.
        Unsupported: a kind of scaling that `Ops.angles` does not compute.
    Source:
        `rope_parameters` as transformers 5.23 reads it, `rope_scaling` as earlier versions; "ntk" is formula (6) of
        https://kexue.fm/archives/9706, as `NTKScalingRotaryEmbedding` of Alibaba-NLP/new-impl has it.
    """
    if size % 2:
        raise config.wrong("num_attention_heads", "a number of heads of an even width")
    how = config.table("rope_parameters" if "rope_parameters" in config else "rope_scaling")
    refuse_set(how, name, {"partial_rotary_factor": 1.0})
    if other := {key for key in how.values if key in how} - _ROPE_FIELDS:
        raise Unsupported(f"{name!r} has {min(other)!r} among its rope parameters; embedstack cannot follow that")
    base = how.number("rope_theta", config.number("rope_theta", theta))
    if base <= 0 or base != config.number("rope_theta", base):
        raise config.wrong("rope_theta", f"above 0, and what rope_parameters state ({base})")
    kind = how.text("rope_type", how.text("type", "default"))
    factor = 1.0 if kind == "default" else how.number("factor", 0)
    if factor < 1:
        raise how.wrong("factor", "1 or more")
    match kind:
        case "default" | "linear":
            return base, factor
        case "ntk":
            return base * factor, factor ** (2 / size)
    raise Unsupported(f"{name!r} scales its positions by {kind!r}; embedstack has: default, linear, ntk")
