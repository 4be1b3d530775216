"""What the families read of config.json in the same way."""

from collections.abc import Mapping

from embedstack.errors import Unsupported
from embedstack.models.folder import Fields
from embedstack.modelspec import Activation

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
_SMALLEST, _LARGEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127  # of float32 at its full precision, which graphs count in
_HELD = "a number above 0 that float32 can hold"
_ROPE_FIELDS = {"rope_type", "type", "rope_theta", "factor", "partial_rotary_factor"}


def activation(config: Fields, name: str, key: str = "hidden_act", default: str = "gelu") -> Activation:
    """The activation that a field names.

    Raises:
        Unsupported: none of ours; the message has the model's `name`.
    """
    act = config.text(key, default)
    if act not in _ACTIVATIONS:
        raise Unsupported(f"{name!r} uses the activation {act!r} ({key}); embedstack has: {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[act]


def divided(config: Fields, whole: str, parts: str) -> tuple[int, int]:
    """Two fields of which the second divides the first, as a width and its heads.

    Raises:
        ConfigError: it does not, or one is 0.
    """
    width, heads = positive(config, whole), config.integer(parts)
    if not heads or width % heads:
        raise config.wrong(parts, f"a divisor of {whole}={width}")
    return width, heads


def positive(config: Fields, name: str) -> int:
    """A size that may not be 0.

    Raises:
        ConfigError: it is.
    """
    size = config.integer(name)
    if not size:
        raise config.wrong(name, "1 or more")
    return size


def magnitude(config: Fields, name: str, default: float) -> float:
    """A number above 0 that float32 can hold.

    Raises:
        ConfigError: it is none.
    """
    number = config.number(name, default)
    if not _is_held(number):
        raise config.wrong(name, _HELD)
    return number


def _is_held(number: float) -> bool:
    return _SMALLEST <= number <= _LARGEST


def refuse_switches(config: Fields, name: str, *, places: str | None = "absolute") -> None:
    """What no graph of ours follows, whatever the family.

    Args:
        places: the kind of positions that the family has; None where transformers does not read the field, whatever it
            says (of mmBERT it says sans_pos).
    Raises:
        Unsupported: positions of another kind, a decoder's mask, or quantised weights.
    """
    stated = places and config.text("position_embedding_type", places)
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


def turning(config: Fields, name: str) -> Fields:
    """How positions are turned: `rope_parameters` of transformers 5, `rope_scaling` of earlier versions.

    Raises:
        Unsupported: both are there and differ; transformers 5.23 would take the earlier one.
    """
    newer, earlier = config.table("rope_parameters"), config.table("rope_scaling")
    if newer.values and earlier.values and newer.values != earlier.values:
        raise Unsupported(
            f"{name!r} states rope_parameters={newer.values!r} and rope_scaling={earlier.values!r}; "
            "remove the one that it was not trained with from config.json"
        )
    return newer if newer.values else earlier


def theta_of(config: Fields, stated: Fields, default: float, key: str = "rope_theta") -> float:
    """The base of the speeds by which positions turn: where transformers 5 keeps it, else where it was before.

    Args:
        stated: the rope parameters of the layers that are meant.
        key: of config.json itself.
    Raises:
        ConfigError: a number that turns nothing, or that float32 cannot hold.
    """
    return magnitude(stated, "rope_theta", magnitude(config, key, default))


def plain_theta(config: Fields, stated: Fields, name: str, default: float, key: str = "rope_theta") -> float:
    """As `theta_of`, where a family computes no scaling.

    Raises:
        ConfigError: as `theta_of`.
        Unsupported: the speeds are scaled.
    """
    for field in ("rope_type", "type"):
        if (kind := stated.text(field, "default")) != "default":
            raise Unsupported(
                f"{name!r} sets {field}={kind!r} (rope_parameters or rope_scaling of config.json); "
                "embedstack computes 'default' only for its family"
            )
    return theta_of(config, stated, default, key)


def rope(config: Fields, name: str, size: int, theta: float) -> tuple[float, float]:
    """The base of the speeds by which positions turn, and what the speeds are divided by.

    Args:
        size: numbers of a head.
        theta: the base where none is stated.
    Raises:
        ConfigError: a number that turns nothing, or that float32 cannot hold.
        Unsupported: a kind of scaling that `Ops.angles` does not compute; as `turning`.
    Source:
        `modeling_rope_utils.py` of transformers 5.23; "ntk" is formula (6) of
        https://kexue.fm/archives/9706, as `NTKScalingRotaryEmbedding` of Alibaba-NLP/new-impl has it.
    """
    if size % 2:
        raise config.wrong("num_attention_heads", "a number of heads of an even width")
    how = turning(config, name)
    refuse_set(how, name, {"partial_rotary_factor": 1.0})
    if other := {key for key in how.values if key in how} - _ROPE_FIELDS:
        raise Unsupported(f"{name!r} has {min(other)!r} among its rope parameters; embedstack cannot follow that")
    base = theta_of(config, how, theta)
    if base != config.number("rope_theta", base):
        raise config.wrong("rope_theta", f"what rope_parameters state ({base})")
    kind = how.text("rope_type", how.text("type", "default"))
    factor = 1.0 if kind == "default" else how.number("factor", 0)
    if factor < 1 or not _is_held(base * factor):
        raise how.wrong("factor", "1 or more, and what float32 can hold, also when rope_theta is multiplied by it")
    match kind:
        case "default" | "linear":
            return base, factor
        case "ntk":
            return base * factor, factor ** (2 / size)
    raise Unsupported(f"{name!r} scales its positions by {kind!r}; embedstack has: default, linear, ntk")
