"""The tokens of a text, of ids or of a pair, and the room there is -> those that stay, or a refusal.

Special tokens stay, and a prompt that the model needs. Of a pair the longer text is cut first, of one that a template
writes into one text the document alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import tokenizers

from embedstack.errors import BadRequest, TooLong
from embedstack.inputs.pieces import lengths, longest_first
from embedstack.inputs.template import fill, without
from embedstack.modelspec import ModelSpec, Truncate
from embedstack.types import Image, Item, Link, Pair, Text, Tokens


@dataclass(frozen=True, slots=True)
class Room:
    """How much may stay, and of which end the rest is cut."""

    tokens: int  # of an item, special ones included
    truncate: Truncate
    document_tokens: int | None = None  # of the document of a pair, without special ones


@dataclass(frozen=True, slots=True)
class Whole:
    """What was read of an item, two texts of a pair, and all its tokens."""

    read: str | tuple[str, str]
    encoding: tokenizers.Encoding
    ids: list[int]  # of the encoding, which makes a list of them anew whenever it is asked


class Cutting:
    """For one model and its tokeniser, whose own truncation is switched off."""

    def __init__(self, tokenizer: tokenizers.Tokenizer, spec: ModelSpec, prompts: Sequence[str]) -> None:
        """See the class.

        Args:
            prompts: those of which a text must have one.
        """
        self._tokenizer = tokenizer
        self._spec = spec
        self._adds = spec.special_tokens
        self._before, self._after = self._frame()
        self._specials = [self._adds * tokenizer.num_special_tokens_to_add(is_pair) for is_pair in (False, True)]
        if spec.pair_template:  # what it says is always there, as special tokens are
            least = fill(spec.pair_template, "a", "a").read
            self._specials[True] = len(tokenizer.encode(least, add_special_tokens=self._adds).ids) - 2
        self._prompt_ids = [tokenizer.encode(p.rstrip(), add_special_tokens=False).ids for p in prompts]

    def _frame(self) -> tuple[list[int], list[int]]:
        """The special tokens that stand before and after a text."""
        framed = self._tokenizer.encode("a", add_special_tokens=self._adds)
        inside = [place for place, is_special in enumerate(framed.special_tokens_mask) if not is_special]
        first, end = (inside[0], inside[-1] + 1) if inside else (len(framed.ids), len(framed.ids))
        return framed.ids[:first], framed.ids[end:]

    def limit(self, max_tokens: int | None, *, has_pairs: bool) -> int:
        """The model's own or a lower one, special tokens included.

        Raises:
            BadRequest: it leaves no room.
        """
        least = self._specials[has_pairs] + (2 if has_pairs else 1 + max(map(len, self._prompt_ids), default=0))
        limit = self._spec.max_tokens if max_tokens is None else min(max_tokens, self._spec.max_tokens)
        if limit < least:
            what = "a pair" if has_pairs else "a text"
            raise BadRequest(f"max_tokens={limit} leaves no room for {what}; {self._spec.name!r} needs {least} or more")
        return limit

    # -------------------------------------------------------------------------------------------- texts and ids

    def text(self, item: Text | Image | Link, whole: Whole, room: Room, place: int) -> list[int]:
        """The very ids of `whole` where nothing is cut.

        Raises:
            TooLong: something must be cut, and may not.
        """
        ids = self._within_chars(whole, room, place)
        if len(ids) <= room.tokens:
            return ids
        self._may_cut(item, len(ids), room, place)
        return self._cut(ids, room)

    def ids(self, item: Tokens, room: Room, place: int) -> list[int]:
        """As `text`, of ids from the caller, with special tokens around or without."""
        if len(item.ids) <= room.tokens:
            return list(item.ids)
        self._may_cut(item, len(item.ids), room, place)
        return self._cut(list(item.ids), room)

    def begin_with_prompt(self, ids: list[int]) -> bool:
        """Whether one of the prompts that a text must have stands before ids from the caller."""
        start = self._start(ids)
        return any(ids[start : start + len(prompt)] == prompt for prompt in self._prompt_ids)

    def chars(self, tokens: int) -> int | None:
        """Characters that are read of a text for so many tokens; None where only tokens count.

        Source: `StaticModel._encode_dispatch` of model2vec 0.10.
        """
        return tokens * self._spec.median_chars or None

    def _within_chars(self, whole: Whole, room: Room, place: int) -> list[int]:
        most = self.chars(room.tokens)
        if most is None or isinstance(whole.read, tuple) or len(whole.read) <= most:
            return whole.ids
        if room.truncate == "refuse":
            raise TooLong(
                f"text {place} has {len(whole.read)} characters, and of {room.tokens} tokens {self._spec.name!r} "
                f"reads {most}; send truncate=right or left, or split it"
            )
        kept = whole.read[-most:] if room.truncate == "left" else whole.read[:most]
        return self._tokenizer.encode(kept, add_special_tokens=self._adds).ids

    def _start(self, ids: list[int]) -> int:
        """Where the text begins; ids from a caller may be without special tokens."""
        return len(self._before) if ids[: len(self._before)] == self._before else 0

    def _cut(self, ids: list[int], room: Room) -> list[int]:
        before = ids[: self._start(ids)]
        before += next((p for p in self._prompt_ids if ids[len(before) : len(before) + len(p)] == p), [])
        after = self._after if ids[-len(self._after) :] == self._after else []
        inside, left = ids[len(before) : len(ids) - len(after)], room.tokens - len(before) - len(after)
        return before + (inside[-left:] if room.truncate == "left" else inside[:left]) + after

    def _may_cut(self, item: Item, tokens: int, room: Room, place: int) -> None:
        if room.truncate == "refuse":
            raise TooLong(
                f"{called(item, place)} has {tokens} tokens, the limit is {room.tokens} for {self._spec.name!r}; "
                "send truncate=right or left, or split it"
            )

    # -------------------------------------------------------------------------------------------- pairs

    def pair(self, item: Pair, whole: Whole, room: Room, place: int) -> tokenizers.Encoding:
        """Cut before the special tokens are put around, so that they are all kept.

        Raises:
            TooLong: the document is over its own limit, or the pair over its, and must not be cut.
        """
        if not self._is_document_over(whole, room, place) and len(whole.ids) <= room.tokens:
            return whole.encoding
        query, document = self._tokenizer.encode_batch_fast(list(whole.read), add_special_tokens=False)
        most = len(document.ids) if room.document_tokens is None else min(len(document.ids), room.document_tokens)
        tokens = len(query.ids) + most + self._specials[True]
        if tokens > room.tokens:
            self._may_cut(item, tokens, room, place)
        keep, other = longest_first(len(query.ids), most, room.tokens - self._specials[True])
        query.truncate(keep, direction=room.truncate)
        document.truncate(other, direction=room.truncate)
        return self._tokenizer.post_process(query, document)

    def written(self, item: Pair, ids: list[int], room: Room, place: int) -> list[int]:
        """Of a pair in a template: cut from the document alone, so that what is asked about it stays whole.

        Raises:
            TooLong: it must not be cut, or the query leaves no room for any of it.
        """
        if len(ids) <= min(room.tokens, room.document_tokens or room.tokens):
            return ids
        pair = fill(self._spec.pair_template, item.query, item.document)
        # with its offsets, which the fast way does without
        whole = self._tokenizer.encode(pair.read, add_special_tokens=self._adds)
        first, stop = pair.document_tokens(whole.offsets)
        keep = self._allowed(stop - first, room, place)
        over = len(ids) - (stop - first) + keep - room.tokens
        if over > 0:
            self._may_cut(item, room.tokens + over, room, place)
            if over >= keep:
                raise TooLong(
                    f"the query leaves no room for document {place}: {self._spec.name!r} takes {room.tokens} tokens, "
                    f"and there are {room.tokens + over - keep} without it; shorten the query"
                )
            keep -= over
        return without(ids, (first, stop), stop - first - keep, room.truncate)

    def _is_document_over(self, whole: Whole, room: Room, place: int) -> bool:
        """Whether the document of a pair is over its own limit.

        Raises:
            TooLong: it is, and must not be cut.
        """
        most = room.document_tokens
        if most is None or len(whole.ids) - self._specials[True] <= most:
            return False
        tokens = lengths(whole.encoding, 2)[1]
        return self._allowed(tokens, room, place) < tokens

    def _allowed(self, tokens: int, room: Room, place: int) -> int:
        """How many tokens of a document its own limit leaves.

        Raises:
            TooLong: not all of them, and it must not be cut.
        """
        most = room.document_tokens
        if most is None or tokens <= most:
            return tokens
        if room.truncate == "refuse":
            raise TooLong(
                f"document {place} has {tokens} tokens, the limit is document_tokens={most}; "
                "send truncate=right or left, or split it"
            )
        return most


def called(item: Item, place: int) -> str:
    """How a message calls an item."""
    return f"document {place} with its query" if isinstance(item, Pair) else f"text {place}"
