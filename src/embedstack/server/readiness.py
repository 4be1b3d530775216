"""How the server stands and how its models stand become one answer: can vectors be had, and if not, why."""

from collections.abc import Sequence

from embedstack.dialects.dialect import State
from embedstack.engine.slots import ModelState

NO_MODEL = "no model is served any more; the holder of the admin key can load one: POST /admin/models/load"
AT_FIRST = "models that are not in memory are loaded at their first request"


def readiness(state: State, reason: str, models: Sequence[ModelState] | None) -> tuple[State, str]:
    """The state and why it is not ready; every page and the gauge say the same.

    A model that is not in memory and has not failed does no harm: its first request loads it.

    Args:
        state, reason: of the server without a look at its models.
        models: None where they cannot come and go.
    """
    if state != "ready" or models is None:
        return state, reason
    failed = [model for model in models if model.state == "failed"]
    if not models:
        return "failed", NO_MODEL
    if len(failed) == len(models) or any(model.is_wanted for model in failed):
        return "failed", "; ".join(f"{model.name!r} could not be loaded: {model.reason}" for model in failed)
    return "ready", ""


def note(models: Sequence[ModelState]) -> str:
    """What a reader of readiness should know beside it."""
    return AT_FIRST if any(model.state == "available" for model in models) else ""
