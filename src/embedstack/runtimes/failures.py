"""What a runtime cannot do becomes the error that says so and what to do next, worded once for all. Pure."""

from embedstack.errors import ConfigError, RuntimeFailed
from embedstack.modelspec import ModelSpec
from embedstack.types import Batch

LESS = "take another device or a smaller precision"
LONGEST = 300  # characters of a library's message; some append a page


def closed() -> RuntimeFailed:
    """What every run after `close` gets."""
    return RuntimeFailed("the model is closed; load it again")


def require_known(batch: Batch, spec: ModelSpec) -> None:
    """Refuse token ids without a row: some devices answer them with zeros or another token's row, some fail for good.

    Raises:
        RuntimeFailed: see above.
    """
    vocab = spec.architecture.vocab
    for token in (int(batch.ids.min()), int(batch.ids.max())):
        if not 0 <= token < vocab:
            raise RuntimeFailed(
                f"token id {token} is outside 0..{vocab - 1}, the vocabulary of {spec.name!r}; "
                "its tokeniser is of another model, so pull it again"
            )


def not_run(what: str, error: Exception) -> RuntimeFailed:
    """`what` says who could not run which batch."""
    return RuntimeFailed(f"{what}: {_in_one_line(error)}; lower batch_tokens, or {LESS}")


def not_placed(device: str, error: Exception) -> ConfigError:
    """At the start."""
    return ConfigError(f"could not put the model on the device {device!r}: {_in_one_line(error)}; {LESS}")


def _in_one_line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:LONGEST]
