"""A decoder's files -> how it reranks: a pair becomes one text, and two words are its answer to it.

Sources: sentence_transformers 6.2, `cross_encoder/model.py` and `base/modules/transformer.py`; the cards of
Qwen3-Reranker for folders without modules.json.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from embedstack.catalog.catalog import Entry
from embedstack.errors import ConfigError, Unsupported
from embedstack.models import REFERENCE_HINT
from embedstack.models.config import refuse_set
from embedstack.models.folder import Fields, read_fields, read_fields_if_there, root_of

INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
QWEN3 = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided."
    ' Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n<Instruct>: {instruction}\n'
    "<Query>: {query}\n<Document>: {document}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
)
_WRITTEN: Mapping[str, str] = {"6f682162495ec5b39fd9005c01b6aa2a74669379fe967039f1e2cbbe8752369d": QWEN3}
"""What chat templates of this sha256 make of a pair; programs in a language of its own, so that none is run here."""
_CARDS: Mapping[str, str] = {"Qwen3ForCausalLM": QWEN3}
"""What the cards of these architectures make of a pair."""
_ANSWERS = ("true_token_id", "false_token_id")
_WORDS = ("yes", "no")  # what sentence-transformers looks for where no file names them
_CARD_CHARS = 65536


class _Vocabulary(msgspec.Struct):
    vocab: dict[str, int]


class _TokenizerFile(msgspec.Struct):
    model: _Vocabulary


def is_ranker(folder: Path, architecture: str, entry: Entry | None) -> bool:
    """Whether a decoder without modules.json says that it reranks: in the catalog, its chat template or its card."""
    if architecture not in _CARDS:
        return False
    return (entry is not None and entry.task == "rerank") or _digest(folder) in _WRITTEN or _has_ranking_card(folder)


def written(folder: Path, saved: Fields) -> str:
    """How the folder's chat template writes a pair, with {query} and {document}; empty where it is none for pairs.

    Args:
        saved: config_sentence_transformers.json; the prompt that it takes by default is the instruction of every pair.
    """
    known = _WRITTEN.get(_digest(folder), "")
    return _instructed(known, saved) if known else ""


def read_template(folder: Path, config: Fields, saved: Fields, name: str, *, is_stated: bool) -> str:
    """How a pair becomes one text.

    Args:
        is_stated: the folder has modules.json, so its chat template is what counts, and not the model's card.
    Raises:
        Unsupported: a template that is none of ours.
    """
    if template := written(folder, saved):
        return template
    if is_stated:
        raise Unsupported(
            f"{name!r} writes its pairs by a chat template that embedstack does not know; "
            f"it has the one of Qwen3-Reranker{REFERENCE_HINT}"
        )
    return _instructed(_CARDS[config.texts("architectures")[0]], saved)


def _instructed(template: str, saved: Fields) -> str:
    stated = saved.table("prompts").text(saved.text("default_prompt_name")) or INSTRUCTION
    if "{" in stated:
        raise saved.wrong("prompts", "an instruction without braces")
    return template.replace("{instruction}", stated)


def read_ids(folder: Path, config: Fields, place: str | None, name: str) -> tuple[int, ...]:
    """The token that says yes, and the one that says no if there is one.

    Args:
        place: of the LogitScore module, which names them; None where there is none, then it is the words themselves.
    """
    if place is None:
        return _found_ids(root_of(folder) / "tokenizer.json", name)
    fields, vocab = read_fields(folder / place / "config.json"), config.integer("vocab_size")
    refuse_set(fields, name, {"module_input_name": "causal_logits"})
    ids = {key: fields.integer(key) for key in _ANSWERS if key in fields or key == _ANSWERS[0]}
    for key, number in ids.items():
        if number >= vocab:
            raise fields.wrong(key, f"below {vocab}, the vocab_size of config.json")
    return tuple(ids.values())


def _found_ids(path: Path, name: str) -> tuple[int, ...]:
    try:
        vocab = msgspec.json.decode(path.read_bytes(), type=_TokenizerFile).model.vocab
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{str(path)!r} is no tokenizer with a vocabulary ({error}); pull the model again") from error
    if missing := [word for word in _WORDS if word not in vocab]:
        raise Unsupported(
            f"{name!r} has no token {missing[0]!r}, by which a decoder answers; add modules.json with a LogitScore "
            f"module to a copy of it, and give that folder"
        )
    return tuple(vocab[word] for word in _WORDS)


def _digest(folder: Path) -> str:
    return hashlib.sha256(_chat_template(root_of(folder)).encode()).hexdigest()


def _chat_template(root: Path) -> str:
    """The file of transformers 5, else the field of the tokeniser's settings; empty where there is none."""
    path = root / "chat_template.jinja"
    if path.is_file():
        return path.read_text("utf-8", "replace")
    stated = read_fields_if_there(root / "tokenizer_config.json").values.get("chat_template")
    return stated if isinstance(stated, str) else ""


def _has_ranking_card(folder: Path) -> bool:
    card = folder / "README.md"
    head = card.read_text("utf-8", "replace")[:_CARD_CHARS] if card.is_file() else ""
    front = head.partition("\n---")[0] if head.startswith("---") else ""
    return "\npipeline_tag: text-ranking" in front
