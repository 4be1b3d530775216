"""A dialect's word for what texts are for becomes a role of the model, and back."""

from collections.abc import Mapping

from embedstack.modelspec import ModelSpec

ALWAYS = ("query", "document", "none")  # roles that every model has
ENDINGS = {".query": "query", ".passage": "document"}  # as in Jina's nl2code.query


def role_for(word: str | None, known: Mapping[str, str], spec: ModelSpec | None) -> str:
    """The role: the word itself if the model has a prompt of that name, else what it means, else document.

    Args:
        known: the dialect's words with the roles that they mean.
        spec: the model, by whatever name it was called; None where it is not served, which the engine will say.
    """
    if word is None:
        return "document"
    if spec is not None and word in spec.prompts:
        return word
    meant = known.get(word) or next((role for ending, role in ENDINGS.items() if word.endswith(ending)), None)
    return meant or (word if word in ALWAYS else "document")


def word_for(role: str, known: Mapping[str, str]) -> str:
    """What a client says for a role."""
    return next((word for word, meant in known.items() if meant == role), role)
