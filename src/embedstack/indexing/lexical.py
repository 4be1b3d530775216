"""A collection, a wish and some texts -> the BM25 whose vectors stand beside the dense ones, and in which language."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from embedstack.databases.database import Collection, Field
from embedstack.errors import BadRequest, Mismatch, Unsupported
from embedstack.indexing.wish import BM25, SPARSE, IndexWish, Lexical
from embedstack.modelspec import ModelSpec
from embedstack.origin import Origin
from embedstack.search.analysis import Language, terms
from embedstack.search.bm25 import Bm25, known

RUSSIAN_FROM = 0.2  # share of Cyrillic letters; Russian rules stem English words, too, and not the other way round
LETTERS, CYRILLIC = re.compile(r"[^\W\d_]+"), re.compile("[\u0400-\u04ff]+")


@dataclass(slots=True)
class Letters:
    """Of texts that were seen."""

    all: int = 0
    cyrillic: int = 0

    def add(self, texts: Iterable[str]) -> "Letters":
        """Some more texts; the same letters."""
        for text in texts:
            self.all += sum(map(len, LETTERS.findall(text)))
            self.cyrillic += 0 if text.isascii() else sum(map(len, CYRILLIC.findall(text)))
        return self

    @property
    def cyrillic_share(self) -> float:
        """0 where there are no letters."""
        return self.cyrillic / self.all if self.all else 0.0


def lexical_of(found: Collection | None, wish: IndexWish, spec: ModelSpec) -> Lexical:
    """Which vectors stand beside the dense ones: as was wished, else as the collection has it, else BM25's.

    Raises:
        Unsupported: the model's own, and it has none. BadRequest: a language for what is not BM25.
    """
    fields = found.fields if found else {}
    usual: Lexical = "model" if SPARSE in fields and BM25 not in fields and "sparse" in spec.outputs else "bm25"
    lexical = wish.lexical or usual
    if lexical == "model" and "sparse" not in spec.outputs:
        raise Unsupported(f"model {spec.name!r} has no sparse vectors; leave --sparse out for BM25, or take 'bge-m3'")
    if lexical != "bm25" and wish.language is not None:
        raise BadRequest("--language is for BM25, which is not written here; leave it out, or add --sparse bm25")
    return lexical


def bm25_in(found: Collection | None, wish: IndexWish) -> Bm25 | None:
    """The one whose vectors are there; None where there is none yet.

    Raises:
        Mismatch: it is another version's, or not of the language that was wished.
    """
    origin = found.fields[BM25].origin if found and BM25 in found.fields else None
    if origin is None:
        return None
    made = known(origin.identity)
    if wish.language not in (None, made.language):
        raise Mismatch(
            f"vector {BM25!r} holds BM25 of the language {made.language!r}, and {wish.language!r} was wished; leave "
            "--language out, or use another --collection"
        )
    return made


def bm25_for(texts: Sequence[str], wish: IndexWish) -> tuple[Bm25, str]:
    """A new one, with the mean length of these chunks; and how its language was chosen, for people.

    Args:
        texts: of some chunks of all that is indexed. Equal ones give an equal BM25.
    """
    share = Letters().add(texts).cyrillic_share
    language: Language = wish.language or ("ru" if share >= RUSSIAN_FROM else "en")
    lengths = [len(terms(text, language)) for text in texts]
    made = Bm25.of(language, lengths) if any(lengths) else Bm25(language)
    return made, "" if wish.language else _told(language, share)


def bm25_field(bm25: Bm25) -> Field:
    """What a collection keeps of it."""
    return Field(kind="sparse", distance="dot", idf=True, origin=Origin(identity=bm25.identity))


def unread(letters: Letters, bm25: Bm25, collection: str) -> str:
    """That words of what was written are not read by its rules, for people; "" where they are."""
    if bm25.language != "en" or letters.cyrillic_share < RUSSIAN_FROM:
        return ""
    share = letters.cyrillic_share
    return (
        f"{share:.0%} of the letters that were written are Cyrillic, and collection {collection!r} counts "
        "words by English rules, so that of a Russian word only the very same form is found; index them into a new "
        "--collection with --language ru, which reads English words, too"
    )


def _told(language: Language, share: float) -> str:
    if language == "ru":
        why = f"by Russian and English rules, as {share:.0%} of the letters are Cyrillic"
        return f"BM25 counts words {why}; if that is wrong, begin a new collection with --language en or none"
    return (
        "BM25 counts words by English rules; for Russian begin a new collection with --language ru, for any other "
        "language with --language none"
    )
