"""Texts, pairs and token ids become encodings: prompt, tokenise, truncate or refuse, count."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from embedstack.errors import BadRequest, ConfigError, Unsupported
from embedstack.inputs.checks import MAX_TEXT_CHARS, check_pair, check_text
from embedstack.inputs.cutting import Cutting, Room, Whole, called
from embedstack.inputs.pieces import Source, lengths, longest_first, pieces
from embedstack.inputs.prompts import Prompts
from embedstack.inputs.template import Written, fill, taken, written_pieces
from embedstack.models.folder import root_of
from embedstack.modelspec import ModelSpec, Normalizer, Truncate
from embedstack.types import Encoding, Image, Ints, Item, Link, Pair, Piece, Text, Tokens

TRUNCATES = get_args(Truncate)
_NO_ID = 2**31  # ids are below it in every tokenizer.json


class NothingKnown(BadRequest):
    """A text without a token, or without one where those that the model leaves out are taken out."""


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
        if spec.normalizer:
            self._tokenizer.normalizer = _made(spec.normalizer)
        if spec.lowercase and not spec.canonical:
            self._tokenizer.normalizer = _lowering(self._tokenizer.normalizer)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._spec = spec
        self.max_text_chars = max_text_chars
        self._has_segments = spec.architecture.segments > 1
        self.prompts = Prompts(spec)
        self._cutting = Cutting(self._tokenizer, spec, self.prompts.needed)

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
        room = Room(self._limit(items, max_tokens, truncate), truncate, document_tokens)
        if document_tokens is not None and document_tokens < 1:
            raise BadRequest(f"document_tokens={document_tokens} leaves nothing of a document; send 1 or more")
        numbered = dict(enumerate(items, first))
        whole = self._tokenise(numbered)
        return [
            self._given(item, room, place) if isinstance(item, Tokens) else self._fit(item, whole[place], room, place)
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
            else pieces(encoding, source, self._keeps(encoding, source, limit, truncate), truncate)
            for encoding, source in zip(whole, sources, strict=True)
        ]

    def _keeps(
        self, encoding: tokenizers.Encoding, sources: Sequence[Source], limit: int, truncate: Truncate
    ) -> tuple[int, ...]:
        """How many tokens of each source stay."""
        room = limit - sum(encoding.special_tokens_mask)
        counts = lengths(encoding, len(sources))
        if len(sources) > 1:
            return longest_first(counts[0], counts[1], room)
        most, chars = self._cutting.chars(limit), len(sources[0].read)
        if most is not None and chars > most:
            kept = [chars - start if truncate == "left" else stop for start, stop in encoding.offsets]
            room = min(room, sum(place <= most for place in kept))
        return (min(counts[0], room),)

    def offsets(self, texts: Sequence[str]) -> list[Ints]:
        """Of each text (tokens, 2): the first character of each token and the one after its last.

        Nothing is put around a text and nothing is cut; it may be of any length.

        Raises:
            BadRequest: a lone surrogate.
        """
        for place, text in enumerate(texts):
            check_text(text, f"text {place}", len(text), may_be_empty=True)
        sources = [Source(text, "", self._spec.canonical, self._spec.lowercase) for text in texts]
        made = self._tokenizer.encode_batch([source.read for source in sources], add_special_tokens=False)
        return [source.places(encoding.offsets) for source, encoding in zip(sources, made, strict=True)]

    @property
    def adds_up(self) -> bool:
        """Whether what stands between two spaces has as many tokens alone as within its text.

        So it is with BERT's kind of tokeniser: it changes character by character, and parts words at white space before
        it looks for tokens in each. A model that leaves tokens out, fills up or reads prompts in a text does not.
        """
        tokenizer, spec = self._tokenizer, self._spec
        is_bert = (
            isinstance(tokenizer.normalizer, normalizers.BertNormalizer)
            and isinstance(tokenizer.pre_tokenizer, pre_tokenizers.BertPreTokenizer)
            and isinstance(tokenizer.model, models.WordPiece)
        )
        added = list(tokenizer.get_added_tokens_decoder().values())
        is_known = max(tokenizer.get_vocab().values(), default=0) < spec.architecture.vocab
        is_changed = spec.canonical or spec.dropped_ids or spec.pad_to or spec.median_chars or spec.needs_prompt
        looks_beside = any(token.lstrip or token.rstrip or token.single_word for token in added)
        has_spaces = any(letter.isspace() for token in added for letter in token.content)
        is_changed = is_changed or looks_beside or has_spaces or spec.stop_id is not None
        return is_bert and is_known and not is_changed

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
        return self._cutting.limit(max_tokens, has_pairs=any(isinstance(item, Pair) for item in items))

    def _tokenise(self, items: Mapping[int, Item]) -> dict[int, Whole]:
        """All texts in one call of the library, which works on all cores without the interpreter's lock."""
        read = {place: self._read(item, place) for place, item in items.items() if not isinstance(item, Tokens)}
        made = self._tokenizer.encode_batch_fast(list(read.values()), add_special_tokens=self._spec.special_tokens)
        told = zip(read.items(), made, strict=True)
        return {place: Whole(text, encoding, encoding.ids) for (place, text), encoding in told}

    def _read(self, item: Text | Pair | Image | Link, place: int) -> str | tuple[str, str]:
        sources = self._sources(item, place)
        if isinstance(item, Text):
            self.prompts.require(item, place)
        return taken(sources)

    def _sources(self, item: Text | Pair | Image | Link, place: int) -> tuple[Source, ...] | Written:
        how = self._spec.canonical, self._spec.lowercase
        match item:
            case Text(text, role):
                check_text(text, f"text {place}", self.max_text_chars)
                return (Source(text, self.prompts.before(text, role), *how),)
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

    def _fit(self, item: Text | Pair | Image | Link, whole: Whole, room: Room, place: int) -> Encoding:
        encoding, ids, tokens = whole.encoding, whole.ids, len(whole.ids)
        if not tokens:
            raise NothingKnown(f"text {place} has no token for {self._spec.name!r}; leave it out")
        if max(ids) >= self._spec.architecture.vocab:
            raise self._without_row(item, ids, place)
        if not isinstance(item, Pair):
            ids = self._cutting.text(item, whole, room, place)
        elif self._spec.pair_template:
            ids = self._cutting.written(item, ids, room, place)
        else:
            encoding = self._cutting.pair(item, whole, room, place)
            ids = encoding.ids
        segments = np.array(encoding.type_ids, np.int32) if self._has_segments and isinstance(item, Pair) else None
        dropped = tokens - len(ids)
        if isinstance(item, Text) and ids is not whole.ids:  # a word that is cut in two may have more tokens than whole
            dropped = max(dropped, 1)
        return self._laid(self._known(ids, place), segments, dropped)

    def _known(self, ids: list[int], place: int) -> list[int]:
        """Without the tokens that the model leaves out, where it leaves out any."""
        known = [number for number in ids if number not in self._spec.dropped_ids] if self._spec.dropped_ids else ids
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
            f"{called(item, place)} has the token {token!r}, whose id is outside 0..{vocab - 1}, "
            f"the vocabulary of {self._spec.name!r}; leave it out"
        )

    def _given(self, item: Tokens, room: Room, place: int) -> Encoding:
        vocab = self._spec.architecture.vocab
        if not item.ids:
            raise BadRequest(f"text {place} is an empty list of token ids; send at least one")
        if min(item.ids) < 0 or max(item.ids) >= vocab:
            raise BadRequest(
                f"text {place} has a token id outside 0..{vocab - 1}, the vocabulary of {self._spec.name!r}"
            )
        if self._spec.needs_prompt and not self._cutting.begin_with_prompt(list(item.ids)):
            raise self.prompts.missing(f"text {place} is token ids that begin with no prompt")
        ids = self._cutting.ids(item, room, place)
        return self._laid(self._known(ids, place), None, len(item.ids) - len(ids))


def _made(how: Normalizer) -> normalizers.Normalizer:
    """Source: transformers 5.23, `BertTokenizer.__init__`."""
    return normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=how.splits_chinese,
        strip_accents=how.strip_accents,
        lowercase=how.lowercase,
    )


def _lowering(normalizer: normalizers.Normalizer | None) -> normalizers.Normalizer:
    """Lower case before all else, each character for itself, as a final sigma shows.

    Source: sentence-transformers 6.2, `base/modules/transformer.py`; transformers 5.23, `tokenization_siglip2.py`.
    """
    lower = normalizers.Lowercase()
    return lower if normalizer is None else normalizers.Sequence([lower, normalizer])
