"""The settings of a Transformer module -> what of them is followed: tokens, limits, and whether texts become messages.

Source: sentence_transformers 6.2, `base/modules/transformer.py`, `load_config` and `preprocess`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from embedstack.errors import Unsupported
from embedstack.models.folder import SETTINGS_NAMES, Fields, read_fields_if_there, root_of

TASKS = ("feature-extraction", "sequence-classification", "text-generation")
FLAT = "flat"  # contents of messages are texts, and no lists of parts
_UNREAD = ("processing_kwargs", "query_length", "document_length", "query_expansion")
_ARGUMENTS = ("model_kwargs", "processor_kwargs", "config_kwargs", "model_args", "tokenizer_args", "config_args")
_HARMLESS = ("attn_implementation", "torch_dtype", "dtype", "use_cache", "trust_remote_code")
"""How the same numbers are computed; the last one is taken out by sentence-transformers itself."""
_RELATIVE = ("qwen3", "modernbert", "nomic_bert", "new", "gte")  # where padding on the left moves no token's neighbours


def read_transformer_settings(folder: Path, name: str, tasks: Sequence[str] = TASKS) -> Fields:
    """The Transformer module's own settings, under the name that the repository gives the file.

    Raises:
        Unsupported: a switch that changes tokens or the model; the message names it.
    """
    root = root_of(folder)
    path = next((root / n for n in SETTINGS_NAMES if (root / n).is_file()), root / SETTINGS_NAMES[0])
    settings = read_fields_if_there(path)
    for key in _UNREAD:
        if settings.values.get(key):
            raise Unsupported(f"{name!r} sets {key} in {path.name}; embedstack cannot follow that yet")
    _refuse_arguments(settings, root, name)
    if (kind := settings.text("transformer_task", tasks[0])) not in tasks:
        raise Unsupported(f"{name!r} sets transformer_task={kind!r} in {path.name}; embedstack has: {', '.join(tasks)}")
    return settings


def _refuse_arguments(settings: Fields, root: Path, name: str) -> None:
    """What transformers is given in the place of what the model's own files say."""
    for key in _ARGUMENTS:
        given = settings.table(key)
        for argument, value in given.values.items():
            if argument not in _HARMLESS and not (argument == "padding_side" and _is_free(value, root)):
                raise Unsupported(
                    f"{name!r} sets {argument}={value!r} among the {key} of {settings.path.name}; embedstack reads the "
                    "model's own files alone, so write it there in a copy of it"
                )


def _is_free(side: object, root: Path) -> bool:
    kind = read_fields_if_there(root / "config.json").values.get("model_type")
    return side == "right" or (side == "left" and kind in _RELATIVE)


def has_messages(settings: Fields) -> bool:
    """Whether sentence-transformers writes all texts as messages, by the chat template."""
    return "message" in settings.table("modality_config")


def refuse_messages(settings: Fields, name: str) -> None:
    """For those who read texts as they are.

    Raises:
        Unsupported: the model does not.
    """
    if has_messages(settings):
        raise Unsupported(
            f"{name!r} puts its texts into a chat template (modality_config in {settings.path.name}); "
            "embedstack cannot follow that yet"
        )


def pairs_template(folder: Path, settings: Fields, modules: Mapping[str, str], name: str) -> str:
    """The chat template by which pairs become one text; empty where they are joined as they are.

    A folder with modules.json states that; of one without sentence-transformers takes the template that there is.

    Raises:
        Unsupported: messages of lists of parts.
    """
    if not modules:
        return chat_template(folder)
    if not has_messages(settings):
        return ""
    kind = settings.table("modality_config").table("message").text("format", "auto")
    if kind != FLAT:
        raise Unsupported(
            f"{name!r} writes messages of the format {kind!r} (modality_config in {settings.path.name}); "
            f"embedstack has {FLAT!r}"
        )
    return chat_template(folder)


def chat_template(folder: Path) -> str:
    """The file of transformers 5, else the field of the tokeniser's settings; empty where there is none."""
    root = root_of(folder)
    path = root / "chat_template.jinja"
    if path.is_file():
        return path.read_text("utf-8", "replace")
    stated = read_fields_if_there(root / "tokenizer_config.json").values.get("chat_template")
    return "" if stated is None else stated if isinstance(stated, str) else json.dumps(stated)
