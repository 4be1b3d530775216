"""A decoder's files -> how it reranks: a pair becomes one text, and two words are its answer to it.

Sources: sentence_transformers 6.2, `cross_encoder/model.py` and `base/modules/transformer.py`; the cards of
Qwen3-Reranker for folders without modules.json.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from embedstack.catalog.catalog import Entry
from embedstack.catalog.encoder import chat_template
from embedstack.errors import Unsupported
from embedstack.models.card import front_of, read_card
from embedstack.models.config import refuse_set
from embedstack.models.folder import Fields, read_fields, root_of
from embedstack.models.tokenizer import decode

INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
QWEN3 = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n<Instruct>: {instruction}\n'
    "<Query>: {query}\n<Document>: {document}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
)
_WRITTEN: Mapping[str, str] = {"6f682162495ec5b39fd9005c01b6aa2a74669379fe967039f1e2cbbe8752369d": QWEN3}
"""What chat templates of this sha256 make of a pair; programs in a language of its own, so that none is run here."""
_CARDS: Mapping[str, str] = {"Qwen3ForCausalLM": QWEN3}
"""What the cards of these architectures make of a pair."""
_ANSWERS = ("true_token_id", "false_token_id")
_WORDS = ("yes", "no")  # what sentence-transformers looks for where no file names them
_SENTENCE = "Judge whether the Document meets the requirements"


class _Vocabulary(msgspec.Struct):
    vocab: dict[str, int]


class _TokenizerFile(msgspec.Struct):
    model: _Vocabulary


def is_ranker(folder: Path, architecture: str, entry: Entry | None) -> bool:
    """Whether a decoder without modules.json says that it reranks: in the catalog, its chat template or its card."""
    if architecture not in _CARDS:
        return False
    return (entry is not None and entry.task == "rerank") or bool(_known(chat_template(folder))) or _says_so(folder)


def written(template: str, saved: Fields, name: str) -> str:
    """How a chat template writes a pair, with {query} and {document}.

    Args:
        saved: config_sentence_transformers.json; the prompt that it takes by default is the instruction of every pair.
    Raises:
        Unsupported: a template that is none of ours.
    """
    if known := _known(template):
        return _instructed(known, saved)
    raise Unsupported(
        f"{name!r} writes its pairs by a chat template that embedstack does not know; it has the one of Qwen3-Reranker"
    )


def read_template(template: str, config: Fields, saved: Fields, name: str, *, is_stated: bool) -> str:
    """How a pair becomes one text.

    Args:
        template: the folder's, if its pairs become messages.
        is_stated: the folder has modules.json, so its chat template is what counts, and not the model's card.
    Raises:
        Unsupported: a template that is none of ours, or code of the model's own.
    """
    if is_stated and not template:
        raise Unsupported(
            f"{name!r} joins its pairs without a chat template (modality_config states no message); embedstack has "
            "decoders with the one of Qwen3-Reranker"
        )
    if is_stated or _known(template):
        return written(template, saved, name)
    if config.table("auto_map").values:
        raise Unsupported(f"{name!r} brings its own model code (auto_map); embedstack runs no code from a model")
    return _instructed(_CARDS[config.texts("architectures")[0]], saved)


def _instructed(template: str, saved: Fields) -> str:
    stated = saved.table("prompts").text(saved.text("default_prompt_name")) or INSTRUCTION
    if "{" in stated:
        raise saved.wrong("prompts", "an instruction without braces")
    return template.replace("{instruction}", stated)


def instruction_of(template: str) -> str:
    """What is asked of each pair in a text that `read_template` wrote; empty where nothing is."""
    before, _, after = QWEN3.partition("{instruction}")
    is_ours = template.startswith(before) and template.endswith(after)
    return template[len(before) : len(template) - len(after)] if is_ours else ""


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
    vocab = decode(path, _TokenizerFile).model.vocab
    if missing := [word for word in _WORDS if word not in vocab]:
        raise Unsupported(
            f"{name!r} has no token {missing[0]!r}, by which a decoder answers; add modules.json with a LogitScore "
            f"module to a copy of it, and give that folder"
        )
    return tuple(vocab[word] for word in _WORDS)


def _known(template: str) -> str:
    return _WRITTEN.get(hashlib.sha256(template.encode()).hexdigest(), "")


def _says_so(folder: Path) -> bool:
    """A card of a model that reranks by this very text; other models have the same task and ask in other words."""
    card = read_card(folder)
    return "\npipeline_tag: text-ranking" in front_of(card) and _SENTENCE in card
