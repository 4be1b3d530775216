"""Texts, pairs and token ids become encodings: prompt, tokenise, truncate or refuse, count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import tokenizers

from embedstack.errors import BadRequest, ConfigError, TooLong, Unsupported
from embedstack.inputs.pieces import Source, lengths, pieces
from embedstack.types import Encoding, Image, Ints, Item, Link, ModelSpec, Pair, Piece, Text, Tokens, Truncate

TRUNCATES = get_args(Truncate)
ROLES = ("query", "document", "none")  # always there; the last puts nothing in front
_NO_ID = 2**31  # ids are below it in every tokenizer.json
MAX_TEXT_CHARS = 1_000_000  # a megabyte tokenises in about half a second and holds some 250,000 tokens


@dataclass(frozen=True, slots=True)
class Room:
    """How much may stay, and of which end the rest is cut."""

    tokens: int  # of an item, special ones included
    truncate: Truncate
    document_tokens: int | None = None  # of the document of a pair, without special ones


class TextInput:
    """The tokeniser of one model; safe to call from several threads.

    Source: the folder's tokenizer.json, its own truncation and padding switched off
    (the one of all-MiniLM-L6-v2 would cut to 128 tokens and pad to 128).
    """

    def __init__(self, folder: Path, spec: ModelSpec, *, max_text_chars: int = MAX_TEXT_CHARS) -> None:
        path = folder / "tokenizer.json"
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for a missing and for a broken file
            raise ConfigError(f"{str(path)!r} is no tokenizer ({error}); pull the model again") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._spec = spec
        self._max_text_chars = max_text_chars
        self._has_segments = spec.architecture.segments > 1
        self._before, self._after = self._frame()
        adds = spec.special_tokens
        self._specials = [adds * self._tokenizer.num_special_tokens_to_add(is_pair) for is_pair in (False, True)]

    def _frame(self) -> tuple[list[int], list[int]]:
        """The special tokens that stand before and after a text."""
        framed = self._tokenizer.encode("a", add_special_tokens=self._spec.special_tokens)
        inside = [place for place, is_special in enumerate(framed.special_tokens_mask) if not is_special]
        first, end = (inside[0], inside[-1] + 1) if inside else (len(framed.ids), len(framed.ids))
        return framed.ids[:first], framed.ids[end:]

    def encode(
        self,
        items: Sequence[Item],
        max_tokens: int | None = None,
        truncate: Truncate = "right",
        *,
        first: int = 0,
        document_tokens: int | None = None,
    ) -> list[Encoding]:
        """One encoding per item, in order.

        Args:
            first: the number of the first item in its request, for messages.
            max_tokens: a limit below the model's own, special tokens included; one above it changes nothing.
            truncate: which end is cut from an item over the limit; its special tokens are kept.
            document_tokens: a limit of the document of a pair alone, without special tokens; it is cut to that first.
        Raises:
            BadRequest: an empty text or pair, one without a token, a lone surrogate, an unknown role; a token id out of
                range, given or made of a text.
            TooLong: over a limit and `truncate` is refuse; or over `max_text_chars` in any case.
        """
        limit = self._limit(items, max_tokens, truncate)
        if document_tokens is not None and document_tokens < 1:
            raise BadRequest(f"document_tokens={document_tokens} leaves nothing of a document; send 1 or more")
        numbered = dict(enumerate(items, first))
        whole = self._tokenise(numbered)
        return [
            self._given(item, limit, truncate, place)
            if isinstance(item, Tokens)
            else self._fit(item, whole[place], Room(limit, truncate, document_tokens), place)
            for place, item in numbered.items()
        ]

    def pieces(
        self,
        items: Sequence[Text | Pair],
        max_tokens: int | None = None,
        truncate: Truncate = "right",
        *,
        first: int = 0,
    ) -> list[tuple[Piece, ...]]:
        """What `encode` reads, before anything is cut; of a pair each piece has its place in its own text.

        Args:
            first, max_tokens: as for `encode`.
            truncate: which end would be cut; refuse marks what stands over the limit on the right.
        Raises:
            BadRequest, TooLong: as `encode`, but for no number of tokens.
        """
        limit = self._limit(items, max_tokens, truncate)
        sources = [self._sources(item, place) for place, item in enumerate(items, first)]
        read = [_read(source) for source in sources]
        whole = self._tokenizer.encode_batch(read, add_special_tokens=self._spec.special_tokens)
        return [
            pieces(encoding, source, self._keeps(encoding, len(source), limit), truncate)
            for encoding, source in zip(whole, sources, strict=True)
        ]

    def _keeps(self, encoding: tokenizers.Encoding, sources: int, limit: int) -> tuple[int, ...]:
        room = limit - sum(encoding.special_tokens_mask)
        counts = lengths(encoding, sources)
        return (min(counts[0], room),) if sources == 1 else longest_first(counts[0], counts[1], room)

    def decode(self, items: Sequence[Tokens], *, skip_special_tokens: bool = True, first: int = 0) -> list[str]:
        """The text of each list of token ids.

        Raises:
            BadRequest: an empty list, or an id that the tokeniser does not know.
        """
        for place, item in enumerate(items, first):
            if not item.ids:
                raise BadRequest(f"text {place} is an empty list of token ids; send at least one")
            for number in set(item.ids):
                if not 0 <= number < _NO_ID or self._tokenizer.id_to_token(number) is None:
                    raise BadRequest(
                        f"text {place} has the token id {number}, which the tokeniser of {self._spec.name!r} does not "
                        "know; send ids of this model"
                    )
        return self._tokenizer.decode_batch([list(item.ids) for item in items], skip_special_tokens)

    def _limit(self, items: Sequence[Item], max_tokens: int | None, truncate: Truncate) -> int:
        if truncate not in TRUNCATES:
            raise BadRequest(f"truncate={truncate!r} is unknown; use one of: {', '.join(TRUNCATES)}")
        is_pair = any(isinstance(item, Pair) for item in items)
        least = self._specials[is_pair] + (2 if is_pair else 1)
        limit = self._spec.max_tokens if max_tokens is None else min(max_tokens, self._spec.max_tokens)
        if limit < least:
            what = "a pair" if is_pair else "a text"
            raise BadRequest(f"max_tokens={limit} leaves no room for {what}; {self._spec.name!r} needs {least} or more")
        return limit

    def _tokenise(self, items: Mapping[int, Item]) -> dict[int, tokenizers.Encoding]:
        """All texts in one call of the library, which works on all cores without the interpreter's lock."""
        prompted = {place: self._prompted(item, place) for place, item in items.items() if not isinstance(item, Tokens)}
        adds = self._spec.special_tokens
        made = self._tokenizer.encode_batch_fast(list(prompted.values()), add_special_tokens=adds)
        return dict(zip(prompted, made, strict=True))

    def _prompted(self, item: Text | Pair | Image | Link, place: int) -> str | tuple[str, str]:
        return _read(self._sources(item, place))

    def _sources(self, item: Text | Pair | Image | Link, place: int) -> tuple[Source, ...]:
        how = self._spec.lowercase, self._spec.canonical
        match item:
            case Text(text, role):
                check_text(text, f"text {place}", self._max_text_chars)
                return (Source(text, self._prompt(text, role, place), *how),)
            case Pair(query, document):
                check_pair(item, place, self._max_text_chars)
                return Source(query, "", *how), Source(document, "", *how)
            case Image() | Link():
                what = "an image" if isinstance(item, Image) else "a link to an image"
                raise Unsupported(
                    f"item {place} is {what}, and {self._spec.name!r} takes text only; "
                    "send texts, or name a model that takes images"
                )

    def _prompt(self, text: str, role: str, place: int) -> str:
        prompts = self._spec.prompts
        if role not in prompts and role not in ROLES:
            known = ", ".join(sorted({*ROLES, *prompts}))
            raise BadRequest(f"role {role!r} is unknown to {self._spec.name!r}; send one of: {known}")
        prompt = prompts.get(role, "")
        if not prompt and self._spec.needs_prompt and not text.startswith(tuple(filter(None, prompts.values()))):
            known = ", ".join(f"{name} ({words!r})" for name, words in prompts.items())
            raise BadRequest(
                f"text {place} has no prompt, and {self._spec.name!r} needs one; send a role ({known}), or write the "
                "prompt before the text yourself"
            )
        return prompt

    def _fit(self, item: Item, encoding: tokenizers.Encoding, room: Room, place: int) -> Encoding:
        ids, tokens = encoding.ids, len(encoding.ids)
        if not tokens:
            raise BadRequest(f"text {place} has no token for {self._spec.name!r}; leave it out")
        if max(ids) >= self._spec.architecture.vocab:
            raise self._without_row(item, ids, place)
        is_over = tokens > room.tokens
        if isinstance(item, Pair):
            if self._is_document_over(encoding, room, place) or is_over:
                encoding = self._cut_pair(item, room, place)
                ids = encoding.ids
        elif is_over:
            self._may_cut(item, tokens, room.tokens, room.truncate, place)
            ids = self._cut_ids(ids, room.tokens, room.truncate)
        segments = np.array(encoding.type_ids, np.int32) if self._has_segments and isinstance(item, Pair) else None
        return self._laid(ids, segments, tokens - len(ids))

    def _laid(self, ids: list[int], segments: Ints | None, dropped: int) -> Encoding:
        """Ended at the first token that ends a text, and filled up, where the model is made so."""
        stop, missing = self._spec.stop_id, self._spec.pad_to - len(ids)
        if stop is not None and stop in ids[:-1]:
            ids = ids[: ids.index(stop) + 1]
        if missing > 0:
            padding = [self._spec.pad_id] * missing
            ids = [*padding, *ids] if self._spec.pad_left else [*ids, *padding]
        return Encoding(np.array(ids, np.int32), segments, dropped)

    def _without_row(self, item: Item, ids: list[int], place: int) -> BadRequest:
        """A tokenizer.json may have more tokens than the model has rows, as after tokens were added to it alone."""
        vocab = self._spec.architecture.vocab
        token = self._tokenizer.id_to_token(next(number for number in ids if number >= vocab))
        return BadRequest(
            f"{_called(item, place)} has the token {token!r}, whose id is outside 0..{vocab - 1}, "
            f"the vocabulary of {self._spec.name!r}; leave it out"
        )

    def _is_document_over(self, encoding: tokenizers.Encoding, room: Room, place: int) -> bool:
        """Whether the document of a pair is over its own limit.

        Raises:
            TooLong: it is, and must not be cut.
        """
        most = room.document_tokens
        if most is None or len(encoding.ids) - self._specials[True] <= most:
            return False
        tokens = lengths(encoding, 2)[1]
        if tokens > most and room.truncate == "refuse":
            raise TooLong(
                f"document {place} has {tokens} tokens, the limit is document_tokens={most}; "
                "send truncate=right or left, or split it"
            )
        return tokens > most

    def _cut_pair(self, item: Pair, room: Room, place: int) -> tokenizers.Encoding:
        """Cut before the special tokens are put around, so that they are all kept.

        Raises:
            TooLong: what its document's own limit leaves is over the limit of a pair, and must not be cut.
        """
        query, document = self._tokenizer.encode_batch_fast(list(self._prompted(item, place)), add_special_tokens=False)
        most = len(document.ids) if room.document_tokens is None else min(len(document.ids), room.document_tokens)
        tokens = len(query.ids) + most + self._specials[True]
        if tokens > room.tokens:
            self._may_cut(item, tokens, room.tokens, room.truncate, place)
        keep, other = longest_first(len(query.ids), most, room.tokens - self._specials[True])
        query.truncate(keep, direction=room.truncate)
        document.truncate(other, direction=room.truncate)
        return self._tokenizer.post_process(query, document)

    def _given(self, item: Tokens, limit: int, truncate: Truncate, place: int) -> Encoding:
        ids, vocab = list(item.ids), self._spec.architecture.vocab
        if not ids:
            raise BadRequest(f"text {place} is an empty list of token ids; send at least one")
        if min(ids) < 0 or max(ids) >= vocab:
            raise BadRequest(
                f"text {place} has a token id outside 0..{vocab - 1}, the vocabulary of {self._spec.name!r}"
            )
        if len(ids) > limit:
            self._may_cut(item, len(ids), limit, truncate, place)
            ids = self._cut_ids(ids, limit, truncate)
        return self._laid(ids, None, len(item.ids) - len(ids))

    def _cut_ids(self, ids: list[int], limit: int, truncate: Truncate) -> list[int]:
        """Cut the text and keep its special tokens; ids from a caller may be without them."""
        before = self._before if ids[: len(self._before)] == self._before else []
        after = self._after if ids[-len(self._after) :] == self._after else []
        inside, room = ids[len(before) : len(ids) - len(after)], limit - len(before) - len(after)
        return before + (inside[-room:] if truncate == "left" else inside[:room]) + after

    def _may_cut(self, item: Item, tokens: int, limit: int, truncate: Truncate, place: int) -> None:
        if truncate == "refuse":
            raise TooLong(
                f"{_called(item, place)} has {tokens} tokens, the limit is {limit} for {self._spec.name!r}; "
                "send truncate=right or left, or split it"
            )


