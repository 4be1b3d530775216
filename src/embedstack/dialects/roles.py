"""A dialect's word for what texts are for becomes a role of the model, and back."""

from collections.abc import Mapping, Sequence

from embedstack.types import ModelSpec

ENDINGS = {".query": "query", ".passage": "document"}  # as in Jina's nl2code.query


def role_for(word: str | None, known: Mapping[str, str], model: str, models: Sequence[ModelSpec]) -> str:
    """The role: the word itself if the model has a prompt of that name, else what it means, else document.

    A model that is named by an alias is not found here. Then a word without a known meaning is passed on, and the
    engine uses or refuses it by name: the vectors must not depend on the spelling of a name.

    Args:
        known: the dialect's words with the roles that they mean.
    """
    if word is None:
        return "document"
    spec = next((one for one in models if one.name == model), None)
    if spec is not None and word in spec.prompts:
        return word
    meant = known.get(word) or next((role for ending, role in ENDINGS.items() if word.endswith(ending)), None)
    if meant is not None:
        return meant
    return word if spec is None or word in ("query", "document", "none") else "document"


def word_for(role: str, known: Mapping[str, str]) -> str:
    """What a client says for a role."""
    return next((word for word, meant in known.items() if meant == role), role)
