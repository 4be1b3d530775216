"""tokenizer.json and tokenizer_config.json -> what of them decides a spec: normaliser, types, ends, the end cut off."""

from pathlib import Path

import msgspec

from embedstack.errors import ConfigError
from embedstack.models.folder import Fields, read_fields_if_there, root_of
from embedstack.models.tokenizer import Id, Token, Truncation, decode, require_right
from embedstack.modelspec import Normalizer

FILE, SETTINGS = "tokenizer.json", "tokenizer_config.json"
_NO_LEXICAL_WEIGHT = ("cls_token", "eos_token", "pad_token", "unk_token")
"""Source: FlagEmbedding 1.4, `inference/embedder/encoder_only/m3.py`, `unused_tokens`."""
_MAKE_THEIR_OWN = ("BertTokenizer", "DistilBertTokenizer", "MPNetTokenizer")
"""Tokenisers of transformers that make a normaliser of tokenizer_config.json, and drop the one of tokenizer.json."""
_FAMILIES = ("bert", "distilbert", "mpnet", "nomic_bert")
"""Whose tokeniser is one of these where no file names another."""
_TAKE_THE_FILE = ("static", "model2vec", "modernbert")
"""Whatever tokeniser is named: transformers reads none of the first two, and knows that the last is often wrong."""
_WORD_PIECES = (None, "WordPiece")  # the only kind that these tokenisers have; older files do not name it


# ------------------------------------------------------------------------------------------------ tokenizer.json


class _Stated(msgspec.Struct):
    """A normaliser. Source of the defaults and of what lowers: tokenizers 0.23, `BertNormalizer` and `Lowercase`."""

    type: str
    clean_text: bool = True
    handle_chinese_chars: bool = True
    strip_accents: bool | None = None  # as lowercase
    lowercase: bool = False
    normalizers: "list[_Stated]" = []

    @property
    def lowers(self) -> bool:
        """Whether the texts leave it in lower case."""
        return self.lowercase or self.type == "Lowercase" or any(inner.lowers for inner in self.normalizers)

    def does(self, other: Normalizer) -> bool:
        """Whether both make the same of every text."""
        strips = self.lowercase if self.strip_accents is None else self.strip_accents
        same = Normalizer(lowercase=self.lowercase, strip_accents=strips, splits_chinese=self.handle_chinese_chars)
        return self.type == "BertNormalizer" and self.clean_text and same == other


class _Piece(msgspec.Struct):
    id: str = ""
    type_id: int = 0


class _Special(msgspec.Struct):
    ids: list[Id] = []


class _PostProcessor(msgspec.Struct):
    single: list[dict[str, _Piece]] = []  # of a template: the kind of a piece, and what is known of it
    pair: list[dict[str, _Piece]] = []
    special_tokens: dict[str, _Special] = {}
    processors: "list[_PostProcessor]" = []

    @property
    def types(self) -> set[int]:
        """Token types of a single text. Source: tokenizers 0.23, `TemplateProcessing` and `Sequence`."""
        own = {piece.type_id for pieces in self.single for piece in pieces.values()}
        return own.union(*(inner.types for inner in self.processors))

    @property
    def ends(self) -> set[int]:
        """Ids with which a text or a pair ends that a template was put around."""
        last = [piece for pieces in (self.single, self.pair) for piece in pieces[-1:]]
        specials = [self.special_tokens.get(each["SpecialToken"].id) for each in last if "SpecialToken" in each]
        own = {special.ids[-1] for special in specials if special and special.ids}
        return own.union(*(inner.ends for inner in self.processors))


class _Model(msgspec.Struct):
    type: str | None = None