def _read(sources: tuple[Source, ...]) -> str | tuple[str, str]:
    """What the tokeniser takes: a text, or two of a pair."""
    texts = [source.read for source in sources]
    return texts[0] if len(texts) == 1 else (texts[0], texts[1])


def _called(item: Item, place: int) -> str:
    return f"document {place} with its query" if isinstance(item, Pair) else f"text {place}"


def check_pair(pair: Pair, place: int, max_chars: int = MAX_TEXT_CHARS) -> None:
    """Refuse what no tokeniser can take; one of the two may be empty, as lists of found documents have it."""
    check_text(pair.query, "the query", max_chars, may_be_empty=True)
    check_text(pair.document, f"document {place}", max_chars, may_be_empty=True)
    if not pair.query and not pair.document:
        raise BadRequest(f"document {place} and the query are both empty; send at least one character or leave it out")


def check_text(text: str, place: str, max_chars: int = MAX_TEXT_CHARS, *, may_be_empty: bool = False) -> None:
    """Refuse what no tokeniser can take.

    Args:
        place: how the message calls the text: `text 3`.
    """
    if not isinstance(text, str):
        raise BadRequest(f"{place} is {type(text).__name__}, not a string; send text")
    if not text and not may_be_empty:
        raise BadRequest(f"{place} is empty; send at least one character or leave it out")
    if len(text) > max_chars:
        raise TooLong(f"{place} has {len(text)} characters, the limit is {max_chars}; split it")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadRequest(f"{place} holds a lone surrogate at character {error.start}; send valid Unicode") from error


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of each of a pair stay: the longer is cut first.

    Source: `TruncationStrategy::LongestFirst` of the tokenizers library, which transformers and TEI use.
    """
    if first + second <= room:
        return first, second
    half = room // 2
    if first <= half:
        return first, room - first
    if second <= half:
        return room - second, second
    return (room - half, half) if first > second else (half, room - half)
