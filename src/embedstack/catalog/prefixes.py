"""A model's card and name -> the prompts that its texts must have, where its other files and the catalog name none.

Such a model gives vectors without them, too, and nothing shows that these are worth less. A card counts only where it
says so in the words of the model's makers, and names the prefixes in quotes: other cards compare themselves with it.
Where a folder has no card and a name that tells nothing, its family's prompts count: it may be a copy of the original.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from embedstack.catalog.catalog import Entry
from embedstack.models import FAMILIES, family_of
from embedstack.models.card import body_of, read_card
from embedstack.models.folder import Fields
from embedstack.models.nomic_bert import OTHER_NAMES
from embedstack.models.nomic_bert import PROMPTS as NOMIC
from embedstack.modelspec import ModelSpec

_E5 = {"query": "query: ", "document": "passage: "}
_SEARCH = {role: NOMIC[role] for role in ("query", "document")}
_ROLES = ("query", "document", *OTHER_NAMES.values())
_MARKS = re.compile(r"[*\s]+")  # emphasis and line ends, which may stand anywhere in a sentence


@dataclass(frozen=True, slots=True)
class _Trained:
    """Models that were trained with the same prefixes.

    Args:
        names: of their repositories, without who published them.
        sentence: of their cards.
    """

    prompts: Mapping[str, str]
    names: re.Pattern[str]
    sentence: re.Pattern[str]

    def is_named(self, name: str) -> bool:
        return self.names.fullmatch(name.rstrip("/").rpartition("/")[2].partition("@")[0]) is not None

    def is_told(self, card: str) -> bool:
        quoted = (re.search(rf"[\"'`]{re.escape(self.prompts[role])}", card) for role in ("query", "document"))
        return self.sentence.search(card) is not None and all(quoted)


def _trained(prompts: Mapping[str, str], names: str, sentence: str) -> _Trained:
    return _Trained(prompts, re.compile(names, re.IGNORECASE), re.compile(sentence, re.IGNORECASE))


_ALL = (
    # intfloat/e5-*, -v2 and multilingual-e5-*; those that follow an instruction have other prompts
    _trained(
        _E5,
        r"(multilingual-)?e5-(small|base|large)(-v2|-unsupervised)?",
        r"each input text should start with .query: . or .passage: "
        r"|do I need to add the prefix .query: . and .passage: . to input texts",
    ),
    # nomic-ai/nomic-embed-text-v1, v1.5 and the steps of their training
    _trained(
        NOMIC,
        r"nomic-embed-text-v1(\.5)?(-unsupervised|-ablated)?",
        r"the text prompt must include a task instruction prefix",
    ),
    # nomic-ai/modernbert-embed-base, lightonai/modernbert-embed-large
    _trained(
        _SEARCH,
        r"modernbert-embed-(base|large)",
        r"this model is trained similarly to Nomic Embed and requires prefixes",
    ),
)


def prefixed(spec: ModelSpec, folder: Path, config: Fields, entry: Entry | None) -> ModelSpec:
    """The spec with the prompts that its texts must have.

    What the catalog says comes first, then the words that the files state for a role. They may be the very ones that
    the card asks for: then each text needs one. Empty ones say nothing against a card or name that asks for some, for
    sentence-transformers 5 writes them for any model.
    """
    needed: Mapping[str, str] = {}
    if entry is None and "dense" in spec.outputs:
        needed = needed_prompts(folder, config, spec.name)
    if not needed:
        return spec
    stated = {role: words for role, words in spec.prompts.items() if words}
    prompts = spec.prompts if any(role in stated for role in _ROLES) else {**spec.prompts, **needed, **stated}
    is_needed = any(words in needed.values() for words in prompts.values())
    return replace(spec, prompts=dict(sorted(prompts.items())), needs_prompt=is_needed)


def needed_prompts(folder: Path, config: Fields, name: str) -> Mapping[str, str]:
    """By role; empty where nothing says that texts must have one.

    Args:
        name: the model's own. What it was made of (_name_or_path), and its family, count only where no card says what
            became of it.
    """
    card = _MARKS.sub(" ", body_of(read_card(folder))).strip()
    names = [name] if card else [name, config.text("_name_or_path")]
    found = (kind.prompts for kind in _ALL if any(map(kind.is_named, names)) or kind.is_told(card))
    return next(found, {} if card else _of_family(config.text("model_type"), name))


def _of_family(model_type: str, name: str) -> Mapping[str, str]:
    return family_of(model_type, name).prompts if model_type in FAMILIES else {}
