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


def refuse_switches(config: Fields, name: str) -> None:
    """What no graph of ours follows, whatever the family.

    Raises:
        Unsupported: relative positions, a decoder's mask, or quantised weights.
    """
    places = config.text("position_embedding_type", "absolute")
    if places != "absolute":
        raise Unsupported(f"{name!r} uses {places!r} positions (position_embedding_type); embedstack has absolute ones")
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
