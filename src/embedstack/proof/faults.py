"""A spec -> the recipes that could have been used by mistake: the table that diagnosis re-embeds with."""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Literal, get_args

from embedstack.errors import BadRequest
from embedstack.inputs.text import TextInput
from embedstack.models.folder import root_of
from embedstack.modelspec import ModelSpec, Pooling
from embedstack.types import Encoding, Item, Pair, Text

Encoder = Callable[[Sequence[Item]], list[Encoding]]
CUTS = (128, 256, 512)  # where other tools cut: an old default of sentence-transformers, MiniLM's limit, BERT's
ROLES_PLAYED = (
    ("no prompts", "puts no prompt in front", "none", "none"),
    ("swapped prompts", "mixes up the prompts of queries and documents", "document", "query"),
    ("query prompt for all", "takes every text for a query", "query", "query"),
    ("document prompt for all", "takes every text for a document", "document", "document"),
)
FRAMED = ("a", "二", "!")  # texts that have no token in common


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to be wrong.

    Args:
        says: for people, after "the endpoint".
        spec: what computes it.
        encode: what it makes of the probes.
        reads: "long" for what only long texts show.
    """

    name: str
    says: str
    spec: ModelSpec
    encode: Encoder
    reads: Literal["short", "long"] = "short"


def candidates(spec: ModelSpec, folder: Path) -> list[Candidate]:
    """All that can be told of this model. One that changes nothing for it is left out later, where that shows."""
    text = reader(folder, spec)
    return [*_poolings(spec, text), *_graphs(spec, text), *_texts(spec, folder, text), *_cuts(spec, text)]


def reader(folder: Path, spec: ModelSpec) -> TextInput:
    """Of texts without a prompt too, since a mistake may be to put none in front."""
    return TextInput(folder, replace(spec, needs_prompt=False))


# ------------------------------------------------------------------------------------------------ the graph


def _poolings(spec: ModelSpec, text: TextInput) -> Iterator[Candidate]:
    """Scores read the first token whatever the spec says."""
    for how in get_args(Pooling) if "dense" in spec.outputs else ():
        if how != spec.pooling:
            says = f"pools by {how!r}, the model by {spec.pooling!r}"
            yield Candidate(f"{how} pooling", says, replace(spec, pooling=how), text.encode)


def _graphs(spec: ModelSpec, text: TextInput) -> Iterator[Candidate]:
    return (Candidate(name, says, other, text.encode) for name, says, other in graphs(spec))


def graphs(spec: ModelSpec) -> Iterator[tuple[str, str, ModelSpec]]:
    """Name, words after "the endpoint", and what computes it."""
    a = spec.architecture
    if a.activation in ("gelu", "gelu_tanh"):
        other: Literal["gelu", "gelu_tanh"] = "gelu_tanh" if a.activation == "gelu" else "gelu"
        name, says = {
            "gelu": ("erf GELU", "computes GELU exactly, the model its tanh approximation"),
            "gelu_tanh": ("tanh GELU", "computes GELU by its tanh approximation, the model exactly"),
        }[other]
        yield name, says, replace(spec, architecture=replace(a, activation=other))
    for offset in sorted({0, a.position_offset - 1, a.position_offset + 1, 2}):
        if offset >= 0 and offset != a.position_offset:
            says = f"counts positions from {offset}, the model from {a.position_offset}"
            yield f"positions from {offset}", says, replace(spec, architecture=replace(a, position_offset=offset))


# ------------------------------------------------------------------------------------------------ what the graph reads


def _texts(spec: ModelSpec, folder: Path, text: TextInput) -> Iterator[Candidate]:
    if spec.prompts:
        for name, says, query, document in ROLES_PLAYED:
            yield Candidate(name, says, spec, _with_roles(text, {"query": query, "document": document}))
    other = in_other_case(spec, folder).encode
    if lowers(spec, folder):
        yield Candidate("case kept", "keeps capital letters, the model lower-cases", spec, other)
    else:
        yield Candidate("lower-cased", "lower-cases, the model keeps capital letters", spec, other)
    if spec.pad_to:  # the special tokens at its end cannot be told from what fills it up
        says = f"does not fill texts up, the model does to {spec.pad_to} tokens"
        yield Candidate("no padding", says, spec, reader(folder, replace(spec, pad_to=0)).encode)
    elif spec.special_tokens:
        yield Candidate("no special tokens", "leaves out the special tokens around a text", spec, _bare(spec, folder))
    if spec.task != "embed":
        yield Candidate("no segments", "marks query and document as one segment", spec, _one_segment(text))
        yield Candidate("pair turned round", "puts the document before the query", spec, _turned(text))


def _cuts(spec: ModelSpec, text: TextInput) -> Iterator[Candidate]:
    for limit in CUTS:
        if limit < spec.max_tokens and _has_room(spec, text, limit):
            says = f"cuts texts at {limit} tokens, the model takes {spec.max_tokens}"
            yield Candidate(f"cut at {limit}", says, spec, _cut(text, limit), "long")
    says = "cuts the beginning of long texts, not their end"
    yield Candidate("cut at the beginning", says, spec, lambda items: text.encode(items, truncate="left"), "long")


def _has_room(spec: ModelSpec, text: TextInput, limit: int) -> bool:
    """Whether anything is left of an item: the text that is written around a pair can be as long as a limit."""
    with suppress(BadRequest):
        text.encode([Pair("a", "a") if spec.task != "embed" else Text("a", "none")], max_tokens=limit)
        return True
    return False


def _with_roles(text: TextInput, played: dict[str, str]) -> Encoder:
    def role(item: Item) -> Item:
        return replace(item, role=played.get(item.role, item.role)) if isinstance(item, Text) else item

    return lambda items: text.encode([role(item) for item in items])


def _cut(text: TextInput, limit: int) -> Encoder:
    return lambda items: text.encode(items, max_tokens=limit)


def _turned(text: TextInput) -> Encoder:
    return lambda items: text.encode([Pair(i.document, i.query) if isinstance(i, Pair) else i for i in items])


def _one_segment(text: TextInput) -> Encoder:
    return lambda items: [replace(encoding, segments=None) for encoding in text.encode(items)]


def _bare(spec: ModelSpec, folder: Path) -> Encoder:
    """Without what every text has at its two ends, for which it may be longer; pairs keep what is between the two."""
    before, after = frame(reader(folder, spec))
    roomy = reader(folder, replace(spec, max_tokens=spec.max_tokens + before + after))
    return lambda items: [within(encoding, before, after) for encoding in roomy.encode(items)]


def frame(text: TextInput) -> tuple[int, int]:
    """How many tokens stand before and after every text."""
    framed = [e.ids.tolist() for e in text.encode([Text(each, "none") for each in FRAMED])]
    return _alike(framed), _alike([ids[::-1] for ids in framed])


def within(encoding: Encoding, before: int, after: int) -> Encoding:
    """Without so many of its first and of its last tokens; at least one stays."""
    kept = slice(before, max(before + 1, len(encoding.ids) - after))
    segments = None if encoding.segments is None else encoding.segments[kept]
    return replace(encoding, ids=encoding.ids[kept], segments=segments)


def _alike(rows: Sequence[Sequence[int]]) -> int:
    """How many of the first ids all rows share."""
    return len(list(takewhile(lambda column: len(set(column)) == 1, zip(*rows, strict=False))))


def lowers(spec: ModelSpec, folder: Path) -> bool:
    """Whether capital letters are lost."""
    return spec.lowercase or json.dumps(_caseless(folder)) != json.dumps(_tokenizer(folder))


def in_other_case(spec: ModelSpec, folder: Path) -> TextInput:
    """What keeps capital letters where the model lower-cases, and lower-cases where it keeps them."""
    if not lowers(spec, folder):
        return reader(folder, replace(spec, lowercase=True))
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "tokenizer.json").write_text(json.dumps(_caseless(folder)), "utf-8")
        return reader(Path(scratch), replace(spec, lowercase=False, normalizer=None))


def _caseless(folder: Path) -> dict[str, object]:
    stated = _tokenizer(folder)
    return {**stated, "normalizer": _without_lowering(stated.get("normalizer"))}


def _without_lowering(normalizer: object) -> object:
    """As do_lower_case=false: a BertNormalizer then keeps accents too, unless it says otherwise."""
    if not isinstance(normalizer, dict):
        return normalizer
    if normalizer.get("type") == "Lowercase":
        return None
    inner = [_without_lowering(each) for each in normalizer.get("normalizers", [])]
    kept = {**normalizer, "normalizers": [each for each in inner if each is not None]} if inner else normalizer
    return {**kept, "lowercase": False} if kept.get("lowercase") else kept


def _tokenizer(folder: Path) -> dict[str, object]:
    stated = json.loads((root_of(folder) / "tokenizer.json").read_text("utf-8"))
    assert isinstance(stated, dict)
    return stated
