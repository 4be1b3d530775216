"""A text and its role -> the prompt that goes in front of it, or a refusal where its model needs one (pure)."""

from embedstack.errors import BadRequest
from embedstack.modelspec import ModelSpec
from embedstack.types import Text

ROLES = ("query", "document", "none")  # always there; the last puts nothing in front


class Prompts:
    """Those of one model."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self.needed = tuple(filter(None, spec.prompts.values())) if spec.needs_prompt else ()

    def before(self, text: str, role: str) -> str:
        """What goes in front: nothing where the caller wrote a prompt already that the model needs.

        Raises:
            BadRequest: an unknown role; the message has all.
        """
        prompts = self._spec.prompts
        if role not in prompts and role not in ROLES:
            known = ", ".join(sorted({*ROLES, *prompts}))
            raise BadRequest(f"role {role!r} is unknown to {self._spec.name!r}; send one of: {known}")
        prompt = prompts.get(role, "")
        written = self.needed if role == "document" else tuple({prompt} & {*self.needed})
        return "" if text.startswith(written) else prompt

    def require(self, item: Text, place: int) -> None:
        """What is to be embedded has the prompt that the model needs, by its role or as its caller wrote it.

        Raises:
            BadRequest: it has none; the message has all prompts.
        """
        is_put = bool(self._spec.prompts.get(item.role))
        if self._spec.needs_prompt and not is_put and not self.begin(item.text):
            raise self.missing(f"text {place} has no prompt")

    def begin(self, text: str) -> bool:
        """Whether the caller wrote one of the prompts of a model that needs one."""
        return text.startswith(self.needed)

    def missing(self, problem: str) -> BadRequest:
        """The refusal of a text without one."""
        known = ", ".join(f"{name} ({words!r})" for name, words in self._spec.prompts.items())
        return BadRequest(
            f"{problem}, and {self._spec.name!r} needs one; send a role ({known}), or write the prompt before the text "
            "yourself"
        )
