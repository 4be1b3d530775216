"""Texts, pairs and token ids become encodings: prompt, tokenise, truncate or refuse, count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import tokenizers
from tokenizers import normalizers

from embedstack.errors import BadRequest, ConfigError, TooLong, Unsupported
from embedstack.inputs.checks import MAX_TEXT_CHARS, check_pair, check_text
from embedstack.inputs.pieces import Source, lengths, longest_first, pieces
from embedstack.inputs.template import Written, fill, taken, without, written_pieces
from embedstack.models.folder import root_of
from embedstack.modelspec import ModelSpec, Truncate
from embedstack.types import Encoding, Image, Ints, Item, Link, Pair, Piece, Text, Tokens

TRUNCATES = get_args(Truncate)
ROLES = ("query", "document", "none")  # always there; the last puts nothing in front
_NO_ID = 2**31  # ids are below it in every tokenizer.json


class NothingKnown(BadRequest):
    """A text of which nothing is left where the tokens that the model leaves out are taken out."""


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
        path = root_of(folder) / "tokenizer.json"
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for a missing and for a broken file
            raise ConfigError(f"{str(path)!r} is no tokenizer ({error}); pull the model again") from error
        if spec.lowercase and not spec.canonical:
            self._tokenizer.normalizer = _lowering(self._tokenizer.normalizer)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._spec = spec
        self.max_text_chars = max_text_chars
        self._has_segments = spec.architecture.segments > 1
        self._before, self._after = self._frame()
        adds = spec.special_tokens
        self._specials = [adds * self._tokenizer.num_special_tokens_to_add(is_pair) for is_pair in (False, True)]
        if spec.pair_template:  # what it says is always there, as special tokens are
            least = fill(spec.pair_template, "a", "a").read
            self._specials[True] = len(self._tokenizer.encode(least, add_special_tokens=adds).ids) - 2
        self._prompts = tuple(filter(None, spec.prompts.values())) if spec.needs_prompt else ()
        self._prompt_ids = [self._tokenizer.encode(p.rstrip(), add_special_tokens=False).ids for p in self._prompts]

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
        read = [taken(source) for source in sources]
        whole = self._tokenizer.encode_batch(read, add_special_tokens=self._spec.special_tokens)
        return [
            written_pieces(encoding, source, limit, truncate)
            if isinstance(source, Written)
            else pieces(encoding, source, self._keeps(encoding, len(source), limit), truncate)
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
        least = self._specials[is_pair] + (2 if is_pair else 1 + max(map(len, self._prompt_ids), default=0))
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
        sources = self._sources(item, place)
        if isinstance(item, Text):
            self.require_prompt(item, place)
        return taken(sources)

    def _sources(self, item: Text | Pair | Image | Link, place: int) -> tuple[Source, ...] | Written:
        how = self._spec.canonical, self._spec.lowercase
        match item:
            case Text(text, role):
                check_text(text, f"text {place}", self.max_text_chars)
                return (Source(text, self._prompt(text, role, place), *how),)
            case Pair(query, document):
                check_pair(item, place, self.max_text_chars)
                if self._spec.pair_template:
                    return fill(self._spec.pair_template, query, document)
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
        written = self._prompts if role == "document" else tuple({prompt} & {*self._prompts})
        return "" if text.startswith(written) else prompt

    def require_prompt(self, item: Text, place: int) -> None:
        """What is to be embedded has the prompt that the model needs, by its role or as its caller wrote it.

        Raises:
            BadRequest: it has none; the message has all prompts.
        """
        is_put = bool(self._spec.prompts.get(item.role))
        if self._spec.needs_prompt and not is_put and not self.begins_with_prompt(item.text):
            raise self._without_prompt(f"text {place} has no prompt")

    def begins_with_prompt(self, text: str) -> bool:
        """Whether the caller wrote one of the prompts of a model that needs one."""
        return text.startswith(self._prompts)

    def _without_prompt(self, problem: str) -> BadRequest:
        known = ", ".join(f"{name} ({words!r})" for name, words in self._spec.prompts.items())
        return BadRequest(
            f"{problem}, and {self._spec.name!r} needs one; send a role ({known}), or write the prompt before the text "
            "yourself"
        )

    def _fit(self, item: Item, encoding: tokenizers.Encoding, room: Room, place: int) -> Encoding:
        ids, tokens = encoding.ids, len(encoding.ids)
        if not tokens:
            raise BadRequest(f"text {place} has no token for {self._spec.name!r}; leave it out")
        if max(ids) >= self._spec.architecture.vocab:
            raise self._without_row(item, ids, place)
        is_over = tokens > room.tokens
        if isinstance(item, Pair) and self._spec.pair_template:
            ids = self._fit_written(item, ids, room, place)
        elif isinstance(item, Pair):
            if self._is_document_over(encoding, room, place) or is_over:
                encoding = self._cut_pair(item, room, place)
                ids = encoding.ids
        elif is_over:
            self._may_cut(item, tokens, room.tokens, room.truncate, place)
            ids = self._cut_ids(ids, room.tokens, room.truncate)
        segments = np.array(encoding.type_ids, np.int32) if self._has_segments and isinstance(item, Pair) else None
        return self._laid(self._known(ids, place), segments, tokens - len(ids))

    def _known(self, ids: list[int], place: int) -> list[int]:
        """Without the tokens that the model leaves out, where it leaves out any."""
        if not self._spec.dropped_ids:
            return ids
        known = [number for number in ids if number not in self._spec.dropped_ids]
        if not known:
            raise NothingKnown(f"text {place} has no token that {self._spec.name!r} knows; leave it out")
        return known

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

    def _fit_written(self, item: Pair, ids: list[int], room: Room, place: int) -> list[int]:
        """Cut from the document alone, so that what is asked about it stays whole.

        Raises:
            TooLong: it must not be cut, or the query leaves no room for any of it.
        """
        if len(ids) <= min(room.tokens, room.document_tokens or room.tokens):
            return ids
        pair = fill(self._spec.pair_template, item.query, item.document)
        # with its offsets, which the fast way does without
        whole = self._tokenizer.encode(pair.read, add_special_tokens=self._spec.special_tokens)
        first, stop = pair.document_tokens(whole.offsets)
        keep = self._allowed(stop - first, room, place)
        over = len(ids) - (stop - first) + keep - room.tokens
        if over > 0:
            self._may_cut(item, room.tokens + over, room.tokens, room.truncate, place)
            if over >= keep:
                raise TooLong(
                    f"the query leaves no room for document {place}: {self._spec.name!r} takes {room.tokens} tokens, "
                    f"and there are {room.tokens + over - keep} without it; shorten the query"
                )
            keep -= over
        return without(ids, (first, stop), stop - first - keep, room.truncate)

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
        self._require_prompt_ids(ids, place)
        if len(ids) > limit:
            self._may_cut(item, len(ids), limit, truncate, place)
            ids = self._cut_ids(ids, limit, truncate)
        return self._laid(self._known(ids, place), None, len(item.ids) - len(ids))

    def _require_prompt_ids(self, ids: list[int], place: int) -> None:
        """As `require_prompt`, of ids, with the special tokens around or without."""
        start = self._start(ids)
        if self._spec.needs_prompt and not any(ids[start : start + len(p)] == p for p in self._prompt_ids):
            raise self._without_prompt(f"text {place} is token ids that begin with no prompt")

    def _start(self, ids: list[int]) -> int:
        """Where the text begins; ids from a caller may be without special tokens."""
        return len(self._before) if ids[: len(self._before)] == self._before else 0

    def _cut_ids(self, ids: list[int], limit: int, truncate: Truncate) -> list[int]:
        """Cut the text and keep its special tokens, and a prompt that the model needs; ids may be without them."""
        before = ids[: self._start(ids)]
        before += next((p for p in self._prompt_ids if ids[len(before) : len(before) + len(p)] == p), [])
        after = self._after if ids[-len(self._after) :] == self._after else []
        inside, room = ids[len(before) : len(ids) - len(after)], limit - len(before) - len(after)
        return before + (inside[-room:] if truncate == "left" else inside[:room]) + after

    def _may_cut(self, item: Item, tokens: int, limit: int, truncate: Truncate, place: int) -> None:
        if truncate == "refuse":
            raise TooLong(
                f"{_called(item, place)} has {tokens} tokens, the limit is {limit} for {self._spec.name!r}; "
                "send truncate=right or left, or split it"
            )


def _lowering(normalizer: normalizers.Normalizer | None) -> normalizers.Normalizer:
    """Lower case before all else, each character for itself, as a final sigma shows.

    Source: sentence-transformers 6.2, `base/modules/transformer.py`; transformers 5.23, `tokenization_siglip2.py`.
    """
    lower = normalizers.Lowercase()
    return lower if normalizer is None else normalizers.Sequence([lower, normalizer])


def _called(item: Item, place: int) -> str:
    return f"document {place} with its query" if isinstance(item, Pair) else f"text {place}"