class TokenizerFile(msgspec.Struct):
    """The parts of tokenizer.json that decide a spec; the vocabulary is skipped, since it is large."""

    model: _Model | None = None
    added_tokens: list[Token] = []
    normalizer: _Stated | None = None
    post_processor: _PostProcessor | None = None
    truncation: Truncation | None = None

    @property
    def lowers(self) -> bool:
        """Whether it lowers by itself, as sentence-transformers asks before it adds that."""
        return self.normalizer is not None and self.normalizer.lowers

    @property
    def types(self) -> set[int]:
        """Token types of a single text, where the file states them."""
        return self.post_processor.types if self.post_processor else set()

    @property
    def ends(self) -> set[int]:
        """Ids of the special tokens with which texts end, where a template states them."""
        return self.post_processor.ends if self.post_processor else set()

    @property
    def has_word_pieces(self) -> bool:
        return self.model is None or self.model.type in _WORD_PIECES


def read_tokenizer(folder: Path) -> TokenizerFile:
    """What of the tokeniser decides a spec.

    Raises:
        ConfigError: there is none.
    """
    return decode(root_of(folder) / FILE, TokenizerFile)


# ------------------------------------------------------------------------------------------------ the other file, too


def read_normalizer(folder: Path, model_type: str, config: Fields, tokenizer: TokenizerFile) -> Normalizer | None:
    """What takes the place of the normaliser in tokenizer.json; None where that one counts, or does the same.

    Args:
        config: config.json, which may name the tokeniser, too.
    Source:
        transformers 5.23, `AutoTokenizer.from_pretrained`, `BertTokenizer` and `MPNetTokenizer`.
    """
    told = read_fields_if_there(root_of(folder) / SETTINGS)
    kind = (told.text("tokenizer_class") or config.text("tokenizer_class")).removesuffix("Fast")
    makes_own = kind in _MAKE_THEIR_OWN if kind else model_type in _FAMILIES
    if not makes_own or not tokenizer.has_word_pieces or model_type in _TAKE_THE_FILE:
        return None
    lowercase = told.flag("do_lower_case", default=True)
    made = Normalizer(
        lowercase=lowercase,
        strip_accents=told.flag("strip_accents", default=lowercase),
        splits_chinese=told.flag("tokenize_chinese_chars", default=True),
    )
    return None if tokenizer.normalizer is not None and tokenizer.normalizer.does(made) else made


def refuse_another_side(folder: Path, tokenizer: TokenizerFile, name: str) -> None:
    """tokenizer_config.json comes first. Source: transformers 5.23, `TokenizersBackend.__init__`.

    Raises:
        Unsupported: transformers would cut the beginning off.
    """
    told = read_fields_if_there(root_of(folder) / SETTINGS)
    if "truncation_side" in told:
        require_right(told.text("truncation_side"), f"truncation_side in {SETTINGS}", name)
    elif tokenizer.truncation is not None:
        require_right(tokenizer.truncation.direction, f"truncation in {FILE}", name)


def ids_without_weight(folder: Path, tokenizer: TokenizerFile) -> tuple[int, ...]:
    """Ids of the special tokens that sparse vectors leave out.

    Raises:
        ConfigError: one of them is not there.
    """
    root = root_of(folder)
    names = {**_special(root / "special_tokens_map.json"), **_special(root / SETTINGS)}
    ids = {token.content: token.id for token in tokenizer.added_tokens}
    missing = [kind for kind in _NO_LEXICAL_WEIGHT if names.get(kind) not in ids]
    if missing:
        path = str(root / FILE)
        raise ConfigError(f"{path!r} has no {missing[0]}, which sparse vectors leave out; pull the model again")
    return tuple(sorted({ids[names[kind]] for kind in _NO_LEXICAL_WEIGHT}))


def _special(path: Path) -> dict[str, str]:
    """Kind of special token -> its text; written as a string or as an object."""
    fields = read_fields_if_there(path)
    found: dict[str, str] = {}
    for kind in _NO_LEXICAL_WEIGHT:
        if kind in fields:
            is_plain = isinstance(fields.values[kind], str)
            found[kind] = fields.text(kind) if is_plain else fields.table(kind).text("content")
    return found
