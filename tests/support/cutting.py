"""A name -> a tokeniser of its kind as chunks are measured by; a seed -> a text with all that makes cutting hard."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from embedstack.inputs.measure import TextRuler
from embedstack.inputs.text import TextInput
from embedstack.modelspec import ModelSpec
from embedstack.testing.fake import hash_spec
from support import tiny, towers
from support.byte_level import byte_level


@dataclass(frozen=True)
class Kind:
    """A tokeniser, and what of the spec decides how a text is read."""

    tokenizer: Callable[[], Tokenizer]
    spec: Mapping[str, object] = field(default_factory=dict)


KINDS = {
    "word pieces": Kind(lambda: tiny.tokenizer(tiny.CASES["bert-mean"])),
    "unigram": Kind(lambda: tiny.tokenizer(tiny.CASES["xlm-roberta-cls"])),
    "bytes": Kind(lambda: byte_level(("<|endoftext|>",))),
    "pairs": Kind(towers.clip_tokenizer),
    "bytes of the unknown": Kind(towers.gemma_tokenizer),
    "canonical": Kind(towers.siglip_tokenizer, {"canonical": True, "lowercase": True}),
    "lower case": Kind(lambda: tiny.tokenizer(tiny.CASES["xlm-roberta-cls"]), {"lowercase": True}),
    "a prompt": Kind(lambda: byte_level(), {"prompts": {"document": "Given a passage: ", "query": "of "}}),
    "bare": Kind(lambda: tiny.tokenizer(tiny.CASES["bert-mean"]), {"special_tokens": False, "dropped_ids": (1,)}),
}


def text_input(name: str, folder: Path, max_tokens: int = 4096, **changes: object) -> tuple[TextInput, ModelSpec]:
    """Of a folder that holds nothing but the tokeniser."""
    kind, plain = KINDS[name], hash_spec(name, max_tokens=max_tokens)
    folder.mkdir(parents=True, exist_ok=True)
    kind.tokenizer().save(str(folder / "tokenizer.json"))
    known = replace(plain.architecture, vocab=100_000)
    spec = replace(plain, architecture=known, **{**kind.spec, **changes})
    return TextInput(folder, spec), spec


def ruler(name: str, folder: Path, role: str = "document", **changes: object) -> TextRuler:
    return TextRuler(*text_input(name, folder, **changes), role)


class Letters:
    """Each character that is no white space is a token; `added` are put around a text."""

    adds_up = False

    def __init__(self, added: int = 0, max_tokens: int = 10_000) -> None:
        self.added = added
        self.max_tokens = max_tokens

    def offsets(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        found = ([(n, n + 1) for n, letter in enumerate(text) if not letter.isspace()] for text in texts)
        return [np.array(spans, np.int32).reshape(-1, 2) for spans in found]

    def count(self, texts: Sequence[str]) -> list[int]:
        return [self.added + sum(not letter.isspace() for letter in text) for text in texts]


WORDS = (
    "the panda of a river and city lights stone water 12.5 e.g. U.S. naïve Ångström кот дом река т.е. Москва 2024 г. "
    "日本語の文章 漢字かな文。 한국어 ไทยภาษา عربى हिन्दी שלום \U0001f469\u200d\U0001f469\u200d\U0001f467 👍🏽 🇩🇪🇫🇷 "
    "e\u0301a\u0308 … ½ ﷺ ﬁne \u200bzero\u200d \ufeff x\u00a0y a\x00b"
).split(" ")
LINES = (
    "# {}", "## {}", "### {} #", "- {}", "  - {}", "1. {}", "> {}", "```\n{}\n```", "    {}", "\t{}", "---", "{}\n===",
    "| {} | b |\n|---|---|\n| c | {} |", "**{}**: {}", "{}\n: {}", "[{}](https://example.org/{})", "<div>{}</div>",
    "[a]: https://example.org '{}'", "* * *", "~~~py\n{}", "",
)  # fmt: skip
JOINS = (" ", " ", " ", " ", "  ", "\t", "\n", "\r\n", ". ", "! ", "? ", "... ", "; ", "\u2028", "\x0c", "")


def text_of(seed: int, parts: int = 40) -> str:
    """Words of many scripts, words without end, Markdown that is whole and torn, every kind of line end."""
    draw = Random(seed)
    newline = draw.choice(["\n", "\r\n", "\r", "\n"])
    made = "".join(_part(draw) + draw.choice(["\n", "\n\n", "\n \t\n", " "]) for _ in range(parts))
    return made.replace("\n", newline)


def _part(draw: Random) -> str:
    match draw.randrange(8):
        case 0:
            return draw.choice(["ab", "é", "語", "🙂", "1", "\u0301"]) * draw.randrange(1, 200)
        case 1 | 2 | 3:
            line = draw.choice(LINES)
            return line.format(*(_words(draw, 12) for _ in range(2)))
        case _:
            return _words(draw, 60)


def _words(draw: Random, most: int) -> str:
    return "".join(draw.choice(WORDS) + draw.choice(JOINS) for _ in range(draw.randrange(most)))
