"""A dialect's word for what texts are for becomes a role of the model, and back."""

from collections.abc import Mapping
from typing import TypeAlias

from embedstack.dialects.wire import Misfit, shortened
from embedstack.modelspec import ModelSpec

ALWAYS = ("query", "document", "none")  # roles that every model has

Published: TypeAlias = Mapping[str, tuple[str, ...]]
"""A dialect's own words, each with the roles that it may mean, the nearest first."""


def role_for(word: str | None, field: str, published: Published, spec: ModelSpec | None) -> str:
    """The role: the word itself if the model has a prompt of that name, else what it means to the dialect.

    Args:
        word: None where the body has none; its texts are documents then.
        field: of the body, where the word stands.
        spec: the model, by whatever name it was called; None where it is not served, which the engine will say.
    Raises:
        Misfit: nobody knows the word, or the model needs a prompt and has none for it. A guess would be a vector of
            another kind, and nobody would notice.
    """
    if word is None:
        return "document"
    if spec is None:
        return published.get(word, (word,))[0]
    role = _role(word, published, spec)
    if role is None:
        raise Misfit(_refusal(word, field, published, spec), field)
    return role


def _role(word: str, published: Published, spec: ModelSpec) -> str | None:
    """None where there is none. To a model that needs no prompt, a task that it has none for is that of a document."""
    if word in spec.prompts or word in ALWAYS:
        return word
    plain = () if spec.needs_prompt else ("document",)
    meant = (*published[word], *plain) if word in published else ()
    return next((role for role in meant if role in spec.prompts or role in ALWAYS), None)


def _refusal(word: str, field: str, published: Published, spec: ModelSpec) -> str:
    able = [one for one in (*published, *ALWAYS, *spec.prompts) if _role(one, published, spec) is not None]
    why = "has no prompt in" if word in published else "is unknown to"
    must = ", which needs one" if word in published else ""
    return f"{field} {shortened(word)!r} {why} {spec.name!r}{must}; send one of: {', '.join(dict.fromkeys(able))}"


def word_for(role: str, published: Published) -> str:
    """What a client says for a role."""
    return next((word for word, meant in published.items() if meant[0] == role), role)
